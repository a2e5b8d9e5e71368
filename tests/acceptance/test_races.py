"""Who loses a race, or is cancelled, is really dead, and its slot performs the next job."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from daskflow.execution.run import Run
from daskflow.graph.race import Racer
from daskflow.settings.options import SiteSettings
from tests.conftest import Lab, settings_in
from tests.execution.patience import alive, until
from tests.sites.deeds import loop, noted, program

LIMIT = 5.0
"""In this time after a race nothing of the losers is alive [s]."""


@pytest.fixture
def wide(tmp_path: Path) -> Iterator[Lab]:
    """A laboratory with room for eight jobs."""
    sites = {"local": SiteSettings(workers=4, threads=2), "threads": SiteSettings(kind="threads", workers=8)}
    lab = Lab(settings_in(tmp_path, sites=sites), {})
    yield lab
    lab.close()


def states(lab: Lab, run: Run) -> dict[str, dict[str, int]]:
    """What the journal tells of the jobs of a run."""
    return lab.project.journal.counts(run.id)


def tasks_of(lab: Lab, site: str) -> list[str]:
    """What the dask scheduler of a site still knows of jobs."""
    cluster: Any = lab.project.site(site)
    return [str(key) for key in cluster._closing[0].scheduler.tasks]


@pytest.mark.parametrize("site", ["local", "threads"])
def test_losers_are_dead_and_their_slots_are_free(wide: Lab, tmp_path: Path, site: str) -> None:
    pids, gate = tmp_path / "pids", tmp_path / "gate"
    first = Racer(wide.launcher)

    @wide.task
    def endless(n: int, path: str) -> int:
        loop(path)
        return n

    @wide.task
    def programs(n: int, path: str) -> int:
        program(path)
        return n

    @wide.task
    def quick(path: str, pids: str) -> str:
        # Imported in the forked process, beside other threads that import it.
        from tests.sites.deeds import wait_for  # noqa: PLC0415

        return wait_for(path, pids)

    @wide.task
    def follow(text: str) -> str:
        return f"{text} and won"

    @wide.task
    def next_one(n: int) -> int:
        return n

    @wide.flow(site=site)
    def race(pids: str, gate: str) -> Any:
        losers = [endless(n, pids) for n in range(4)] + [programs(n, pids) for n in range(3)]
        followed = follow(first([*losers[:4], quick(gate, pids), *losers[4:]]))
        followed.result()
        return followed, [next_one(n) for n in range(16)]

    run = race.submit(str(pids), str(gate))
    until(lambda: len(noted(pids)) == 14)  # each program is two processes beside its job
    gate.touch()
    start = time.monotonic()
    until(lambda: not any(alive(pid) for pid in noted(pids)), LIMIT + 55)
    assert time.monotonic() - start < LIMIT
    assert run.result(60) == ("waited and won", list(range(16)))
    counts = states(wide, run)
    assert counts["endless"] == {"cancelled": 4}
    assert counts["programs"] == {"cancelled": 3}
    assert counts["quick"] == counts["first"] == counts["follow"] == {"succeeded": 1}
    assert counts["next_one"] == {"succeeded": 16}
    until(lambda: not tasks_of(wide, site))


def test_where_jobs_run_one_after_the_other_those_after_the_winner_end_too(lab: Lab, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    first = Racer(lab.launcher)

    @lab.task
    def endless(path: str) -> None:
        loop(path)

    @lab.task
    def programs(path: str) -> None:
        program(path)

    @lab.task
    def quick(n: int) -> int:
        return n

    @lab.flow(site="synchronous")
    def race(pids: str) -> Any:
        return quick(first([quick(1), endless(pids), programs(pids)])), quick(3)

    run = race.submit(str(pids))
    assert run.result(60) == (1, 3)
    assert not any(alive(pid) for pid in noted(pids) if pid != os.getpid())
    counts = states(lab, run)
    assert counts["endless"] == counts["programs"] == {"cancelled": 1}
