from __future__ import annotations

import pytest

from daskflow.execution.sending.bundles import TINY
from daskflow.execution.sending.pace import PROBES, Pace
from tests.execution.handmade import ended, job


def test_what_ends_teaches_how_long_its_task_takes() -> None:
    pace = Pace()
    one = job("fit-1", name="fit")
    assert pace.unknown([one]) == {"fit"}
    assert pace.usual(one) == 0
    pace.ended(one, ended(one, seconds=4.0))
    assert pace.unknown([one]) == set()
    assert pace.usual(one) == pytest.approx(4.0)
    pace.ended(one, ended(one, "failed", seconds=2.0))
    assert pace.usual(one) == pytest.approx(3.9)


def test_this_run_counts_more_than_those_before() -> None:
    pace = Pace()
    one = job("fit-1", name="fit")
    pace.ended(one, ended(one, seconds=4.0))
    pace.learn({"fit": 1.0, "plot": 2.0})
    assert pace.usual(one) == pytest.approx(4.0)
    assert pace.usual(job("plot-1", name="plot")) == 2.0


def test_many_wait_for_the_first_few() -> None:
    pace = Pace()
    jobs = [job(f"fit-{number}", name="fit") for number in range(20)]
    waiting = [pace.waits(one, 2, 20) for one in jobs]
    assert waiting == [False] * PROBES * 2 + [True] * (20 - PROBES * 2)
    pace.ended(jobs[0], ended(jobs[0]))
    assert not any(pace.waits(one, 2, 16) for one in jobs[4:])


def test_few_do_not_wait() -> None:
    pace = Pace()
    assert not any(pace.waits(job(f"fit-{n}", name="fit"), 2, 2 * PROBES * 2) for n in range(2 * PROBES * 2))


@pytest.mark.parametrize("state", ["cached", "skipped", "lost", "returned"])
def test_a_probe_that_teaches_nothing_lets_another_go(state: str) -> None:
    pace = Pace()
    probes = [job(f"fit-{number}", name="fit") for number in range(PROBES)]
    assert [pace.waits(one, 1, 99) for one in [*probes, job("fit-x", name="fit")]] == [*[False] * PROBES, True]
    for probe in probes:
        if state == "returned":
            pace.returned(probe)
        elif state == "lost":
            pace.ended(probe, ended(probe, "failed", host="", seconds=0.0))
        else:
            pace.ended(probe, ended(probe, state, host="", seconds=0.0))
    assert pace.unknown(probes) == {"fit"}, "nothing was performed, so nothing was learned"
    assert [pace.waits(job(f"fit-y{n}", name="fit"), 1, 99) for n in range(PROBES + 1)] == [*[False] * PROBES, True]


def test_which_jobs_are_tiny() -> None:
    pace = Pace()
    pace.learn({"quick": TINY / 2, "slow": 2 * TINY})
    jobs = [
        job("a", name="quick"),
        job("b", name="quick", timeout=5),
        job("c", name="quick"),
        job("d", name="slow"),
        job("e", name="unknown"),
    ]
    assert pace.tiny(jobs, {"c"}) == {"a": TINY / 2}
