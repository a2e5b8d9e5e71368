"""The tree of errors is the one that its docstring draws, and each error tells what to do."""

import pickle
import re

import pytest

from daskflow import errors
from daskflow.errors import DaskflowError

CLASSES = [thing for thing in vars(errors).values() if isinstance(thing, type) and issubclass(thing, DaskflowError)]
BRANCH = re.compile(r"^ {4}(?P<rails>(?:│ {3}| {4})*)(?P<fork>[├└]── )?(?P<name>[A-Z]\w+)(?P<text>.*)$")


def drawn() -> dict[str, tuple[str, str]]:
    """Each class of the drawing with its parent and its text."""
    tree: dict[str, tuple[str, str]] = {}
    path: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        if match := BRANCH.match(line):
            depth = len(match["rails"]) // 4 + 1 if match["fork"] else 0
            path[depth:] = [match["name"]]
            tree[match["name"]] = (path[depth - 1] if depth else "Exception", match["text"])
    return tree


def test_drawing_is_the_class_tree() -> None:
    assert {name: parent for name, (parent, _) in drawn().items()} == {
        cls.__name__: base.__name__ for cls in CLASSES for base in cls.__bases__
    }


def test_drawing_has_the_order_of_the_file() -> None:
    assert list(drawn()) == [cls.__name__ for cls in CLASSES]


def test_what_is_drawn_as_transient_is() -> None:
    marked = {name for name, (_, text) in drawn().items() if "(transient)" in text}
    assert marked <= {cls.__name__ for cls in CLASSES if cls.transient}
    assert marked


@pytest.mark.parametrize("cls", CLASSES)
def test_docstring_is_the_default_message(cls: type[DaskflowError]) -> None:
    assert cls.__doc__ is not None
    assert cls.__doc__.endswith(".")
    assert str(cls()) == cls.__doc__


@pytest.mark.parametrize("cls", CLASSES)
def test_own_message_wins(cls: type[DaskflowError]) -> None:
    assert str(cls("the disk is full")) == "the disk is full"


@pytest.mark.parametrize("cls", CLASSES)
def test_errors_travel_to_other_processes(cls: type[DaskflowError]) -> None:
    copy = pickle.loads(pickle.dumps(cls("no route")))
    assert type(copy) is cls
    assert str(copy) == "no route"


def test_no_room_has_errors_of_its_own() -> None:
    assert all(cls.__module__ == "daskflow.errors" for cls in CLASSES)


def test_retries_can_help_only_where_the_world_may_change() -> None:
    assert not any(cls.transient for cls in CLASSES if issubclass(cls, errors.UsageError))
    assert errors.WorkerLost.transient
    assert not errors.JobFailed.transient
