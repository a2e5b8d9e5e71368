"""What an attempt may use of the batch job that it is made in."""

from __future__ import annotations

from daskflow.execution.worker.package import ONCE, Assignment, Attempts
from daskflow.execution.worker.shares import kept_here, share_of, share_process
from tests.execution.worker.allocations import GIB, allocation
from tests.execution.worker.conftest import Settle


def test_without_a_batch_job_limits_are_as_declared() -> None:
    limits = Attempts(memory=5)
    assert kept_here(limits) is limits
    assert kept_here(ONCE) is ONCE
    assert share_of(None, 4).memory is None
    assert share_of(7, 4).memory == 7
    assert not share_process([Assignment("one", 0, [])])


def test_a_share_is_by_cores() -> None:
    place = allocation(cores=4, memory=8 * GIB)
    assert share_of(None, 1, place).memory == 2 * GIB
    assert share_of(None, 3, place).memory == 6 * GIB
    assert share_of(None, 9, place).memory == 8 * GIB, "not more than there is"
    assert "by 1 of 4 cores, of the 8 GiB of the batch job 12_0 on n3" in share_of(None, 1, place).basis


def test_what_was_declared_counts() -> None:
    found = share_of(3 * GIB, 1, allocation())
    assert found.memory == 3 * GIB
    assert found.basis == "as was asked for"


def test_a_batch_job_that_does_not_know_its_memory_limits_nothing() -> None:
    assert share_of(None, 1, allocation(memory=0)).memory is None


def test_attempts_in_batch_jobs_have_processes_of_their_own(settled: Settle) -> None:
    settled()
    found = kept_here(ONCE)
    assert (found.memory, found.apart, found.whole) == (GIB // 4, True, True)
    assert kept_here(Attempts(memory=5, retries=3)) == Attempts(
        memory=5, retries=3, isolated=True, whole=True, basis="as was asked for"
    )


def test_only_bundles_without_limits_share_a_process(settled: Settle) -> None:
    settled()
    plain = Assignment("one", 0, [])
    assert share_process([plain, plain])
    assert share_process([plain._replace(attempts=Attempts(retries=2))])
    for limits in (Attempts(memory=5), Attempts(timeout=1.0), Attempts(gpus=1), Attempts(cores=2), Attempts(kept=True)):
        assert not share_process([plain, plain._replace(attempts=limits)])
