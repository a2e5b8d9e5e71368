"""A scheduler with a placer, and pilots that are workers in this process: nodes wait for events of the test."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dask._expr import LLGExpr
from dask._task_spec import List, Task, TaskRef
from distributed import Client, Worker

from daskflow.model.needs import Needs
from daskflow.sites.pilots.harbour import open_harbour
from daskflow.sites.pilots.placer import TOLD, Desk, Placer, placer_plugin
from daskflow.sites.pilots.plan import SitePlan
from daskflow.sites.pilots.room import Room, Stay
from daskflow.sites.pools import Pool

PATIENCE = 60.0
"""[s]"""
_gates: dict[str, threading.Event] = {}


def until(holds: Callable[[], object], what: str = "it") -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, f"{what} did not come true"
        time.sleep(0.01)


def pass_gate(key: str) -> str:
    """What nodes perform: wait until the test lets them go on."""
    assert _gates[key].wait(PATIENCE)
    return key


class Ward:
    """A scheduler with a placer, and what it told."""

    def __init__(self, *pools: Pool, margin: float = 1.0) -> None:
        self.needs: dict[str, Needs] = {}
        self.fallen: list[tuple[Room, Mapping[str, Stay]]] = []
        self.lost: list[tuple[list[str], Exception]] = []
        self.nudges = 0
        desk = Desk(self.needs.get, self._nudge, lambda *fallen: self.fallen.append(fallen), self._lose)
        self.placer: Placer = placer_plugin("ward", pools, margin, desk)
        plan = SitePlan(pools, "", interface="lo", dashboard="", tls=False)
        self.harbour = open_harbour(plan, None, [self.placer])
        self.client = Client(self.harbour, set_as_default=False)
        self.futures: dict[str, Any] = {}
        self._workers: list[Any] = []

    def _nudge(self) -> None:
        self.nudges += 1

    def _lose(self, keys: Sequence[str], error: Exception) -> None:
        self.lost.append((list(keys), error))

    def arrive(self, pool: str, id: str, seconds: float = 3600.0) -> Any:
        """A pilot comes that goes on for some time; returns its worker."""
        return self.harbour.sync(self._arrive, pool, id, seconds)

    async def _arrive(self, pool: str, id: str, seconds: float) -> Any:
        told = {"id": id, "pool": pool, "node": f"node-{id}", "ends": time.time() + seconds}
        worker = await Worker(
            self.harbour.scheduler_address,
            nthreads=16,
            name=f"{pool}/{id}",
            memory_limit=0,
            dashboard=False,
            startup_information={TOLD: lambda _: told},
        )
        self._workers.append(worker)
        return worker

    def abort(self, worker: Any) -> None:
        """A worker goes away without a word."""
        self.harbour.sync(self._abort, worker)

    async def _abort(self, worker: Any) -> None:
        await worker.batched_stream.comm.close()
        worker.batched_stream.abort()
        await worker.close(timeout=0, executor_wait=False, nanny=False)

    def submit(self, needs: Needs, *keys: str, after: Sequence[str] = ()) -> None:
        """Nodes that wait for their gates."""
        graph = {}
        for key in keys:
            _gates[key] = threading.Event()
            self.needs[key] = needs
            graph[key] = Task(key, _gated, key, List(*[TaskRef(up) for up in after]))
        expression = LLGExpr(graph, _determ_token=uuid.uuid4().hex)
        self.futures.update(zip(keys, self.client.get(expression, list(keys), sync=False), strict=True))

    def open(self, *keys: str) -> None:
        """Let nodes go on to their ends."""
        for key in keys:
            _gates[key].set()

    def places(self) -> dict[str, str]:
        """The pilot of each node that is being performed."""
        return {key: room.id for room in self.placer.rooms() for key in list(room.stays)}

    def settled(self, expected: Mapping[str, str]) -> None:
        """Wait until nodes are performed where they should be, and nothing else is."""
        until(lambda: self.places() == dict(expected), f"{expected}, but {self.places()}")

    def close(self) -> None:
        """End everything."""
        for gate in _gates.values():
            gate.set()
        self.futures.clear()
        self.client.close()
        for worker in self._workers:
            self.harbour.sync(worker.close, executor_wait=False)
        self.harbour.close()


def _gated(key: str, _: Any) -> str:
    return pass_gate(key)
