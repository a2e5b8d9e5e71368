"""Says what validation found in the words of the house: where it is, what is wrong there, and what would be right."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, Protocol, get_args

from pydantic import AliasChoices, BaseModel

Place = tuple[int | str, ...]

_KINDS = {
    "string_type": "a text",
    "string_sub_type": "a text",
    "string_unicode": "a text in UTF-8",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "int_parsing_size": "a whole number with fewer digits",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "bytes_type": "bytes",
    "list_type": "a list",
    "tuple_type": "a list",
    "set_type": "a list of different values",
    "frozen_set_type": "a list of different values",
    "iterable_type": "a list",
    "dict_type": "a mapping",
    "mapping_type": "a mapping",
    "model_type": "a mapping of the fields of {class_name}",
    "model_attributes_type": "a mapping",
    "dataclass_type": "a mapping of the fields of {class_name}",
    "named_tuple_type": "a list or a mapping",
    "none_required": "null",
    "callable_type": "something that can be called",
    "path_type": "a path",
    "is_instance_of": "an instance of {class}",
    "is_subclass_of": "a subclass of {class}",
    "literal_error": "{expected}",
    "enum": "{expected}",
    "greater_than": "more than {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "less than {lt}",
    "less_than_equal": "at most {le}",
    "multiple_of": "a multiple of {multiple_of}",
}
"""What a value must be."""
_WORDS = {
    "value_error": "{error}",
    "assertion_error": "{error}",
    "missing": "it is needed, and is not given",
    "extra_forbidden": "there is no such field",
    "string_too_short": "it must have at least {min_length} letters",
    "string_too_long": "it must have at most {max_length} letters",
    "string_pattern_mismatch": "it must look like {pattern}",
    "too_short": "it must have at least {min_length} items, and has {actual_length}",
    "too_long": "it must have at most {max_length} items",
    "json_invalid": "it is no JSON: {error}",
    "json_type": "it must be a text of JSON",
    "frozen_field": "it cannot be changed",
    "frozen_instance": "it cannot be changed",
    "union_tag_invalid": "its {discriminator} must be one of {expected_tags}",
    "union_tag_not_found": "it needs {discriminator}",
}
"""What is said of other mistakes."""
_ONE = re.compile(r"\b1 (letter|item)s\b")
_MUST = "it must be "
_NOTHING = "leave it out"


class Mistake(NamedTuple):
    """What does not fit at one place."""

    place: Place
    """Names of fields and numbers of items, from the outside on."""
    text: str
    """What is wrong there; never the value that was given."""
    kind: str = ""
    """The name that validation has for it."""
    value: Any = None
    """What was given there; it may be a secret."""

    @property
    def strange(self) -> bool:
        """Whether there is no field of that name."""
        return self.kind == "extra_forbidden"

    @property
    def where(self) -> str:
        """The place with dots."""
        return ".".join(map(str, self.place))

    def __str__(self) -> str:
        return f"{self.where}: {self.text}" if self.place else self.text


class Validation(Protocol):
    """What pydantic raises, and what a web framework makes of it."""

    def errors(self) -> Iterable[Any]:
        """The mistakes, one by one."""


def mistakes_in(error: Validation, given: Any = None) -> list[Mistake]:
    """What validation found, one for each place.

    Parameters
    ----------
    given
        What was validated, where it is at hand: then places hold no names of the types that were tried.

    Examples
    --------
    >>> from pydantic import TypeAdapter, ValidationError
    >>> given = {"tags": 5}
    >>> try:
    ...     TypeAdapter(dict[str, str | list[str]]).validate_python(given)
    ... except ValidationError as error:
    ...     print(*mistakes_in(error, given))
    tags: it must be a text or a list
    """
    mistakes: dict[Place, list[Mistake]] = {}
    tried: set[Place] = set()
    for each in error.errors():
        place = each["loc"] if given is None else _placed(each, given)
        if len(place) < len(each["loc"]):
            tried.add(place)
        mistakes.setdefault(place, []).append(Mistake(place, words(each), each["type"], each.get("input")))
    # Of the types that were tried at a place the one fits that found its mistake further inside; and items that do not
    # fit are not counted, so that their list seems too short.
    tried |= {place for place, several in mistakes.items() if several[0].kind == "too_short"}
    passed = tried & {place[:depth] for place in mistakes for depth in range(len(place))}
    return [
        several[0]._replace(text=_either([each.text for each in several]))
        for place, several in mistakes.items()
        if place not in passed
    ]


def listed(error: Validation, kind: type[BaseModel], given: Any = None) -> str:
    """What validation found in a record, in one line; of fields that there are not, what may be meant.

    Parameters
    ----------
    kind
        What was validated.
    """
    return "; ".join(
        str(each._replace(text=_strange(kind, each)) if each.strange else each) for each in mistakes_in(error, given)
    )


def _strange(kind: type[BaseModel], mistake: Mistake) -> str:
    for name, field in kind.model_fields.items() if len(mistake.place) == 1 else ():
        if isinstance(field.validation_alias, AliasChoices) and mistake.place[0] in field.validation_alias.choices:
            return f"it is another name of {name!r}, which is given too; leave one of them out"
    return f"{mistake.text}; {meant(kind, mistake.place)}"


def ended(text: str) -> str:
    """A sentence with its end; what asks has one."""
    return text if text.endswith("?") else f"{text}."


def meant(kind: type[BaseModel], place: Place) -> str:
    """Which field may be meant by a name that none has; all where none is alike.

    Examples
    --------
    >>> class Slot(BaseModel):
    ...     queue: str
    >>> meant(Slot, ("quue",))
    "do you mean 'queue'?"
    """
    inner: type[BaseModel] | None = kind
    for name in place[:-1]:
        # What is no field is a key, or the number of an item.
        if inner is not None and name in (fields := _fields(inner)):
            inner = next(iter(models_within(fields[str(name)])), None)
    known = sorted(_fields(inner)) if inner else []
    near = difflib.get_close_matches(str(place[-1]), known, 2)
    return (
        f"do you mean {' or '.join(map(repr, near))}?"
        if near
        else f"there are {', '.join(known)}"
        if known
        else _NOTHING
    )


def _fields(kind: type[BaseModel]) -> dict[str, Any]:
    """The fields by the names that people give, and their types."""
    return {field.alias or name: field.annotation for name, field in kind.model_fields.items()}


def models_within(annotation: Any) -> list[type[BaseModel]]:
    """The records that a field of a type holds: one, or several in a list, a dictionary or a union."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for part in get_args(annotation) for found in models_within(part)]


def words(mistake: Mapping[str, Any]) -> str:
    """What is wrong, as one of the errors of pydantic tells it, without its place."""
    kind, context = mistake["type"], mistake.get("ctx") or {}
    wanted = _MUST + _KINDS[kind] if kind in _KINDS else _WORDS.get(kind)
    if wanted is not None:
        try:
            return _ONE.sub(r"1 \1", wanted.format_map(context))
        except (KeyError, ValueError):
            pass
    text = str(mistake["msg"]).removeprefix("Value error, ").removeprefix("Assertion failed, ")
    return re.sub(r"\bvalid ", "", re.sub(r"^(\w+ )?[Ii]nput ", "it ", text).replace(" should ", " must "))


def _placed(mistake: Mapping[str, Any], given: Any) -> Place:
    """Where it is in what was given; of a union pydantic names the types that it tried as well."""
    place: Place = mistake["loc"]
    kept: list[int | str] = []
    inside: Any = given
    last = len(place) - 1
    for at, part in enumerate(place):
        there = _holds(inside, part)
        if there is None:
            return (*kept, *place[at:])
        if there or (at == last and mistake["type"] == "missing"):
            kept.append(part)
        if there:
            inside = inside[part]
    # A field may be given by another name than validation tells.
    return tuple(kept) or (place[:1] if isinstance(given, Mapping) else ())


def _holds(value: Any, part: int | str) -> bool | None:
    """Whether a value has a part; None where that cannot be seen."""
    if isinstance(value, Mapping):
        return part in value
    if isinstance(value, list | tuple):
        return isinstance(part, int) and part < len(value)
    return False if value is None or callable(value) or isinstance(value, str | bytes | int | float) else None


def _either(texts: list[str]) -> str:
    first, *others = dict.fromkeys(texts)
    alike = first.startswith(_MUST)
    return first + "".join(f" or {text.removeprefix(_MUST)}" if alike else f", or {text}" for text in others)
