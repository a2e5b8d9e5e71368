"""How a run that has ended is told: exit codes and errors."""

from __future__ import annotations

from typing import Any

import pytest

from daskflow import report
from daskflow.errors import FileMissing, StoreFull
from daskflow.execution.launcher import Order
from daskflow.model.states import RunState
from daskflow.views.running import error_of, exit_code, see_through
from tests.conftest import Lab


def through(lab: Lab, flow: Any, *, as_json: bool = False) -> tuple[Any, int]:
    return see_through(
        lambda order: lab.launcher.start(flow, {}, background=False, order=order),
        Order(site="synchronous"),
        quiet=True,
        as_json=as_json,
    )


@pytest.mark.parametrize(
    ("error", "code", "state"),
    [
        (None, 0, RunState.succeeded),
        (ValueError("bad"), 1, RunState.failed),
        (FileMissing("no file"), 2, RunState.failed),
        (StoreFull("no room"), 3, RunState.interrupted),
        (KeyboardInterrupt(), 3, RunState.interrupted),
    ],
)
def test_exit_codes(
    lab: Lab, error: BaseException | None, code: int, state: RunState, capsys: pytest.CaptureFixture[str]
) -> None:
    @lab.flow
    def work() -> int:
        if error is not None:
            raise error
        return 3

    run, found = through(lab, work)
    assert (found, run.state, exit_code(run)) == (code, state, code)
    assert (error_of(run) is None) == (error is None)
    told = "".join(capsys.readouterr())
    assert str(error or 3) in told
    assert ("daskflow resume" in told) == bool(code)


def test_only_few_metrics_are_printed(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    @lab.task
    def measure(number: int) -> int:
        report.metric("value", number)
        return number

    @lab.flow
    def work() -> Any:
        return measure.map(range(30))

    through(lab, work)
    assert "and 10 more metrics" in capsys.readouterr().out
