from __future__ import annotations

import pytest

from daskflow.execution.holding.tally import Tally
from daskflow.model.outcome import Failure
from tests.execution.handmade import ended, job, stored

ONE = job("one")


def test_failures_count_but_not_those_of_a_pilot() -> None:
    tally = Tally()
    tally.note(ended(ONE, "failed"))
    tally.note(ended(ONE, "failed")._replace(attempt=0))
    tally.note(ended(ONE))
    tally.note(ended(ONE, "waiting"))
    assert tally.failures["one"] == 1
    assert tally.failures["another"] == 0
    tally.forgive("one")
    assert tally.failures["one"] == 0


@pytest.mark.parametrize("state", ["succeeded", "failed"])
def test_the_last_attempt_has_the_time_of_those_that_were_handed_over(state: str) -> None:
    tally = Tally()
    tally.note(ended(ONE, "waiting", seconds=10.0, cpu=4.0, memory=7, final=False))
    tally.note(ended(ONE, "waiting", seconds=5.0, cpu=1.0, memory=3, final=False))
    another = ended(ONE, "failed", final=False)
    assert tally.whole(another) is another, "it is followed by another one"
    last = ended(ONE, state, seconds=1.0, cpu=0.5, memory=5)
    found = tally.whole(last)
    assert found.stop == last.stop
    assert found.stop - found.start == pytest.approx(16.0)
    assert (found.cpu, found.memory) == (5.5, 7)
    assert tally.whole(last) is last, "it is counted once"


def test_who_returned_jobs_handed_nothing_over() -> None:
    tally = Tally()
    tally.note(ended(ONE, "waiting", value=stored(), final=False))
    last = ended(ONE, failure=Failure("ValueError", "", ""))
    assert tally.whole(last) is last
