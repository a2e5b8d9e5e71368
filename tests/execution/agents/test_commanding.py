import os
from pathlib import Path

import pytest

from daskflow.errors import CommandMissing
from daskflow.execution.agents.commanding import perform_command
from daskflow.execution.agents.outcome import Unfit
from tests.execution.agents.conftest import make


def test_a_list_is_started_without_a_shell() -> None:
    outcome = perform_command(["printf", "%s\n", "$HOME; ls"], make())
    assert outcome.results == {
        "args": ["printf", "%s\n", "$HOME; ls"],
        "stdout": ["$HOME; ls"],
        "stderr": [],
        "returncode": 0,
    }
    assert outcome.error is None


def test_one_text_is_a_line_for_the_shell() -> None:
    outcome = perform_command(["echo a && echo b >&2"], make())
    assert (outcome.results["stdout"], outcome.results["stderr"]) == (["a"], ["b"])


def test_parameters_are_variables() -> None:
    outcome = perform_command(
        ['echo "$DASKFLOW_PARAM_DM $DASKFLOW_PARAM_NAME"'], make(parameters={"dm": 3.5, "name": "x"})
    )
    assert outcome.results["stdout"] == ["3.5 x"]


def test_a_command_that_fails_tells_the_end_of_its_standard_error() -> None:
    outcome = perform_command(["echo no such burst >&2; exit 3"], make())
    assert outcome.results["returncode"] == 3
    assert outcome.error is not None
    assert "exit code 3" in outcome.error
    assert "no such burst" in outcome.error
    ended = perform_command(["kill -9 $$"], make())
    assert ended.error == "The command was ended by the signal 9."


@pytest.mark.parametrize(
    ("line", "results", "products", "plots"),
    [
        ('{"dm": 3}', {"dm": 3}, None, None),
        ('[{"dm": 3}, ["a.h5"], []]', {"dm": 3}, ["a.h5"], []),
        ('[{"dm": 3}, null, null]', {"dm": 3}, None, None),
        ('[null, [], ["a.png"]]', None, [], ["a.png"]),
        ('[{"dm": 3}, "a.h5", null]', {"dm": 3}, ["a.h5"], None),
    ],
)
def test_the_last_line_may_be_the_outcome(line: str, results: object, products: object, plots: object) -> None:
    outcome = perform_command([f"echo chatter; echo '{line}'; echo"], make())
    assert outcome[:3] == (results, products, plots)


@pytest.mark.parametrize("line", ["[1, 2, 3]", "[1]", "{broken", "3", '[{"dm": 3}, [1], []]', '[null, "a", "b"]'])
def test_any_other_line_is_what_it_printed(line: str) -> None:
    assert perform_command([f"echo '{line}'"], make()).results["stdout"] == [line]


def test_of_long_output_the_end_is_kept() -> None:
    outcome = perform_command(["seq 200000"], make())
    lines = outcome.results["stdout"]
    assert lines[0] == "..."
    assert lines[-1] == "200000"
    assert sum(map(len, lines)) < 600 << 10


def test_what_it_left_behind_holds_nobody_up(tmp_path: Path) -> None:
    outcome = perform_command([f"sleep 600 & echo $! > {tmp_path}/pid; echo done"], make())
    os.kill(int((tmp_path / "pid").read_text()), 9)
    assert outcome.results["stdout"] == ["done"]


def test_a_program_that_is_not_there_is_told() -> None:
    with pytest.raises(CommandMissing, match="no-such-program"):
        perform_command(["no-such-program", "x"], make())


def test_a_parameter_that_no_command_can_get_is_named() -> None:
    work = make(parameters={"small": "x", "spectrum": "y" * (200 << 10)})
    with pytest.raises(Unfit, match=r"The parameter SPECTRUM takes 200 KiB, and one may take at most 128 KiB"):
        perform_command(["true", "x"], work)
    with pytest.raises(Unfit, match=r"The argument 1 takes 200 KiB"):
        perform_command(["true", "y" * (200 << 10)], make())
