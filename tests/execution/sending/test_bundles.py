from __future__ import annotations

from graphlib import TopologicalSorter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daskflow.execution.sending.bundles import FULL, TINY, Group, bundle
from daskflow.graph.job import Job
from daskflow.model.states import JobState
from tests.execution.handmade import job


@st.composite
def graphs(draw: st.DrawFn) -> tuple[list[Job], dict[str, float]]:
    """Jobs, upstream first, with the times of the tiny ones."""
    jobs: list[Job] = []
    seconds = {}
    for number in range(draw(st.integers(1, 40))):
        upstream = draw(st.lists(st.sampled_from(jobs), max_size=3, unique_by=lambda up: up.key)) if jobs else []
        name = draw(st.sampled_from(["fit", "plot", "sum"]))
        jobs.append(job(f"{name}-{number}", *upstream, name=name))
        if draw(st.booleans()):
            seconds[jobs[-1].key] = draw(st.floats(0, TINY))
    return jobs, seconds


def quotient(groups: list[Group]) -> dict[int, set[int]]:
    """Which groups each group depends on."""
    home = {job.key: number for number, group in enumerate(groups) for job in group}
    return {
        number: {home[up.key] for job in group for up in job.upstream if isinstance(up, Job)} - {number}
        for number, group in enumerate(groups)
    }


@given(graphs(), st.integers(1, 8))
def test_groups_can_be_performed_in_their_order(drawn: tuple[list[Job], dict[str, float]], slots: int) -> None:
    jobs, seconds = drawn
    groups = bundle(jobs, seconds, slots)
    assert sorted(job.key for group in groups for job in group) == sorted(job.key for job in jobs)
    dependencies = quotient(groups)
    tuple(TopologicalSorter(dependencies).static_order())
    assert all(max(found, default=-1) < number for number, found in dependencies.items())
    for group in groups:
        seen: set[str] = set()
        inside = {member.key for member in group}
        for member in group:
            assert all(up.key in seen for up in member.upstream if isinstance(up, Job) and up.key in inside)
            seen.add(member.key)


@given(graphs(), st.integers(1, 8))
def test_only_tiny_jobs_are_bundled_and_no_bundle_is_overfull(
    drawn: tuple[list[Job], dict[str, float]], slots: int
) -> None:
    jobs, seconds = drawn
    for group in bundle(jobs, seconds, slots):
        if len(group) > 1:
            assert all(member.key in seconds for member in group)
            assert sum(seconds[member.key] for member in group) <= FULL + 1e-9


@pytest.mark.parametrize("slots", [1, 2, 7])
@pytest.mark.parametrize("count", [1, 14, 15, 100, 1000])
@pytest.mark.parametrize("each", [0.0, 1e-4, 5e-3])
def test_there_is_work_for_every_slot(count: int, slots: int, each: float) -> None:
    jobs = [job(f"fit-{number}", name="fit") for number in range(count)]
    groups = bundle(jobs, {job.key: each for job in jobs}, slots)
    assert len(groups) >= min(count, 2 * slots)
    assert all(sum(each for _ in group) <= FULL for group in groups)


def test_no_times_no_bundles() -> None:
    jobs = [job(f"fit-{number}") for number in range(5)]
    assert bundle(jobs, {}, 1) == [[one] for one in jobs]


def test_a_chain_is_one_group_until_it_is_full() -> None:
    chain = [job("step-0", name="step")]
    for number in range(1, 100):
        chain.append(job(f"step-{number}", chain[-1], name="step"))
    groups = bundle(chain, {one.key: 1e-5 for one in chain}, 4)
    assert groups == [chain]
    groups = bundle(chain, {one.key: FULL / 10 for one in chain}, 4)
    assert [one for group in groups for one in group] == chain
    assert {len(group) for group in groups[:-1]} == {9}


def test_jobs_of_two_tasks_do_not_share_a_bundle() -> None:
    jobs = [job(f"{name}-{number}", name=name) for number in range(20) for name in ("fit", "plot")]
    groups = bundle(jobs, {one.key: 1e-5 for one in jobs}, 1)
    assert all(len({one.task.policy.name for one in group}) == 1 for group in groups)


def test_a_chain_does_not_wait_for_what_is_still_performed_elsewhere() -> None:
    slow = job("slow", name="slow")
    first = job("first", name="step")
    second = job("second", first, slow, name="step")
    times = {"first": 1e-5, "second": 1e-5}
    assert bundle([first, second], times, 1) == [[first], [second]]
    slow.state = JobState.succeeded
    assert bundle([first, second], times, 1) == [[first, second]]
