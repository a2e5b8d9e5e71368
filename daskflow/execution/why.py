"""Says why a job had to run: what changed since it, or one like it, was last known."""

from __future__ import annotations

from collections.abc import Mapping

from daskflow.model.records import JobRecord
from daskflow.model.states import JobState
from daskflow.stores import Journal


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
        since = journal.known_since(record.key)
        return [
            f"{record.key} was not run: {record.reason or 'its result is known'}{f', made by {since[0]}' if since else ''}"
        ]
    earlier = journal.earlier_job(record)
    if earlier is None:
        return [f"no job of the task {record.task} ran before"]
    now = dict(parts) if parts is not None else journal.fingerprint(record.fingerprint)
    reasons = _code(journal.fingerprint(earlier.fingerprint), now) + _arguments(journal, earlier, record)
    return reasons or [f"{earlier.key} of run {earlier.run} is alike, but its result was not kept"]


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


def _arguments(journal: Journal, earlier: JobRecord, record: JobRecord) -> list[str]:
    before, after = _lines(earlier.recipe), _lines(record.recipe)
    reasons = []
    for name in dict.fromkeys([*before, *after]):
        old, new = before.get(name), after.get(name)
        if old == new:
            continue
        upstream = _upstream(new)
        if upstream is not None:
            reasons.append(f"{name} comes from {upstream}, which is not the job it was")
        else:
            reasons.append(f"argument {name} changed: {_short(old)} -> {_short(new)}")
    return reasons


def _lines(recipe: str) -> dict[str, str]:
    return dict(line.partition("=")[::2] for line in recipe.split("\n") if line)


def _upstream(text: str | None) -> str | None:
    for head in ("job(", "part("):
        if text is not None and text.startswith(head):
            return text[len(head) : -1].partition(",")[0]
    return None


def _short(text: str | None) -> str:
    if text is None:
        return "(not there)"
    return text if len(text) <= 80 else f"{text[:77]}..."


def upstream_keys(record: JobRecord) -> list[str]:
    """The keys of the jobs that stand alone as arguments of a job."""
    found = [_upstream(text) for text in _lines(record.recipe).values()]
    return [key for key in found if key is not None]
