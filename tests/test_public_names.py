"""The front door has few names, all of them listed, all of them there."""

import subprocess
import sys
from types import ModuleType

import daskflow

MAX_NAMES = 26
SCAFFOLDING = {"Any", "TYPE_CHECKING", "annotations"}


def public_names() -> set[str]:
    return {
        name
        for name in dir(daskflow)
        if not name.startswith("_") and name not in SCAFFOLDING and not isinstance(getattr(daskflow, name), ModuleType)
    }


def test_names_are_sorted() -> None:
    assert list(daskflow.__all__) == sorted(daskflow.__all__)


def test_no_name_stands_twice() -> None:
    assert len(set(daskflow.__all__)) == len(daskflow.__all__)


def test_names_are_complete() -> None:
    assert {name for name in daskflow.__all__ if not name.startswith("_")} == public_names()


def test_all_names_are_there() -> None:
    for name in daskflow.__all__:
        thing = getattr(daskflow, name)
        assert not isinstance(thing, ModuleType), f"{name} is hidden by a module of the same name"


def test_names_are_few() -> None:
    assert len(daskflow.__all__) <= MAX_NAMES


def test_the_front_door_imports_no_room_before_a_name_is_asked_for() -> None:
    code = "import sys, daskflow; print([name for name in sys.modules if name.startswith(('daskflow.', 'pydantic'))])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"
