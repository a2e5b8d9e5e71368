"""One node on its way through a bucket, as the driver knows it."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from daskflow.model.work import Work
from daskflow.sites.site import Listener, Node

_UNFIT = re.compile(r"[^a-z0-9-]+")
_LONGEST = 128
_BRIEF = 10.0
"""Who gives a work back sooner has not performed it [s]."""


class Step(StrEnum):
    """How far a node has come."""

    waiting = "waiting"
    """It is to be deposited, or found among the works of an earlier driver."""
    queued = "queued"
    running = "running"
    told = "told"
    """The listener knows what became of it, or wants it no more."""
    left = "left"
    """Nobody listens any more; its work stays for whoever resumes the run."""


@dataclass(eq=False)
class Deposit:
    """One node that an agent performs."""

    node: Node
    listener: Listener
    foreign: dict[str, Any]
    """Tasks of dask collections that it takes the values of."""
    step: Step = Step.waiting
    id: str = ""
    """Of its work, as far as there is one."""
    attempt: int = 0
    """The latest attempt at its work of which is known."""
    given_back: int = 0
    """So many of the attempts, as far as is known, were no fault of the work."""
    since: float = field(default_factory=time.monotonic)
    """When it came to this step [s]; that an agent has only looked at its work is no step."""
    _waited: float = 0.0

    @property
    def key(self) -> str:
        """Key of the node."""
        return self.node.key

    @property
    def job(self) -> str:
        """What is performed, the same whenever it is."""
        return self.node.name or self.node.key

    @property
    def over(self) -> bool:
        """Whether nobody waits for it here."""
        return self.step in (Step.told, Step.left)

    def go(self, step: Step) -> None:
        """Come to another step; nothing happens where it is at this one."""
        if step is self.step:
            return
        before, self.step, since = self.step, step, self.since
        self.since = time.monotonic()
        if before is Step.queued:
            self._waited = since
        elif (before, step) == (Step.running, Step.queued) and self.since - since < _BRIEF:
            self.since = self._waited  # refused, as by an agent with another key, and not performed

    def event(self, kind: str, **data: Any) -> None:
        """Have something recorded that happened to its work."""
        self.listener.tell(kind, json.dumps({"job": self.job, **data}))


def bucket_of(kind: str) -> str:
    """The bucket of jobs of a task.

    Examples
    --------
    >>> bucket_of("Fit_dm"), bucket_of("")
    ('fit-dm', 'jobs')
    """
    return _UNFIT.sub("-", kind.lower()).strip("-")[:_LONGEST] or "jobs"


def portions(works: Iterable[tuple[Deposit, Work]], most: int) -> Iterator[list[tuple[Deposit, Work]]]:
    """Works in such portions as a server takes at a time.

    Parameters
    ----------
    most
        Parameters of one portion take so much at most, but for a single work that has more [bytes].
    """
    portion: list[tuple[Deposit, Work]] = []
    size = 0
    for deposit, work in works:
        more = sum(map(len, (work.parameters or {}).values()))
        if portion and size + more > most:
            yield portion
            portion, size = [], 0
        portion.append((deposit, work))
        size += more
    if portion:
        yield portion
