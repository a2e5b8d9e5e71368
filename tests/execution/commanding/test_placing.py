"""What a command job gets is brought into its scratch directory."""

from pathlib import Path
from typing import Any

import pytest

from daskflow.artifacts.artifact import Artifact
from daskflow.commands.scratch import Scratch
from daskflow.errors import ArgumentsInvalid, InputChanged
from daskflow.execution.commanding.placing import Placing
from daskflow.execution.commanding.result import CommandResult, Files
from daskflow.execution.commanding.staged import Staged
from tests.conftest import Lab


def placed(
    tmp_path: Path, parameters: dict[str, Any], artifacts: list[Staged]
) -> tuple[dict[str, Any], dict[str, str], Any]:
    """The parameters, the files that are there then, and what to call afterwards."""
    placing = Placing(parameters, artifacts)
    scratch = Scratch(tmp_path / "scratch")
    check = placing.stage(scratch)
    files = {str(p.relative_to(scratch.work)): p.read_text() for p in scratch.work.rglob("*") if p.is_file()}
    return placing.parameters, files, check


def test_files_among_the_parameters_stand_for_their_names(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "local.txt").write_text("local")
    given = {
        "a": lab.artifact("big/a.txt", b"a"),
        "b": tmp_path / "local.txt",
        "c": [lab.artifact("c", b"c"), 3],
        "d": 1.5,
    }
    parameters, files, _ = placed(tmp_path, given, [])
    assert parameters == {"a": "a.txt", "b": "local.txt", "c": ["c", 3], "d": 1.5}
    assert files == {"a.txt": "a", "local.txt": "local", "c": "c"}


def test_results_of_commands_are_all_their_files_or_their_output(lab: Lab, tmp_path: Path) -> None:
    result = CommandResult(
        (), Files({"one": lab.artifact("one", b"1"), "d/two": lab.artifact("d/two", b"2")}), b"said\n"
    )
    parameters, files, _ = placed(tmp_path, {"x": result}, [Staged(result), Staged([lab.artifact("three", b"3")], "l")])
    assert parameters == {"x": "said"}
    assert files == {"one": "1", "d/two": "2", "l/three": "3"}


def test_the_same_thing_may_be_there_twice(lab: Lab, tmp_path: Path) -> None:
    artifact = lab.artifact("x", b"x")
    assert placed(tmp_path, {"x": artifact}, [Staged(artifact), Staged(artifact, "y")])[1] == {"x": "x", "y": "x"}


def test_what_cannot_be_staged_is_refused(lab: Lab) -> None:
    with pytest.raises(ArgumentsInvalid, match="A int cannot be staged: 3"):
        Placing({}, [Staged(3)])
    with pytest.raises(ArgumentsInvalid, match="Two things would be staged as 'x'"):
        Placing({}, [Staged(lab.artifact("x", b"1")), Staged(lab.artifact("y/x", b"2"))])
    other = Staged(lab.artifact("y/x", b"2"), "other-x")
    assert Placing({"a": lab.artifact("x", b"1"), "b": other}, []).parameters == {"a": "x", "b": "other-x"}


def test_writing_to_what_others_use_is_noticed(lab: Lab, tmp_path: Path) -> None:
    artifact: Artifact = lab.artifact("x", b"x")
    *_, check = placed(tmp_path, {}, [Staged(artifact)])
    check()
    path = artifact.path()
    path.chmod(0o644)
    path.write_text("other")
    with pytest.raises(InputChanged, match=r"The commands changed 'x', .*writable=True"):
        check()


def test_where_links_lead_is_told(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "x").write_text("x")
    placing = Placing({}, [Staged(tmp_path / "data"), Staged(tmp_path / "data" / "x")])
    placing.stage(Scratch(tmp_path / "scratch"))
    assert placing.outside == {str(tmp_path / "data")}
