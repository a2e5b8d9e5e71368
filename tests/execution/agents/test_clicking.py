from typing import Any

import pytest

from daskflow.execution.agents.clicking import call_command, command_of
from daskflow.execution.agents.outcome import Unfit
from tests.execution.agents import performed

DEFAULTS = {
    "snr": 5.0,
    "number": 7,
    "flag": True,
    "box": None,
    "name": (),
    "kind": "a",
    "note": "none",
    "path": None,
}


def test_commands_are_told_from_functions() -> None:
    assert command_of(performed.add) is None
    assert command_of(performed.clicked) is performed.clicked
    assert command_of(performed.app) is not None


@pytest.mark.parametrize(
    ("given", "changed"),
    [
        ({}, {}),
        ({"snr": 0}, {"snr": 0.0}),
        ({"number": 0}, {"number": 0}),
        ({"flag": False}, {"flag": False}),
        ({"note": ""}, {"note": ""}),
        ({"note": 3}, {"note": "3"}),
        ({"box": [1, 2]}, {"box": (1, 2)}),
        ({"name": ["x", ""]}, {"name": ("x", "")}),
        ({"kind": "b"}, {"kind": "b"}),
        ({"-f": 2.5}, {"snr": 2.5}),
        ({"--flag": False, "--snr": "3"}, {"flag": False, "snr": 3.0}),
        ({"path": "data.h5"}, {"path": "data.h5"}),
        ({"number": None}, {}),
    ],
)
def test_parameters_are_read_as_on_a_command_line(given: dict[str, Any], changed: dict[str, Any]) -> None:
    assert call_command(performed.clicked, given) == {**DEFAULTS, **changed}


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"snr": "loud"}, "not a valid float"),
        ({"number": 2.5}, "not a valid integer"),
        ({"kind": "c"}, "'c' is not one of"),
        ({"box": [1]}, "2 values"),
        ({"noise": 1}, "no parameter 'noise'"),
    ],
)
def test_what_does_not_fit_is_told(given: dict[str, Any], text: str) -> None:
    with pytest.raises(Unfit, match=text):
        call_command(performed.clicked, given)


def test_a_required_option_that_is_missing_is_told() -> None:
    with pytest.raises(Unfit, match="code"):
        call_command(performed.leaving, {})


def test_a_command_may_end_itself() -> None:
    assert call_command(performed.leaving, {"code": 0}) is None
    with pytest.raises(RuntimeError, match="exit code 3"):
        call_command(performed.leaving, {"code": 3})


def test_a_group_is_not_performed() -> None:
    with pytest.raises(Unfit, match="member"):
        call_command(performed.grouped, {})


def test_an_app_of_typer_is_called_too() -> None:
    command = command_of(performed.app)
    assert call_command(command, {"dm": 3, "good": False}) == {"dm": 3.0, "snr": 5.0, "good": False}
    with pytest.raises(Unfit, match="dm"):
        call_command(command, {})
