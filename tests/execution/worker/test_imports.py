from __future__ import annotations

import importlib
import pickle
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from daskflow.errors import CodeMismatch
from daskflow.execution.sending.dispatch import pack_task
from daskflow.execution.worker.imports import parts_at, places
from daskflow.execution.worker.package import Shipped
from daskflow.execution.worker.tasks import check
from daskflow.graph.fingerprint import fingerprint
from daskflow.graph.task import Task
from daskflow.model.policy import Policy

HELPERS = """
from daskflow import task

FACTOR = {factor}

class Box:
    def scaled(self, x):
        return x * FACTOR

def inner(x):
    return Box().scaled(x)

def scale(x):
    return inner(x) {sign} 1

@task
def simulate(x):
    return scale(x)
"""


class Helpers:
    """A module beside a script."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.name = f"helpers_{directory.name}"

    def write(self, factor: int = 2, sign: str = "+") -> Any:
        """Write it anew, and import it as another process would."""
        (self.directory / f"{self.name}.py").write_text(HELPERS.format(factor=factor, sign=sign))
        sys.modules.pop(self.name, None)
        importlib.invalidate_caches()
        return importlib.import_module(self.name)


@pytest.fixture
def helpers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Helpers]:
    monkeypatch.syspath_prepend(str(tmp_path))
    # Python takes a source file for unchanged whose size and second are those of its compiled one.
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    made = Helpers(tmp_path)
    yield made
    sys.modules.pop(made.name, None)


def refused(packed: bytes) -> str:
    """Why a worker refuses a task; empty where it does not."""
    shipped: Shipped = pickle.loads(packed)
    try:
        check(shipped)
    except CodeMismatch as error:
        return str(error)
    return ""


def in_script(module: Any) -> Any:
    """A task that travels by value and uses a helper."""

    def work(x: int) -> int:
        return int(module.scale(x))

    return work


def options(module: Any) -> Any:
    return module.simulate.options(retries=2)


WAYS = [lambda module: Task(in_script(module), Policy(name="work")), lambda m: Task(m.scale, Policy(name="w")), options]


@pytest.mark.parametrize("made", WAYS)
def test_helpers_that_workers_import_by_name_are_compared(helpers: Helpers, made: Any) -> None:
    packed = pack_task(made(helpers.write())(1))
    assert refused(packed) == ""
    helpers.write(sign="-")
    assert f"{helpers.name}.scale" in refused(packed)
    helpers.write(factor=3)
    assert "FACTOR (3 here, 2 in the driver)" in refused(packed)


def test_only_what_is_imported_by_name_has_a_place(helpers: Helpers) -> None:
    module = helpers.write()

    def own(x: int) -> Any:
        return x

    def work(x: int) -> Any:
        return own(module.scale(x)), pytest.raises

    found = places(work, fingerprint(work).parts)
    assert set(found) == {f"{helpers.name}:{name}" for name in ("scale", "inner", "Box", "Box.scaled")}
    assert set(parts_at(found)) == {*(place.replace(":", ".") for place in found), "Box.scaled: FACTOR"}


def test_a_version_stands_for_all_code(helpers: Helpers) -> None:
    packed = pack_task(options(helpers.write()).options(version="1")(1))
    helpers.write(factor=5)
    assert refused(packed) == ""


def test_what_is_gone_has_no_parts() -> None:
    assert parts_at(["no_such_module:f", "pytest:no_such_name"]) == {}
