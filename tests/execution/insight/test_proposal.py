"""What is proposed, from what was used."""

from __future__ import annotations

import pytest

from daskflow.execution.insight.proposal import ENOUGH, Proposal, Sample, propose, quantile
from daskflow.model.policy import Resources

MIB, GIB = 2**20, 2**30


def sample(**fields: float) -> Sample:
    given: dict[str, float] = {"seconds": 100.0, "cpu": 95.0, "memory": GIB, "cores": 1, "asked": 4 * GIB}
    return Sample(**given | fields)  # type: ignore[arg-type]


def proposed(*samples: Sample, starved: tuple[Sample, ...] = ()) -> Proposal:
    found = propose([*samples, *[sample()] * (ENOUGH - len(samples))], starved)
    assert found is not None
    return found


def test_of_a_few_nothing_is_known() -> None:
    assert propose([sample()] * (ENOUGH - 1)) is None
    assert propose([]) is None


def test_memory_is_the_highest_and_a_fifth_more() -> None:
    assert proposed().memory == 1280 * MIB
    assert proposed(sample(memory=10 * GIB)).memory == 12 * GIB
    assert proposed(sample(memory=100 * GIB)).memory == 120 * GIB
    assert propose([sample(memory=1)] * ENOUGH) == Proposal(1, 32 * MIB, 180.0)


def test_time_is_that_of_most_and_a_third_more() -> None:
    assert proposed().walltime == 180.0
    assert propose([*[sample()] * 99, sample(seconds=10_000.0, cpu=9_500.0)]) == proposed(), "one in a hundred is odd"
    assert propose([sample(seconds=0.01, cpu=0.01)] * 9).walltime == 10.0  # type: ignore[union-attr]


@pytest.mark.parametrize(("cpu", "cores"), [(1.0, 1), (95.0, 1), (120.0, 1), (130.0, 2), (380.0, 4), (0.0, 1)])
def test_cores_are_those_that_are_kept_busy(cpu: float, cores: int) -> None:
    assert propose([sample(cpu=cpu, cores=4)] * ENOUGH).cores == cores  # type: ignore[union-attr]


def test_who_was_killed_for_memory_needs_more_than_was_seen() -> None:
    assert proposed(starved=(sample(memory=3 * GIB, asked=3 * GIB),)).memory == 6 * GIB


TEXTS = [
    Proposal(2, 3 * 2**29, 720.0),
    Proposal(1, 32 * MIB, 10.0),
    Proposal(1, 1664 * MIB, 90.0),
    Proposal(64, 120 * GIB, 9 * 3600.0 + 1800),
]


@pytest.mark.parametrize("made", TEXTS)
def test_the_text_can_be_pasted(made: Proposal) -> None:
    found = eval(made.text, {"Resources": Resources})
    assert (found.cores, found.memory, found.walltime) == made


def test_quantiles() -> None:
    assert quantile([5.0], 0.95) == 5.0
    assert quantile(range(1, 101), 0.95) == 95
    assert quantile([2, 1, 3], 0.5) == 2
