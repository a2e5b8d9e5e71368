"""A patient, and a batch system that does what a test says."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from daskflow.artifacts.store import ObjectStore
from daskflow.execution.doctor.patient import Patient
from daskflow.sites.batch.system import Ask, Certificate, Limits, Phase, Standing
from daskflow.sites.pilots.plan import SitePlan
from daskflow.sites.pools import Pool, Queue

POOL = Pool("default", 2, 4 << 30, 3600.0, queue=Queue("main"))
QUEUE = Limits("main", 86400.0, 4, 8, 8 << 30, 0, default=True)


class FakeSystem:
    """A batch system in this process: jobs run at once, or not at all."""

    name = "fake"
    commands: tuple[str, ...] = ("sh",)
    own_id = "7"
    own_node = "node-7"
    launch = "mpirun"

    def __init__(self) -> None:
        self.queues: list[Limits] = [QUEUE]
        self.wrong: dict[str, Exception] = {}
        """What methods raise."""
        self.runs = True
        self.standing: Standing | None = None
        self.cancelled: list[str] = []
        self.scripts: list[str] = []
        self.change: Callable[[str], str] = str

    def _may(self, what: str) -> None:
        if what in self.wrong:
            raise self.wrong[what]

    def script(self, ask: Ask, body: Sequence[str]) -> str:
        return "\n".join(["#!/usr/bin/env bash", *body, ""])

    def submit(self, script: str, ask: Ask) -> list[str]:
        self._may("submit")
        self.scripts.append(script)
        if self.runs:
            with open(ask.log, "w") as log:
                subprocess.run(["bash", "-c", self.change(script)], stdout=log, stderr=log, check=False)
        return ["7"]

    def standings(self, ids: Iterable[str]) -> Mapping[str, Standing]:
        self._may("standings")
        return {} if self.standing is None else {"7": self.standing}

    def certificates(self, ids: Iterable[str]) -> Mapping[str, Certificate]:
        return {"7": Certificate("7", "WorkerLost", "FAILED", 3)} if self.runs else {}

    def cancel(self, ids: Iterable[str]) -> None:
        self.cancelled.extend(ids)

    def limits(self) -> Sequence[Limits]:
        self._may("limits")
        return self.queues

    def alive(self) -> None:
        self._may("alive")

    def rehearse(self, script: str) -> None:
        self._may("rehearse")


def pending(reason: str, *, hopeless: bool = False) -> Standing:
    return Standing("7", Phase.pending, "PENDING", reason, hopeless=hopeless)


@pytest.fixture
def system() -> FakeSystem:
    return FakeSystem()


@pytest.fixture
def patient(tmp_path: Path, system: FakeSystem) -> Callable[..., Patient]:
    """A healthy site whose plan differs by what is given."""

    def make(**changes: Any) -> Patient:
        plan = SitePlan((POOL,), str(tmp_path / "home"), interface="lo", tls=False)._replace(**changes)
        store = ObjectStore(str(tmp_path / "artifacts"))
        return Patient(
            "cedar",
            "slurm",
            plan,
            str(tmp_path / "journal.db"),
            tmp_path / "logs",
            store=store,
            system=system,
            scratch=str(tmp_path / "scratch"),
        )

    return make
