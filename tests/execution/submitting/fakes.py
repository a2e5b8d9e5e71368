"""A batch system in memory, and a site of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from daskflow.errors import BatchSilent
from daskflow.execution.submitting.submission import Queue
from daskflow.sites.batch.system import Ask, Certificate, Limits, Phase, Standing
from daskflow.sites.pilots.plan import SitePlan
from daskflow.sites.pools import Pool
from daskflow.sites.pools import Queue as Line

GIB = 1 << 30


class Memory:
    """Keeps what it is given, and runs nothing."""

    own_id = "$OWN_ID"
    own_node = "$(hostname)"
    launch = "mpirun"

    def __init__(self, name: str = "slurm") -> None:
        self.name = name
        self.submitted: list[tuple[str, Ask]] = []
        self.stands: dict[str, Standing] = {}
        self.cancelled: list[str] = []
        self.asked = 0
        self.silent = False

    def script(self, ask: Ask, body: Sequence[str]) -> str:
        return "\n".join(["#!/bin/bash", *body, ""])

    def submit(self, script: str, ask: Ask) -> list[str]:
        if self.silent:
            raise BatchSilent("nobody answers")
        self.submitted.append((script, ask))
        id = str(100 + len(self.submitted))
        self.stands[id] = Standing(id, Phase.pending, "PENDING", "Resources")
        return [id]

    def standings(self, ids: Iterable[str]) -> Mapping[str, Standing]:
        self.asked += 1
        if self.silent:
            raise BatchSilent("nobody answers")
        return {id: self.stands[id] for id in ids if id in self.stands}

    def certificates(self, ids: Iterable[str]) -> Mapping[str, Certificate]:
        return {}

    def cancel(self, ids: Iterable[str]) -> None:
        self.cancelled += ids

    def limits(self) -> Sequence[Limits]:
        return []


def queue(home: Path, system: Memory) -> Queue:
    pools = (
        Pool("short", 2, 4 * GIB, 600.0, queue=Line("debug", prologue=("module load python",))),
        Pool("long", 8, 64 * GIB, 86400.0, queue=Line("main")),
    )
    return Queue("cluster", system, SitePlan(pools, str(home / "site"), python="python3", environment={"A": "b c"}))
