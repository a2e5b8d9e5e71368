"""What a pydantic model says of the values of a context: which names there are, and what each may hold."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from daskflow.errors import ContextRefused
from daskflow.model.mistakes import mistakes_in


class Shape:
    """Checks names and values by the fields of a model.

    Parameters
    ----------
    template
        None: any name and any value goes. A model takes other names only with `extra="allow"`.

    Examples
    --------
    >>> class Calibration(BaseModel):
    ...     reference: str = "auto"
    ...     scores: dict[str, float]
    >>> shape = Shape(Calibration)
    >>> shape.checked("scores", {"spw0": "0.9"}), shape.defaults()
    ({'spw0': 0.9}, {'reference': 'auto'})
    """

    def __init__(self, template: type[BaseModel] | None) -> None:
        self._template = template
        # Values come one by one: whether the model is frozen does not matter, nor that others are missing.
        self._model = None if template is None else _thawed(template)

    def checked(self, name: str, value: Any) -> Any:
        """The value as the field takes it.

        Raises
        ------
        ContextRefused
            There is no such field, or the value does not fit; the message names the field and what is wrong.
        """
        if not isinstance(name, str) or not name:
            raise ContextRefused(f"A value of a context is called by a text, not {name!r}.")
        if self._model is None:
            return value
        fields = self._model.model_fields
        if name not in fields and self._model.model_config.get("extra") != "allow":
            raise ContextRefused(f"{self._title} has no field {name!r}. It has: {', '.join(fields)}.")
        try:
            return getattr(self._assigned(name, value), name)
        except ValidationError as error:
            problems = "; ".join(map(str, mistakes_in(error, {name: value})))
            raise ContextRefused(f"{name!r} does not fit {self._title}: {problems}.") from None

    def _assigned(self, name: str, value: Any) -> BaseModel:
        assert self._model is not None
        made = self._model.model_construct()
        setattr(made, name, value)
        return made

    @property
    def _title(self) -> str:
        return "" if self._template is None else self._template.__qualname__

    def defaults(self) -> dict[str, Any]:
        """The values of the fields that have a default."""
        if self._model is None:
            return {}
        fields = self._model.model_fields.items()
        return {
            name: field.get_default(call_default_factory=True, validated_data={})
            for name, field in fields
            if not field.is_required()
        }


def _thawed(template: type[BaseModel]) -> type[BaseModel]:
    return type(template.__name__, (template,), {
        "__module__": template.__module__,
        "model_config": ConfigDict(frozen=False, validate_assignment=True),
    })  # fmt: skip
