from __future__ import annotations

import pickle
import sqlite3
import subprocess
import sys
import types
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from daskflow.artifacts.forms.formats import register_format, unregister_format
from daskflow.artifacts.values import Values
from daskflow.execution.sending.kits import kit_of

SOURCE = """
class Star:
    def __init__(self, name):
        self.name = name

class Stars:
    name = "star"
    def matches(self, value):
        return type(value) is Star
    def dump(self, value):
        return [value.name.encode()]
    def load(self, data):
        return Star(bytes(data).decode())

def observe(name):
    return Star(name)

def named(star):
    assert type(star) is Star
    return star.name
"""


@pytest.fixture
def stars(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A module that no worker can import."""
    module = types.ModuleType("stars_of_a_script")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(SOURCE, module.__dict__)
    register_format(module.Stars())
    yield module
    unregister_format("star")


def test_a_format_that_workers_cannot_import_goes_along(stars: Any) -> None:
    packed = pickle.dumps((kit_of(Values(None)), Values(None)))
    code = """
import pickle, sys
kit, values = pickle.loads(sys.stdin.buffer.read())
[form] = kit.forms
print(values.dump(form.load(b"Vega")).format)
"""
    done = subprocess.run([sys.executable, "-c", code], input=packed, check=True, capture_output=True)
    assert done.stdout.decode() == "stars_of_a_script:star\n"


SCRIPT = """
from daskflow import flow, register_format, task
{source}
register_format(Stars())
observe, named = task(observe), task(named)

@flow
def study():
    return named(observe("Vega"))

if __name__ == "__main__":
    print(study())
"""


def test_workers_write_by_a_format_of_a_script(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT.format(source=SOURCE))
    command = [sys.executable, "script.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "Vega\n"), done.stderr
    with closing(sqlite3.connect(tmp_path / ".daskflow" / "journal.db")) as journal:
        formats = journal.execute("select format from results").fetchall()
    assert {name.partition("#")[0] for (name,) in formats} == {"__main__:star", "pickle"}
