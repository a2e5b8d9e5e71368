"""Jobs that save their state, end, and go on from it: elsewhere, after a failure, in another run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from daskflow.errors import RunFailed
from daskflow.execution.worker.attempt import current
from tests.conftest import Lab
from tests.execution.counting import count, counted

pytestmark = pytest.mark.acceptance


def sampled(directory: str, steps: int, each: int) -> list[int]:
    """A chain that makes some steps in each attempt."""
    chain: list[int] = current().restore([])
    count(directory, "attempts")
    for _ in range(each):
        if len(chain) == steps:
            break
        count(directory, "steps")
        chain.append(len(chain))
    else:
        current().hand_over(chain)
    return chain


@pytest.mark.parametrize("site", ["local", "threads", "synchronous"])
def test_a_job_that_is_handed_over_goes_on_and_what_depends_on_it_waits(lab: Lab, tmp_path: Path, site: str) -> None:
    @lab.task
    def sample(directory: str, steps: int) -> list[int]:
        return sampled(directory, steps, 3)

    @lab.task
    def total(chains: list[list[int]]) -> int:
        return sum(map(sum, chains))

    @lab.flow(site=site)
    def study(directories: list[str]) -> Any:
        return total([sample(directory, steps) for steps, directory in enumerate(directories, 5)])

    places = [tmp_path / name for name in "abc"]
    for place in places:
        place.mkdir()
    assert study([str(place) for place in places]) == 10 + 15 + 21
    assert [counted(place) for place in places] == [
        {"attempts": 2, "steps": 5},
        {"attempts": 3, "steps": 6},
        {"attempts": 3, "steps": 7},
    ]
    journal = lab.project.journal
    handed = journal.events(journal.run("last").id, "job.handed_over")
    assert len(handed) == 1 + 2 + 2
    assert {job.state for job in journal.jobs(journal.run("last").id)} == {"succeeded"}
    store = lab.launcher.store()
    assert list(store.notes("states")) == [], "nobody needs a state any more"


def test_a_state_outlives_the_failure_and_the_run(lab: Lab, tmp_path: Path) -> None:
    @lab.task(retries=1)
    def sample(directory: str) -> int:
        step: int = current().restore(0)
        count(directory, f"from-{step}")
        current().save(step + 1)
        if step < 3:
            raise ValueError("interrupted")
        return step

    @lab.flow
    def study(directory: str) -> Any:
        return sample(directory)

    with pytest.raises(RunFailed):
        study(str(tmp_path))
    assert set(counted(tmp_path)) >= {"from-0", "from-1"}
    assert study(str(tmp_path)) == 3
    assert {name: number for name, number in counted(tmp_path).items() if name.startswith("from")} == {
        f"from-{step}": 1 for step in range(4)
    }
