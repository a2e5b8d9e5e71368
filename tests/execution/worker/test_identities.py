from __future__ import annotations

import pickle
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import cloudpickle
import pytest

from daskflow.artifacts.values import Values
from daskflow.execution.worker.identities import identify_classes
from daskflow.model.outcome import Stored
from tests.acceptance.shell import environment

SCRIPT = """
import dataclasses, enum, sys
from daskflow import flow, task

class Colour(enum.Enum):
    RED = 1

@dataclasses.dataclass
class Point:
    x: int

    class Inner:
        pass

    def scaled(self):
        return {factor} * self.x

@task
def make(x):
    return Colour.RED, Point(x), Point.Inner()

@task
def same(made, point):
    return made[0] is Colour.RED and type(made[1]) is type(point) is Point

@flow(site="local")
def study():
    made = make(3)
    return made, same(made, Point(4))

if __name__ == "__main__":
    own = Point.scaled
    run = study.submit()
    (red, point, inner), there = run.result(60)
    print(run.counts()["make"], red is Colour.RED, type(point) is Point, type(inner) is Point.Inner, there)
    assert Point.scaled is own
"""


def test_results_of_a_script_are_of_its_classes_in_every_run(tmp_path: Path) -> None:
    def run(factor: int) -> str:
        (tmp_path / "script.py").write_text(SCRIPT.format(factor=factor))
        command = [sys.executable, "script.py"]
        variables = environment(DASKFLOW_STORE=str(tmp_path / "journal.db"))
        done = subprocess.run(
            command, cwd=tmp_path, env=variables, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    assert run(1) == "{'succeeded': 1} True True True True"
    assert run(1) == "{'cached': 1} True True True True"
    assert run(2) == "{'succeeded': 1} True True True True", "the class is another one"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A module that other processes cannot import."""
    made = types.ModuleType("of_a_script")
    exec("class Point:\n    def x(self):\n        return 1\n", made.__dict__)
    monkeypatch.setitem(sys.modules, "of_a_script", made)
    cloudpickle.register_pickle_by_value(made)
    yield made
    cloudpickle.unregister_pickle_by_value(made)


def in_new_process(script: Any, x: int = 1) -> Stored:
    """An instance as another process of the same script has stored it."""
    code = f"class Point:\n    def x(self):\n        return {x}\n"
    text = (
        "import sys, types, pickle, cloudpickle\n"
        "from daskflow.execution.worker.identities import identify_classes\n"
        "from daskflow.artifacts.values import Values\n"
        "from daskflow.artifacts.forms.formats import formats\n"
        "made = sys.modules['of_a_script'] = types.ModuleType('of_a_script')\n"
        f"exec({code!r}, made.__dict__)\n"
        "cloudpickle.register_pickle_by_value(made)\n"
        "identify_classes()\n"
        "sys.stdout.buffer.write(pickle.dumps(Values(None)._dumped(formats()[-1], made.Point(), 1)))\n"
    )
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, check=True, timeout=60)
    found: Stored = pickle.loads(done.stdout)
    return found


def test_an_equal_class_is_the_present_one_and_stays_as_it_is(script: Any) -> None:
    stored, method = in_new_process(script), script.Point.x
    assert type(Values(None).load(stored)) is not script.Point, "nobody has looked yet"
    identify_classes()
    assert type(Values(None).load(stored)) is script.Point
    assert script.Point.x is method


def test_a_class_of_other_code_is_another(script: Any) -> None:
    stored = in_new_process(script, x=2)
    identify_classes(["of_a_script", "no_such_module"])
    assert type(Values(None).load(stored)) is not script.Point
    assert Values(None).load(stored).x() == 2


def test_other_releases_of_cloudpickle_are_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("cloudpickle.cloudpickle._DYNAMIC_CLASS_TRACKER_BY_ID")
    identify_classes()
