"""Says why a job had to run: what changed since it, or one like it, was last known."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from daskflow.model.records import JobRecord
from daskflow.model.states import JobState
from daskflow.stores import Journal

_JOB = re.compile(r"\b(job|part)\(([A-Za-z_][\w.\-]*-[0-9a-f]{32})")
"""How an upstream job stands in the text of an argument."""
_FOLLOWED = 200
"""So many upstream jobs of one job are looked at."""
_STEPS = 500
"""So many jobs a trace has at most."""


def explain(journal: Journal, record: JobRecord, parts: Mapping[str, str] | None = None) -> list[str]:
    """Why a job ran, or would run, in words that name functions, versions, values and upstream jobs.

    Parameters
    ----------
    record
        The job.
    parts
        The parts of its fingerprint, where it is not recorded yet.
    """
    if record.state is JobState.cached:
        return [f"{record.key} was not run: {record.reason or 'its result is known'}"]
    earlier = journal.earlier_job(record)
    if earlier is None:
        return [f"no job of the task {record.task} ran before"]
    change = _change(journal, earlier, record, parts)
    return change.all or [f"{earlier.key} of run {earlier.run} is alike, but its result was not kept"]


class Step(NamedTuple):
    """One job on the way from a job to the reason why it ran."""

    job: JobRecord
    reasons: list[str]
    """What changed; all that is known of it."""
    root: bool
    """Whether the job itself changed: its code, a version or a value, not only the jobs that it depends on."""
    below: str
    """The key of the job that led here; empty for the first."""


def trace(journal: Journal, record: JobRecord) -> list[Step]:
    """Why a job ran, followed from job to upstream job, down to those that changed themselves.

    Of jobs of one task that changed in the same way one stands for all. The job itself comes first.
    """
    earlier = journal.earlier_job(record)
    if earlier is None or (record.state is JobState.cached and not _made_in_its_run(journal, record)):
        return [Step(record, explain(journal, record), True, "")]
    steps: list[Step] = []
    todo: list[tuple[JobRecord | None, JobRecord, str]] = [(earlier, record, "")]
    if record.state is JobState.cached:
        steps.append(Step(record, explain(journal, record), False, ""))
        todo = [(old, new, record.key) for old, new in _changed_upstream(journal, earlier, record)]
    return _followed(journal, steps, todo)


def _made_in_its_run(journal: Journal, record: JobRecord) -> bool:
    """Whether a cached job was new: early cutoff found its result under another key."""
    since = journal.known_since(record.key)
    return since is not None and since[0] == record.run


def _followed(journal: Journal, steps: list[Step], todo: list[tuple[JobRecord | None, JobRecord, str]]) -> list[Step]:
    seen: set[tuple[str, ...]] = set()
    while todo:
        before, after, below = todo.pop(0)
        change = _change(journal, before, after) if before is not None else _appeared(after)
        alike = (after.task, *change.own) if change.own else (after.key,)
        if alike in seen or len(steps) == _STEPS:
            continue
        seen.add(alike)
        steps.append(Step(after, change.all or explain(journal, after), bool(change.own), below))
        if before is not None:
            todo.extend((old, new, after.key) for old, new in _changed_upstream(journal, before, after))
    return steps


class _Change(NamedTuple):
    """How a job differs from an earlier one."""

    own: list[str]
    """In its code, the versions of packages, and values."""
    upstream: list[str]
    """In the jobs that it depends on."""

    @property
    def all(self) -> list[str]:
        """Both."""
        return self.own + self.upstream


def _appeared(job: JobRecord) -> _Change:
    return _Change([f"nothing like {job.key} was there before"], [])


def _change(journal: Journal, earlier: JobRecord, record: JobRecord, parts: Mapping[str, str] | None = None) -> _Change:
    now = dict(parts) if parts is not None else journal.fingerprint(record.fingerprint)
    values, upstream = _arguments(earlier, record)
    return _Change(_code(journal.fingerprint(earlier.fingerprint), now) + values, upstream)


def _code(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    reasons = []
    for name in sorted(before.keys() | after.keys()):
        old, new = before.get(name), after.get(name)
        if old == new:
            continue
        if old is None:
            reasons.append(f"{name} is used now" + ("" if _is_digest(new) else f": {new}"))
        elif new is None:
            reasons.append(f"{name} is used no more")
        elif _is_digest(old) or _is_digest(new):
            reasons.append(f"{name} changed")
        else:
            reasons.append(f"{name} changed: {old} -> {new}")
    return reasons


def _is_digest(text: str | None) -> bool:
    return text is not None and len(text) == 32 and not set(text) - set("0123456789abcdef")


def _arguments(earlier: JobRecord, record: JobRecord) -> tuple[list[str], list[str]]:
    """What changed among the values, and among the upstream jobs that stand in arguments."""
    before, after = _lines(earlier.recipe), _lines(record.recipe)
    values, upstream = [], []
    for name in dict.fromkeys([*before, *after]):
        old, new = before.get(name), after.get(name)
        if old == new:
            continue
        if _hides_jobs(old, new) and record.upstream:
            upstream.append(f"{name} holds jobs or values which are not those they were")
        elif _without_jobs(old) == _without_jobs(new) and old is not None and new is not None:
            upstream.append(_comes_from(name, old, new))
        elif old is not None and new is not None and _rest(old) == _rest(new):
            values.append(f"argument {name} holds other jobs: {len(_keys(old))} before, {len(_keys(new))} now")
        else:
            values.append(f"argument {name} changed: {_short(old)} -> {_short(new)}")
    return values, upstream


def _comes_from(name: str, old: str, new: str) -> str:
    keys = [key for key in _keys(new) if key not in _keys(old)]
    if len(keys) == 1:
        return f"{name} comes from {keys[0]}, which is not the job it was"
    return f"{name} comes from {len(keys)} jobs which are not those they were: {keys[0]}, ..."


def _hides_jobs(old: str | None, new: str | None) -> bool:
    """Whether all that is known of a long argument is a digest, of a text that may name jobs."""
    return bool(old and new and old.startswith("digest(") and new.startswith("digest("))


def _keys(text: str) -> list[str]:
    return [key for _, key in _JOB.findall(text)]


def _without_jobs(text: str | None) -> str:
    """The text with the digests of jobs left out: equal for arguments that differ only in these."""
    return _JOB.sub(lambda match: f"{match[1]}({match[2][:-32]}", text or "")


def _rest(text: str) -> str:
    """The text without jobs: all that is left of a list of jobs is its form."""
    return re.sub(r"\),?", ")", _JOB.sub("", text)).replace(")", "")


def _lines(recipe: str) -> dict[str, str]:
    return dict(line.partition("=")[::2] for line in recipe.split("\n") if line)


def _short(text: str | None) -> str:
    if text is None:
        return "(not there)"
    return text if len(text) <= 80 else f"{text[:77]}..."


def _changed_upstream(
    journal: Journal, earlier: JobRecord, record: JobRecord
) -> list[tuple[JobRecord | None, JobRecord]]:
    """Upstream jobs that were not there before, each with the one whose place it most probably took."""
    before = [journal.job(earlier.run, number) for number in earlier.upstream[:_FOLLOWED]]
    after = [journal.job(record.run, number) for number in record.upstream[:_FOLLOWED]]
    same = {job.key for job in before} & {job.key for job in after}
    left = [job for job in before if job.key not in same]
    return [(_counterpart(job, left), job) for job in after if job.key not in same]


def _counterpart(job: JobRecord, candidates: list[JobRecord]) -> JobRecord | None:
    alike = [other for other in candidates if other.task == job.task]
    found = max(alike, key=lambda other: _likeness(other, job), default=None)
    if found is not None:
        candidates.remove(found)
    return found


def _likeness(one: JobRecord, other: JobRecord) -> tuple[bool, int]:
    common = set(one.recipe.splitlines()) & set(other.recipe.splitlines())
    return _without_jobs(one.recipe) == _without_jobs(other.recipe), len(common)
