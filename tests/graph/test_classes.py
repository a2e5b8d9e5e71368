from __future__ import annotations

import dataclasses
import enum
import functools
import typing
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

from pydantic import BaseModel, Field

from daskflow.graph.classes import annotation_text, class_text, members_of


class Base:
    pass


class Plain(Base):
    n: ClassVar[int] = 1
    __slots__ = ("a",)

    def method(self) -> int:
        return 1

    @classmethod
    def of(cls) -> int:
        return 2

    @staticmethod
    def free() -> int:
        return 3

    @property
    def seen(self) -> int:
        return 4

    @seen.setter
    def seen(self, value: int) -> None: ...

    partial = functools.partialmethod(method)


@dataclasses.dataclass
class Record:
    a: int
    b: list[int] = dataclasses.field(default_factory=list)

    def __lt__(self, other: object) -> bool:
        return True


class Pair(NamedTuple):
    a: int
    b: int = 2


class Color(enum.Enum):
    RED = 1
    BLUE = 2


class Model(BaseModel):
    order: int = Field(3, ge=1)


def names(cls: type) -> dict[str, Any]:
    return {member.name: member.value for member in members_of(cls)}


def test_members_of_a_class() -> None:
    found = names(Plain)
    assert found["base 0"] is Base
    assert found["n"] == 1
    assert found["__slots__"] == ("a",)
    assert found["classmethod of"] is Plain.of.__func__  # type: ignore[attr-defined]
    assert {"method", "staticmethod free", "get seen", "set seen", "partial partial"} <= found.keys()
    assert not {"a", "__doc__", "__module__", "__dict__"} & found.keys()


def test_what_a_dataclass_got_made_is_no_member_but_what_was_written_is() -> None:
    found = names(Record)
    assert found["field b"] == (list, True, True)
    assert "__lt__" in found
    assert not {"__init__", "__repr__"} & found.keys()
    assert class_text(Record).startswith("class Record(a: int; b: list[int])")


def test_named_tuples() -> None:
    found = names(Pair)
    assert found["field b"] == 2
    assert not {"__new__", "_make", "_asdict", "_replace"} & found.keys()
    assert "a; b" in class_text(Pair)


def test_enums_count_by_their_values() -> None:
    found = names(Color)
    assert (found["member RED"], found["member BLUE"]) == (1, 2)
    assert "RED; BLUE" in class_text(Color)
    assert "metaclass" in found
    assert not any("value2member" in name for name in found)


def test_models_count_by_types_defaults_and_limits() -> None:
    found = names(Model)
    assert found["type of order"] is int
    assert found["field order"]["default"] == 3
    assert "Ge(ge=1)" in str(found["field order"]["metadata"])
    assert not any("pydantic_core" in name for name in found)


def test_annotations_are_written_without_modules() -> None:
    assert annotation_text(Base) == "Base"
    assert annotation_text("xr.Dataset") == "xr.Dataset"
    assert annotation_text(dict[str, Base]) == "dict[str, Base]"
    assert annotation_text(Literal["a"]) == "Literal[a]"
    assert annotation_text(typing.Optional[Base]) == "Union[Base, NoneType]"  # noqa: UP045
    assert " at 0x" not in annotation_text(Annotated[int, object()])
    assert annotation_text(None) == "None"
