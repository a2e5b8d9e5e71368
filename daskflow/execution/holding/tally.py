"""Counts what the attempts at the jobs of one run come to: failures, and the time of those that were handed over."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from daskflow.model.outcome import Outcome
from daskflow.model.states import JobState


class _Spent(NamedTuple):
    """What the attempts at one job used that were handed over."""

    seconds: float
    cpu: float
    memory: int


_NOTHING = _Spent(0.0, 0.0, 0)


class Tally:
    """What the attempts at the jobs of one run come to.

    Notes
    -----
    Not safe for threads: its engine calls it with its lock held.
    """

    def __init__(self) -> None:
        self.failures: Counter[str] = Counter()
        """How many attempts failed that count as `retries`, by key of the job."""
        self._spent: dict[str, _Spent] = {}

    def note(self, outcome: Outcome) -> None:
        """An attempt ended."""
        if outcome.state == JobState.failed:
            # Without a number the pilot was lost under it: nobody's failure.
            self.failures[outcome.key] += 1 if outcome.attempt else 0
        elif outcome.state == JobState.waiting and outcome.value is None:
            before = self._spent.get(outcome.key, _NOTHING)
            self._spent[outcome.key] = _Spent(
                before.seconds + outcome.stop - outcome.start,
                before.cpu + outcome.cpu,
                max(before.memory, outcome.memory),
            )

    def forgive(self, key: str) -> None:
        """The failures of a job were not its own."""
        self.failures.pop(key, None)

    def whole(self, outcome: Outcome) -> Outcome:
        """What the last attempt at a job left, with what those before it used that were handed over.

        It begins so much earlier: how long a job takes is how long it was performed, wherever that was.
        """
        if not outcome.final or outcome.state not in (JobState.succeeded, JobState.failed):
            return outcome
        before = self._spent.pop(outcome.key, None)
        if before is None:
            return outcome
        return outcome._replace(
            start=outcome.start - before.seconds,
            cpu=outcome.cpu + before.cpu,
            memory=max(outcome.memory, before.memory),
        )
