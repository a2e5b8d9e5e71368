"""Bundles tiny jobs: one dask task costs a millisecond or more, a tiny job a hundredth of that.

Chains are joined first, then groups that stand on the same level of the graph: between these no job can depend on
another, so bundling them never makes a circle.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from daskflow.graph.job import Collection, Job

TINY = 0.02
"""A job that takes longer than this is not bundled [s]."""
FULL = 0.1
"""A bundle takes about that long [s]."""
_LEAST = 30e-6
"""What performing any job takes [s]."""

Group = list[Job]


def bundle(jobs: Sequence[Job], seconds: Mapping[str, float], slots: int) -> list[Group]:
    """Groups of jobs, each to be performed by one dask task.

    Parameters
    ----------
    jobs
        Upstream first.
    seconds
        How long the tiny ones take, by key [s]; the others are left out and stay alone.
    slots
        How many tasks the site performs at a time: there will be at least twice as many bundles, if that many jobs.

    Returns
    -------
    list of lists of jobs
        Each job in one group, and the groups in an order in which they can be performed.
    """
    if not seconds:
        return [[job] for job in jobs]
    chains = _chains(jobs, seconds)
    leveled: dict[tuple[int, str], list[Group]] = {}
    for group, level in zip(chains, _levels(chains), strict=True):
        name = group[0].task.policy.name if group[0].key in seconds else group[0].key
        leveled.setdefault((level, name), []).append(group)
    bundles: list[Group] = []
    for _, groups in sorted(leveled.items(), key=lambda item: item[0][0]):
        bundles.extend(_packed(groups, seconds, slots))
    return bundles


def _chains(jobs: Sequence[Job], seconds: Mapping[str, float]) -> list[Group]:
    inside = {job.key for job in jobs}
    dependents: dict[str, int] = {}
    for job in jobs:
        for up in job.upstream:
            if isinstance(up, Job) and up.key in inside:
                dependents[up.key] = dependents.get(up.key, 0) + 1
    chains: list[Group] = []
    end_of: dict[str, tuple[int, float]] = {}
    for job in jobs:
        # What is performed elsewhere counts too: the job before must not wait for it.
        above = [up.key if isinstance(up, Job) else "" for up in job.upstream if not _is_there(up)]
        cost = seconds.get(job.key, FULL) + _LEAST
        joins = len(above) == 1 and above[0] in end_of and dependents[above[0]] == 1 and job.key in seconds
        index, length = end_of[above[0]] if joins else (len(chains), 0.0)
        if joins and length + cost <= FULL:
            chains[index].append(job)
        else:
            index, length = len(chains), 0.0
            chains.append([job])
        if job.key in seconds:
            end_of[job.key] = (index, length + cost)
    return chains


def _is_there(up: Job | Collection) -> bool:
    return isinstance(up, Job) and up.state.final


def _levels(groups: Sequence[Group]) -> list[int]:
    level: dict[str, int] = {}
    levels = []
    for group in groups:
        above = [level[up.key] for job in group for up in job.upstream if isinstance(up, Job) and up.key in level]
        own = max(above, default=-1) + 1
        levels.append(own)
        for job in group:
            level[job.key] = own
    return levels


def _packed(groups: list[Group], seconds: Mapping[str, float], slots: int) -> list[Group]:
    costs = [sum(seconds.get(job.key, FULL) + _LEAST for job in group) for group in groups]
    room = min(FULL, max(sum(costs) / (2 * slots), *costs))
    bundles: list[Group] = [[]]
    filled = 0.0
    for group, cost in zip(groups, costs, strict=True):
        if bundles[-1] and filled + cost > room:
            bundles.append([])
            filled = 0.0
        bundles[-1].extend(group)
        filled += cost
    return bundles
