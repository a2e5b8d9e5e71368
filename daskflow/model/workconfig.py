"""How a work is treated, and who is told of its end: the parts of a work that are records themselves."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from daskflow.errors import WorkInvalid
from daskflow.model.mistakes import ended, listed, meant


def _several(value: Any) -> Any:
    """One value where a list is asked for."""
    return [value] if isinstance(value, str | int) and not isinstance(value, bool) else value


def _strategy(value: Any) -> Any:
    """The names of older versions."""
    if isinstance(value, bool):
        return "copy" if value else "bypass"
    return "bypass" if value == "pass" else value


def _whole(value: Any) -> Any:
    """A number is no truth value, though Python takes one for the other."""
    if isinstance(value, bool) or (isinstance(value, list | tuple) and any(isinstance(each, bool) for each in value)):
        raise ValueError("a truth value is no number")
    return value


def _as_blocks(value: Any) -> Any:
    """A list of blocks, as Slack itself has them."""
    return {"blocks": value} if isinstance(value, list) else value


def printable(given: str) -> str:
    """A text that can be shown in one line."""
    if not given.isprintable():
        raise ValueError(f"{given!r:.200} has characters that cannot be printed")
    return given


Shown = Annotated[str, AfterValidator(printable)]
"""A text that can be shown in one line."""
Texts = Annotated[list[str], BeforeValidator(_several)]
"""Several texts; one is a list of one."""
Numbers = Annotated[list[int], BeforeValidator(_whole), BeforeValidator(_several)]
"""Several numbers; one is a list of one."""
Whole = Annotated[int, BeforeValidator(_whole)]
"""A number without a fraction."""
Strategy = Annotated[Literal["bypass", "copy", "move", "delete", "upload"], BeforeValidator(_strategy)]
"""What becomes of a file."""


def told(error: ValidationError, kind: type[BaseModel], given: Any = None) -> str:
    """What does not fit in a work, or in a part of one, for people."""
    return ended(f"The work does not fit: {listed(error, kind, given)}")


def check_assigned(kind: type[BaseModel], name: str) -> None:
    """See that what is assigned to is there.

    Raises
    ------
    WorkInvalid
    """
    if name not in kind.model_fields and not name.startswith("_") and not hasattr(kind, name):
        raise WorkInvalid(ended(f"The work does not fit: {name}: there is no such field; {meant(kind, (name,))}"))


def checked(kind: type[BaseModel], dumped: dict[str, Any]) -> dict[str, Any]:
    """What a record says, if it still fits: lists and dictionaries in it may have been changed.

    Raises
    ------
    ValueError
        It does not; the message says where.
    """
    try:
        kind.model_validate(dumped)
    except ValidationError as error:
        raise ValueError(listed(error, kind, dumped)) from None
    return dumped


def known(kind: type[BaseModel], payload: Any) -> Any:
    """The fields of a record, and of the records in it, that this version has."""
    if not isinstance(payload, dict):
        return payload
    parts = _parts(kind)
    return {
        name: value if (part := parts[name]) is None else known(part, value)
        for name, value in payload.items()
        if name in parts
    }


@cache
def _parts(kind: type[BaseModel]) -> dict[str, type[BaseModel] | None]:
    """The fields of a record; with each the record that it holds."""
    kinds = {name: field.annotation for name, field in kind.model_fields.items()}
    return {
        name: part if isinstance(part, type) and issubclass(part, BaseModel) else None for name, part in kinds.items()
    }


class _Part(BaseModel):
    model_config = ConfigDict(
        validate_assignment=True,
        extra="forbid",
        use_attribute_docstrings=True,
        hide_input_in_errors=True,
        defer_build=True,
    )

    if not TYPE_CHECKING:  # who checks types goes by the fields

        def __init__(self, /, **fields: Any) -> None:
            try:
                super().__init__(**fields)
            except ValidationError as error:
                raise WorkInvalid(told(error, type(self), fields)) from None

        # In another record it is made without this method, so that the mistakes of all are told together.
        __init__.__pydantic_base_init__ = True

    def __setattr__(self, name: str, value: Any) -> None:
        check_assigned(type(self), name)
        try:
            super().__setattr__(name, value)
        except ValidationError as error:
            raise WorkInvalid(told(error, type(self), {name: value})) from None


class Archive(_Part):
    """What becomes of what a work made, when it has succeeded."""

    results: bool = True
    """Whether the work is kept when it has ended; else it is deleted from its bucket."""
    products: Strategy = "copy"
    """Left where they are (`bypass`), copied or moved to the archive, put into the artifact store (`upload`), or
    deleted."""
    plots: Strategy = "copy"
    """The same, of plots."""
    logs: Strategy = "move"
    """The same, of the log: `move` keeps the end of it in the work itself and the whole in the archive."""


class WorkConfig(_Part):
    """How a work is treated."""

    archive: Archive = Field(default_factory=Archive)
    """What becomes of results, products and plots."""
    metrics: bool = False
    """Whether metrics are wanted; carried along."""
    parent: Shown | None = Field(default=None, max_length=256)
    """Id of the pipeline run that deposited it."""
    orgs: Texts = Field(default_factory=lambda: ["chimefrb"])
    """Organisations whose members may see it; carried along."""
    teams: Texts | None = None
    """Teams whose members may see it; carried along."""
    strategy: Literal["strict", "relaxed"] = "strict"
    """`relaxed`: any name of a site is good."""


class Slack(_Part):
    """A message on Slack when a work has ended."""

    channel_id: str | None = None
    """Where it goes."""
    member_ids: Texts | None = None
    """Who is mentioned."""
    message: str | None = None
    """What it begins with."""
    results: bool | None = None
    """Whether it shows the results."""
    products: bool | None = None
    """Whether it shows the products."""
    plots: bool | None = None
    """Whether it shows the plots."""
    blocks: Annotated[dict[str, Any], BeforeValidator(_as_blocks)] = Field(default_factory=dict)
    """Blocks of Slack that are shown as they are: one of them, or several as `{"blocks": [...]}`."""
    reply: dict[str, Any] = Field(default_factory=dict)
    """What Slack answered when it was told of the end; of several members, by each."""


class Notify(_Part):
    """Who is told of the end of a work."""

    slack: Slack = Field(default_factory=Slack)
    """On Slack."""
