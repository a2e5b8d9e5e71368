"""What jobs do that are hard to kill, and nodes that do it."""

from __future__ import annotations

import contextlib
import itertools
import os
import pickle
import signal
import subprocess
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cloudpickle

from daskflow.artifacts.values import Values
from daskflow.execution.worker.package import Assignment, Attempts, Bench, Package, Shipped, pack
from daskflow.graph.structure import Slot
from daskflow.graph.task import Task
from daskflow.model.outcome import Live, Outcome
from daskflow.model.policy import Policy
from daskflow.sites import Node

GATE = threading.Event()
"""For jobs in threads of the tests' own process."""


def note(pids: str) -> None:
    """Write down the id of this process."""
    with open(pids, "a") as file:
        file.write(f"{os.getpid()}\n")


def noted(pids: Path) -> list[int]:
    """The ids that were written down."""
    return [int(line) for line in pids.read_text().split()] if pids.exists() else []


def loop(pids: str) -> None:
    """Never ends, and catches what it can."""
    note(pids)
    while True:
        with contextlib.suppress(Exception):
            sum(range(100))


def compiled(pids: str) -> None:
    """Never ends, and never lets go of the GIL."""
    note(pids)
    sum(itertools.repeat(0))


def program(pids: str) -> None:
    """Waits for a program that starts another."""
    note(pids)
    subprocess.run(["sh", "-c", f"echo $$ >> {pids}; sleep 1000 & echo $! >> {pids}; wait"], check=True)


def loop_beside_a_program(pids: str) -> None:
    """Never ends, and has started a program that never ends."""
    process = subprocess.Popen(["sleep", "1000"], start_new_session=True)
    with open(pids, "a") as file:
        file.write(f"{process.pid}\n")
    loop(pids)


def stubborn(pids: str) -> None:
    """Starts a process that starts a process in a session of its own, none of which minds SIGTERM."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    note(pids)
    if os.fork() == 0:
        note(pids)
        os.setsid()
        if os.fork() == 0:
            note(pids)
    while True:
        signal.pause()


def wait_for(gate: str, pids: str = "") -> str:
    """Waits until a file is there."""
    if pids:
        note(pids)
    while not os.path.exists(gate):
        threading.Event().wait(0.01)
    return "waited"


def wait_for_gate() -> str:
    """Waits in compiled code, in this process."""
    GATE.wait()
    return "waited"


class Ear:
    """A listener that reads what it is told."""

    def __init__(self) -> None:
        self.outcomes: list[Outcome] = []
        self.live: list[Live] = []
        self.losses: dict[str, tuple[str, str]] = {}
        self.errors: list[Exception] = []

    def performed(self, records: Sequence[bytes]) -> None:
        for item in itertools.chain.from_iterable(map(pickle.loads, records)):
            (self.live if isinstance(item, Live) else self.outcomes).append(item)

    def lost(self, key: str, reason: str, culprit: str) -> None:
        self.losses[key] = (reason, culprit)

    def tell(self, kind: str, data: str) -> None: ...

    def fail(self, error: Exception) -> None:
        self.errors.append(error)

    @property
    def states(self) -> dict[str, str]:
        return {outcome.key: outcome.state for outcome in self.outcomes}


class Deeds:
    """Makes nodes of functions."""

    def __init__(self, directory: Path) -> None:
        self.boxes = str(directory / "boxes")
        self._bench = pickle.dumps(Bench("a-run", Values(None), str(directory / "logs"), self.boxes))

    def node(self, key: str, function: Callable[..., Any], *arguments: Any, **limits: Any) -> Node:
        """A node of one job of the same key."""
        return self.bundle(key, function, [(key, *arguments)], **limits)

    def bundle(self, key: str, function: Callable[..., Any], calls: list[tuple[Any, ...]], **limits: Any) -> Node:
        """A node of several jobs, each given by its key and its arguments."""
        packed = cloudpickle.dumps(Shipped(Task(function, Policy(name="work")), {}))
        jobs = [Assignment(name, 0, list(arguments), attempts=Attempts(**limits)) for name, *arguments in calls]
        return Node(key, pack(Package(key, self._bench, (packed,), tuple(jobs), (), len(calls) > 1), plain=False))

    def after(self, key: str, upstream: str) -> Node:
        """A node that takes the value of another."""
        packed = cloudpickle.dumps(Shipped(Task(lambda value: value, Policy(name="work")), {}))
        job = Assignment(key, 0, [Slot(0)], (0,))
        return Node(key, pack(Package(key, self._bench, (packed,), (job,), (), bundle=False), plain=False), (upstream,))
