"""Jobs, sites and packages made by hand, for tests of single parts."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from daskflow.graph.job import Job
from daskflow.graph.task import Task
from daskflow.model.needs import Needs
from daskflow.model.outcome import Outcome, Stored
from daskflow.model.policy import Policy
from daskflow.sites import Node
from daskflow.sites.site import Listener

_numbers = itertools.count()


def nothing(*values: Any) -> None:
    """What hand-made jobs perform, if anybody performs them."""


def job(key: str, *upstream: Job, name: str = "work", **policies: Any) -> Job:
    """A job of a task `name`, which waits for others."""
    task = Task(nothing, Policy(name=name, **policies))
    made = Job(task, key, f"key={key}", task.fingerprint().id)
    made.upstream = upstream
    made.number = next(_numbers)
    return made


def stored(value: bytes = b"value") -> Stored:
    """A small result."""
    return Stored(value.hex(), len(value), "npy", value)


def ended(of: Job, state: str = "succeeded", *, seconds: float = 1.0, **fields: Any) -> Outcome:
    """What a worker tells of an attempt."""
    now = time.time()
    value = stored() if state in ("succeeded", "cached") else None
    given: dict[str, Any] = {"host": "a-host", "value": value, **fields}
    return Outcome(of.key, state, of.attempts + 1, now - seconds, now, **given)


class PaperSite:
    """A site that performs nothing and remembers what it was told."""

    def __init__(self, name: str = "paper", slots: int = 2, *, bundles: bool = True) -> None:
        self.name = name
        self.slots = slots
        self.bundles = bundles
        self.chains = True
        self.submitted: list[Node] = []
        self.released: list[str] = []
        self.killed: list[str] = []
        self.listeners: list[Listener] = []
        self.executing: list[str] = []

    def submit(
        self, nodes: Sequence[Node], kept: Iterable[str], listener: Listener, foreign: Mapping[str, Any]
    ) -> None:
        self.submitted.extend(nodes)
        self.listeners.append(listener)

    def release(self, keys: Iterable[str]) -> None:
        self.released.extend(keys)

    def recall(self, keys: Iterable[str]) -> set[str]:
        return set(keys)

    def kill(self, keys: Iterable[str]) -> set[str]:
        self.killed.extend(keys)
        return set(keys)

    def leave(self, listener: Listener) -> None:
        if listener in self.listeners:
            self.listeners.remove(listener)

    def fit(self, needs: Needs) -> str:
        return ""

    def larger(self, needs: Needs) -> Needs | None:
        return None

    def running(self) -> Sequence[str]:
        return self.executing

    def address(self) -> str:
        return ""

    def rest(self) -> None: ...

    def close(self) -> None: ...
