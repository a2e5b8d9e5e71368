"""Finding flows by their targets, and reading arguments."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest

from daskflow.errors import ArgumentsInvalid, ExtraMissing, TargetInvalid
from daskflow.execution.target import fit_again, load_flow, read_arguments, read_pairs
from tests.conftest import Lab

FLOWS = """
from daskflow import flow

@flow
def study(n: int = 3):
    return n

@flow
def other():
    return 0

def plain():
    return 1
"""


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Modules of one test are not those of the next."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    (tmp_path / "target_flows.py").write_text(FLOWS)
    yield tmp_path
    for name in [name for name in sys.modules if name not in before and name.startswith("target_")]:
        del sys.modules[name]


def test_by_file_and_by_module(place: Path) -> None:
    by_file = load_flow("./target_flows.py:study")
    by_module = load_flow("target_flows:study")
    assert by_file.flow is by_module.flow
    assert by_file.text == f"{place}/target_flows.py:study"
    assert by_module.text == "target_flows:study"


def test_file_in_a_package_may_import_its_neighbours(place: Path) -> None:
    package = place / "elsewhere" / "target_package" / "inner"
    package.mkdir(parents=True)
    (package.parent / "__init__.py").touch()
    (package / "__init__.py").touch()
    (package.parent / "names.py").write_text("NAME = 'inner'")
    (package / "flows.py").write_text(
        "from daskflow import flow\nfrom ..names import NAME\n@flow\ndef study():\n    return NAME\n"
    )
    found = load_flow(f"{package}/flows.py:study")
    assert found.flow.function() == "inner"
    assert found.flow.__module__ == "target_package.inner.flows"


@pytest.mark.parametrize(
    ("target", "told"),
    [
        ("target_flows.py", "names no flow. It has target_flows.py:study, target_flows.py:other"),
        ("target_flows", "no target"),
        (":study", "no target"),
        ("target_flows.py:", "names no flow"),
        ("target_flows.py:nope", "no flow 'nope'. It has target_flows.py:study"),
        ("target_flows.py:plain", "is no flow, but a function"),
        ("missing.py:study", "no file missing.py"),
        ("target_missing.deep:study", "no module 'target_missing'"),
        ("random:study", "It has none"),
    ],
)
def test_what_does_not_load_is_named(target: str, told: str) -> None:
    with pytest.raises(TargetInvalid) as error:
        load_flow(target)
    assert told in str(error.value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("import target_no_such_thing", "ModuleNotFoundError"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("def (", "SyntaxError"),
        ("raise SystemExit(3)", "SystemExit: 3"),
    ],
)
def test_what_breaks_while_loading_is_named_with_its_line(place: Path, text: str, told: str) -> None:
    (place / "target_broken.py").write_text(f"\n\n{text}\n")
    with pytest.raises(TargetInvalid) as error:
        load_flow("target_broken.py:study")
    assert told in str(error.value)
    assert "target_broken.py" in str(error.value)
    assert "line 3" in str(error.value)


def test_file_that_hides_another_module_is_refused(place: Path) -> None:
    (place / "json.py").write_text(FLOWS)
    with pytest.raises(TargetInvalid, match="Rename the file"):
        load_flow("json.py:study")


def test_file_with_a_dotted_name_is_refused(place: Path) -> None:
    (place / "my.flows.py").write_text(FLOWS)
    with pytest.raises(TargetInvalid, match="no other dot"):
        load_flow("my.flows.py:study")


def test_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("daskflow.examples")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "ducc0", None)
    with pytest.raises(ExtraMissing, match=r"pip install 'daskflow\[examples\]'"):
        load_flow("daskflow.examples.imaging:pipeline")


class Odd:
    """A type that pydantic does not know."""


@pytest.mark.parametrize(
    ("annotation", "text", "value"),
    [
        (int, "3", 3),
        (float, "1e-3", 0.001),
        (str, "12", "12"),
        (Path, "7", Path("7")),
        (Literal["on", "off"], "on", "on"),
        (list[int], "[1, 2]", [1, 2]),
        (int | None, "null", None),
        (Any, "{a: 1}", {"a": 1}),
        (bool, "yes", True),
    ],
)
def test_arguments_are_read_by_type(lab: Lab, annotation: Any, text: str, value: Any) -> None:
    def study(argument: Any) -> None: ...

    study.__annotations__["argument"] = annotation
    assert read_arguments(lab.flow(study), [f"argument={text}"]) == {"argument": value}


def test_types_that_pydantic_does_not_know_take_what_was_read(lab: Lab) -> None:
    @lab.flow
    def study(odd: Odd | None = None, text: Any = "") -> None: ...

    assert read_arguments(study, ["text=a=b: [c"])["text"] == "a=b: [c"


@pytest.mark.parametrize("text", ["n", "=3", ""])
def test_texts_that_set_nothing_are_refused(lab: Lab, text: str) -> None:
    @lab.flow
    def study(n: int = 3) -> None: ...

    with pytest.raises(ArgumentsInvalid, match="name=value"):
        read_arguments(study, [text])


def test_pairs_are_read_as_text() -> None:
    assert read_pairs([" a =5", "b=x=y", "c="]) == {"a": "5", "b": "x=y", "c": ""}


def test_recorded_arguments_fit_a_flow_that_changed(lab: Lab) -> None:
    @lab.flow
    def study(new: int = 5, n: int = 3) -> None: ...

    assert fit_again(study, {"n": 4}) == {"new": 5, "n": 4}
    with pytest.raises(ArgumentsInvalid, match="gone"):
        fit_again(study, {"gone": 1})
