"""Plans what has to run: what is remembered is cached, and of the rest what somebody needs is performed."""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import NamedTuple, TypeAlias

from daskflow.graph.encoding import Encoder
from daskflow.graph.job import PLAIN, Job, above
from daskflow.graph.task import code_text
from daskflow.model.outcome import Known, Stored
from daskflow.model.states import JobState
from daskflow.stores import Journal

Lost: TypeAlias = Callable[[Mapping[str, Known]], set[str]]


class Planned(NamedTuple):
    """What becomes of some jobs."""

    cached: list[tuple[Job, Known]]
    """Known from an earlier run; nothing to do."""
    needed: list[Job]
    """To be performed, upstream first."""
    spared: list[Job]
    """Not known, but nobody needs them: what depends on them is known."""
    gone: Collection[str] = ()
    """Keys of results that are recorded, but whose bytes are not there: new ones are to replace them."""


class Prior(NamedTuple):
    """What early cutoff knows of one job."""

    form: str
    """Digest of code and arguments without the upstream jobs."""
    results: tuple[tuple[str, Stored], ...]
    """Earlier results by the digest of what their upstream jobs gave."""


class Needs(NamedTuple):
    """What is known beforehand of what is needed."""

    asked: Collection[str] = ()
    """Keys of jobs that somebody waits for."""
    spare: Collection[str] = ()
    """Keys of jobs that only those use whose results are known already."""
    fresh: Collection[str] = ()
    """Keys of jobs that must be performed, whatever is remembered: they get a failure as a value."""


NOTHING = Needs()


def plan(jobs: Sequence[Job], journal: Journal, lost: Lost, needs: Needs = NOTHING) -> Planned:
    """Plan jobs that were made since the last time.

    Parameters
    ----------
    jobs
        Upstream first; all in state `created`.
    journal
        Asked once, for all keys together.
    lost
        Says of which of these results, by key, not all bytes are there still, or may be loaded.
    needs
        What else is known of what is needed.
    """
    known, gone = remembered(jobs, journal, lost, needs.fresh)
    cached = [(job, known[job.key]) for job in jobs if job.key in known]
    missing = [job for job in jobs if job.key not in known]
    needed = _needed(jobs, missing, needs) if cached or needs.spare else missing
    if len(needed) == len(missing):
        return Planned(cached, needed, [], gone)
    taken = {job.key for job in needed}
    return Planned(cached, needed, [job for job in missing if job.key not in taken], gone)


def remembered(
    jobs: Iterable[Job], journal: Journal, lost: Lost, fresh: Collection[str] = ()
) -> tuple[dict[str, Known], set[str]]:
    """The remembered results of jobs, by key, and the keys of those whose bytes are gone; one query for all.

    Bytes that are gone may come back: the disk that holds them may not be mounted today. So nothing is forgotten here.
    """
    keys = [job.key for job in jobs if job.task.policy.cache is not False]
    if fresh:
        keys = [key for key in keys if key not in fresh]
    known = journal.lookup(keys) if keys else {}
    gone = lost(known) if known else set()
    if gone:
        known = {key: found for key, found in known.items() if key not in gone}
    return known, gone


def _needed(jobs: Sequence[Job], missing: list[Job], needs: Needs) -> list[Job]:
    used = {up.key for job in jobs for up in job.upstream if isinstance(up, Job)}.union(needs.spare)
    wanted = set(needs.asked)
    found = []
    # From the last to the first: whether a job is needed is decided by those that depend on it.
    for job in reversed(missing):
        if job.key in wanted or job.key not in used:
            found.append(job)
            wanted.update(up.key for up in job.upstream if isinstance(up, Job))
    found.reverse()
    return found


def recalled(needed: Iterable[Job]) -> list[Job]:
    """The jobs that were spared before and are needed now, because something that depends on them is.

    They come upstream first.
    """
    found: dict[str, Job] = {}
    stack = [up for job in needed for up in (job.upstream if job.terms is PLAIN else above(job)) if isinstance(up, Job)]
    while stack:
        job = stack.pop()
        if job.state is JobState.created and job.key not in found:
            found[job.key] = job
            stack.extend(above(job))
    return sorted(found.values(), key=lambda job: job.number)


def priors(
    jobs: Iterable[Job],
    journal: Journal,
    file_digest: Callable[[pathlib.Path], str],
    readable: Callable[[Stored], bool],
) -> dict[str, Prior]:
    """What early cutoff knows of those jobs that depend on others, by key; one query for all."""
    encoder = Encoder(code_text, file_digest)
    forms = {job.key: job.form(encoder.encode) for job in jobs if job.upstream}
    found = journal.priors(forms.values()) if forms else {}
    return {
        key: Prior(form, tuple([prior for prior in found.get(form, ()) if readable(prior[1])]))
        for key, form in forms.items()
    }
