"""A batch system in memory, and the services of a site that has it."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from daskflow.errors import BatchError
from daskflow.sites.batch.services import Services
from daskflow.sites.batch.spawning import Enclose
from daskflow.sites.batch.system import Ask, Certificate, Limits, Phase, Standing
from daskflow.sites.pilots.plan import SitePlan
from daskflow.sites.pools import Pool, Queue

KEEPER = "daskflow.execution.serving.main"


class Roster:
    """A batch system that runs nothing: tests say what becomes of its jobs."""

    name = "roster"
    own_id = "$ID"
    own_node = "$NODE"
    launch = "mpirun"

    def __init__(self) -> None:
        self.jobs: dict[str, Standing] = {}
        self.ends: dict[str, Certificate] = {}
        self.asks: list[Ask] = []
        self.scripts: list[str] = []
        self.cancelled: list[str] = []
        self.questions = 0
        self.trouble: list[BatchError | None] = []
        """What the next submissions raise."""
        self.silence: BatchError | None = None
        """What all other calls raise."""
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    def script(self, ask: Ask, body: Sequence[str]) -> str:
        return "\n".join(["#!/bin/sh", *body, ""])

    def submit(self, script: str, ask: Ask) -> list[str]:
        with self._lock:
            trouble = self.trouble.pop(0) if self.trouble else None
            if trouble is not None:
                raise trouble
            id = str(next(self._numbers))
            self.jobs[id] = Standing(id, Phase.pending, "PENDING", "Resources", name=ask.name)
            self.asks.append(ask)
            self.scripts.append(script)
            return [id]

    def standings(self, ids: Iterable[str]) -> Mapping[str, Standing]:
        self.questions += 1
        if self.silence is not None:
            raise self.silence
        return {id: self.jobs[id] for id in ids if id in self.jobs}

    def certificates(self, ids: Iterable[str]) -> Mapping[str, Certificate]:
        return {id: self.ends[id] for id in ids if id in self.ends}

    def cancel(self, ids: Iterable[str]) -> None:
        if self.silence is not None:
            raise self.silence
        for id in ids:
            self.cancelled.append(id)
            self.jobs.pop(id, None)

    def limits(self) -> Sequence[Limits]:
        return []

    def run(self, id: str) -> None:
        self.jobs[id] = self.jobs[id]._replace(phase=Phase.running, state="RUNNING", node="n1", reason="")


POOLS = (
    Pool("small", 2, 2 << 30, 600.0, queue=Queue("short", "me", prologue=("module load x",)), nodes=1),
    Pool("wide", 8, 16 << 30, 7200.0, gpus=1, queue=Queue("long"), nodes=4),
)


def services_in(
    home: Path, system: Any = None, *, poll: float = 0.0, enclose: Enclose | None = None, **changes: Any
) -> Services:
    """The services of a site whose shared directory is given."""
    plan = SitePlan(POOLS, str(home), poll=poll)._replace(**changes)
    return Services("here", Roster() if system is None else system, plan, keeper=KEEPER, enclose=enclose)
