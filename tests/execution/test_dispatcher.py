from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from daskflow.model.states import JobState, RunState
from tests.conftest import Lab
from tests.execution.patience import until


def test_a_paused_run_takes_back_what_does_not_run_yet_and_starts_it_when_it_goes_on(lab: Lab, tmp_path: Path) -> None:
    directory = str(tmp_path)

    @lab.task
    def wait(x: int, directory: str) -> int:
        with open(f"{directory}/began-{x}", "x"):
            pass
        while not os.path.exists(f"{directory}/gate"):
            time.sleep(0.005)
        return x

    @lab.flow(site="threads")
    def study(directory: str) -> Any:
        return [wait(x, directory) for x in range(20)]

    run = study.submit(directory)
    until(lambda: any(tmp_path.glob("began-*")))
    run.pause()
    (tmp_path / "gate").touch()
    begun = len(list(tmp_path.glob("began-*")))
    until(lambda: sum(job.state is JobState.succeeded for job in run.jobs) >= begun)
    left = [job for job in run.jobs if job.state is JobState.queued]
    assert run.state is RunState.paused
    assert left, "what did not run yet waits"
    run.resume()
    assert run.result(60) == list(range(20))
    assert len(list(tmp_path.glob("began-*"))) == 20, "open(..., 'x') saw each job once"
