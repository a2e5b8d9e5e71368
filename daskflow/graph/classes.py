"""Takes classes apart into what counts of them: by what is loaded, since no bytecode tells how a class was written."""

from __future__ import annotations

import collections
import dataclasses
import enum
import functools
import inspect
import reprlib
import types
import typing
from collections.abc import Iterator
from typing import Any, NamedTuple

from pydantic import BaseModel

from daskflow.graph.sources import function_tree

_GENERATED = frozenset(
    [
        *("__init__", "__new__", "__repr__", "__hash__", "__setattr__", "__delattr__", "__getstate__", "__setstate__"),
        *("__eq__", "__lt__", "__le__", "__gt__", "__ge__", "__replace__", "__getnewargs__"),
        *("_make", "_replace", "_asdict"),
    ]
)
"""Methods that dataclasses and named tuples get made for them; their fields say all."""

_FIELD = ("default", "default_factory", "alias", "validation_alias", "discriminator", "frozen", "init", "metadata")
"""What counts of a field of a pydantic model."""


class Member(NamedTuple):
    """A part of a class."""

    name: str
    value: Any


def class_text(cls: type) -> str:
    """The head of a class: its name, and its fields in their order."""
    fields = [f"{name}: {annotation_text(value)}" for name, value in _annotations(cls).items()]
    names = list(cls.__members__) if isinstance(cls, enum.EnumMeta) else list(getattr(cls, "_fields", ()))
    options = vars(cls).get("__dataclass_params__", "")
    return f"class {cls.__name__}({'; '.join([*fields, *map(str, names)])}){options}"


def annotation_text(annotation: Any) -> str:
    """An annotation as it would be written, without module names."""
    if isinstance(annotation, str):
        return annotation
    arguments = typing.get_args(annotation)
    if arguments:
        origin = typing.get_origin(annotation)
        return f"{annotation_text(origin)}[{', '.join([annotation_text(item) for item in arguments])}]"
    return str(getattr(annotation, "__qualname__", getattr(annotation, "_name", None)) or _without_address(annotation))


def members_of(cls: type) -> Iterator[Member]:
    """Methods, class attributes and the defaults of fields, by name."""
    if type(cls) is not type:
        yield Member("metaclass", type(cls))
    for position, base in enumerate(cls.__bases__):
        if base is not object:
            yield Member(f"base {position}", base)
    for name, value in sorted(vars(cls).items(), key=lambda item: item[0]):
        yield from _member(cls, name, value)
    yield from _fields(cls)


def _member(cls: type, name: str, value: Any) -> Iterator[Member]:
    if isinstance(value, (types.FunctionType, classmethod, staticmethod, property, functools.cached_property)):
        for part, function in _functions(value):
            if not (name in _GENERATED and _is_generated(cls, function)):
                yield Member(f"{part} {name}".strip(), function)
    elif isinstance(value, functools.singledispatchmethod):
        yield Member(f"dispatcher {name}", value.dispatcher)
    elif isinstance(value, functools.partialmethod):
        yield Member(f"partial {name}", functools.partial(value.func, *value.args, **value.keywords))
    elif not _is_of_the_machine(cls, name, value):
        yield Member(name, value)


def _functions(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, types.FunctionType):
        yield "", value
    elif isinstance(value, (classmethod, staticmethod)):
        yield type(value).__name__, value.__func__
    elif isinstance(value, property):
        parts = (("get", value.fget), ("set", value.fset), ("delete", value.fdel))
        yield from [(part, function) for part, function in parts if function is not None]
    else:
        yield "cached", value.func


def _is_generated(cls: type, function: Any) -> bool:
    if not (dataclasses.is_dataclass(cls) or hasattr(cls, "_fields")) or not isinstance(function, types.FunctionType):
        return False
    file = function.__code__.co_filename
    return file in _WRITTEN or (file == "<string>" and function_tree(function) is None)


_WRITTEN = (dataclasses.__file__, reprlib.__file__, collections.__file__)
"""Where the decorator of a generated `__repr__` stands, and the methods that all named tuples share."""


def _is_of_the_machine(cls: type, name: str, value: Any) -> bool:
    """Whether an attribute is Python's own book-keeping."""
    if isinstance(cls, enum.EnumMeta):
        return True
    descriptors = (types.MemberDescriptorType, types.GetSetDescriptorType)
    return (
        (name.startswith("__") and name != "__slots__")
        or name in ("_abc_impl", "_is_protocol", "_is_runtime_protocol", "_fields", "_field_defaults")
        or isinstance(value, descriptors)
        or type(value).__name__ == "_tuplegetter"
    )


def _fields(cls: type) -> Iterator[Member]:
    if isinstance(cls, enum.EnumMeta):
        yield from [Member(f"member {name}", cls.__members__[name].value) for name in cls.__members__]
    elif issubclass(cls, BaseModel):
        for name, field in cls.model_fields.items():
            yield Member(f"type of {name}", field.annotation)
            yield Member(f"field {name}", {part: getattr(field, part) for part in _FIELD if _given(field, part)})
    elif dataclasses.is_dataclass(cls):
        for own in dataclasses.fields(cls):
            given: Any = own.default if own.default is not dataclasses.MISSING else own.default_factory
            if given is not dataclasses.MISSING:
                yield Member(f"field {own.name}", (given, own.init, own.compare))
    for name, default in getattr(cls, "_field_defaults", {}).items():
        yield Member(f"field {name}", default)


def _given(field: Any, part: str) -> bool:
    value = getattr(field, part, None)
    return value is not None and value != [] and type(value).__name__ != "PydanticUndefinedType"


def _annotations(cls: type) -> dict[str, Any]:
    try:
        return dict(inspect.get_annotations(cls))
    except NameError:  # a name that only exists while types are checked
        return {}


def _without_address(value: Any) -> str:
    text = repr(value)
    return type(value).__qualname__ if " at 0x" in text else text
