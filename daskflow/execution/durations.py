"""How long jobs will probably take: learned from those of the same code, and of inputs of about the same size."""

from __future__ import annotations

import math
from bisect import insort
from collections.abc import Callable, Iterable
from typing import Protocol

from daskflow.graph.job import Job
from daskflow.model.outcome import Outcome
from daskflow.model.states import JobState

PAST = 500
"""So many of the latest jobs of a task are looked at."""
ALIKE = 8
"""From so many jobs with inputs of about the same size on, only these count."""
_PART = 0.95


class Past(Protocol):
    """Who remembers how long jobs took: the journal."""

    def past(self, task: str, limit: int) -> list[tuple[str, float, int]]:
        """Fingerprint, duration [s] and size of inputs [bytes] of the latest jobs of a task that succeeded."""


class Durations:
    """How long the jobs of each task take at most, but for one in twenty.

    Parameters
    ----------
    journal
        Asked once for each task.
    size_of
        Gives the size of the upstream values that a job gets [bytes], or None where it is not known.

    Notes
    -----
    Not safe for threads. What the journal has is read when the first job of a task is asked for, or before, by
    `learn`; after that an answer takes a microsecond.
    """

    def __init__(self, journal: Past, *, size_of: Callable[[Job], int | None] | None = None) -> None:
        self._journal = journal
        self._size_of = size_of
        self._tasks: dict[str, _Task] = {}

    def learn(self, tasks: Iterable[str]) -> None:
        """Read what the journal has of these tasks."""
        for task in tasks:
            self._of(task)

    def expected(self, job: Job) -> float | None:
        """How long a job takes at most [s]; None where nobody knows."""
        size = None if self._size_of is None else self._size_of(job)
        return self._of(job.task.policy.name).expected(job.fingerprint, size)

    def ended(self, job: Job, outcome: Outcome) -> None:
        """An attempt at a job ended; those that succeeded teach how long the next ones take."""
        if outcome.state == JobState.succeeded and outcome.host:
            seconds = outcome.stop - outcome.start
            self._of(job.task.policy.name).add(job.fingerprint, seconds, outcome.taken)

    def _of(self, task: str) -> _Task:
        found = self._tasks.get(task)
        if found is None:
            found = _Task()
            for fingerprint, seconds, size in self._journal.past(task, PAST):
                found.add(fingerprint, seconds, size)
            self._tasks[task] = found
        return found


class _Task:
    """The durations of the jobs of one task."""

    def __init__(self) -> None:
        self._all = _Sorted()
        self._codes: dict[str, _Code] = {}

    def add(self, fingerprint: str, seconds: float, size: int) -> None:
        code = self._codes.get(fingerprint)
        if code is None:
            code = self._codes[fingerprint] = _Code()
        code.add(seconds, size)
        self._all.add(seconds)

    def expected(self, fingerprint: str, size: int | None) -> float | None:
        code = self._codes.get(fingerprint)
        # Of other code of the same name: better than nothing.
        return self._all.high() if code is None else code.expected(size)


class _Code:
    """The durations of the jobs of one fingerprint, and those of inputs of about the same size."""

    def __init__(self) -> None:
        self._all = _Sorted()
        self._sizes: dict[int, _Sorted] = {}

    def add(self, seconds: float, size: int) -> None:
        self._all.add(seconds)
        # Each size counts for the two octaves whose middles are next to it, so that whoever asks finds all within 2.
        for octave in _octaves(size):
            self._sizes.setdefault(octave, _Sorted()).add(seconds)

    def expected(self, size: int | None) -> float | None:
        if size is not None:
            alike = self._sizes.get(round(_log(size)))
            if alike is not None and len(alike) >= ALIKE:
                return alike.high()
        return self._all.high()


class _Sorted:
    """Durations in order, the latest of them."""

    def __init__(self) -> None:
        self._values: list[float] = []

    def __len__(self) -> int:
        return len(self._values)

    def add(self, seconds: float) -> None:
        if len(self._values) >= 2 * PAST:
            # Thinned out evenly: it keeps the shape, and what comes now counts the more.
            del self._values[::2]
        insort(self._values, seconds)

    def high(self) -> float | None:
        """What 95 of 100 do not exceed."""
        return self._values[max(0, math.ceil(_PART * len(self._values)) - 1)] if self._values else None


def _log(size: int) -> float:
    return math.log2(max(1, size))


def _octaves(size: int) -> set[int]:
    exact = _log(size)
    return {round(exact), math.floor(exact), math.ceil(exact)}
