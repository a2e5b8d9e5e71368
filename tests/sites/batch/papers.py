"""A batch system on paper, for tests: jobs stand as the test says."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from daskflow.model.needs import Needs
from daskflow.sites.batch.errand import Errand
from daskflow.sites.batch.folder import RunFolder
from daskflow.sites.batch.system import Ask, Certificate, Limits, Phase, Standing
from daskflow.sites.pilots.plan import SitePlan
from daskflow.sites.pools import Pool
from daskflow.sites.site import Node
from tests.sites import deeds


class Ear(deeds.Ear):
    """A listener that keeps events, too."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[tuple[str, dict[str, Any]]] = []

    def tell(self, kind: str, data: str) -> None:
        self.events.append((kind, json.loads(data)))

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [data for name, data in self.events if name == kind]


class Paper:
    """A batch system in which nothing runs."""

    name = "paper"
    own_id = "$PAPER_ID"
    own_node = "$(echo n1)"
    launch = "mpirun"

    def __init__(self) -> None:
        self.scripts: dict[str, str] = {}
        self.asks: dict[str, Ask] = {}
        self.phases: dict[str, Phase] = {}
        self.ends: dict[str, Certificate] = {}
        self.reasons: dict[str, tuple[str, bool]] = {}
        self.cancelled: list[str] = []
        self.calls: list[str] = []
        self.failures: dict[str, list[Exception]] = {}
        self.on_submit: Callable[[str], None] | None = None

    def fail(self, what: str, *errors: Exception) -> None:
        """Have the next calls of one kind fail."""
        self.failures.setdefault(what, []).extend(errors)

    def _called(self, what: str) -> None:
        self.calls.append(what)
        if self.failures.get(what):
            raise self.failures[what].pop(0)

    def script(self, ask: Ask, body: Sequence[str]) -> str:
        return "\n".join(["#!/usr/bin/env bash", *body])

    def submit(self, script: str, ask: Ask) -> list[str]:
        self._called("submit")
        id = str(len(self.scripts) + 1)
        if self.on_submit is not None:
            self.on_submit(id)
        self.scripts[id], self.asks[id], self.phases[id] = script, ask, Phase.pending
        return [id]

    def standings(self, ids: Iterable[str]) -> Mapping[str, Standing]:
        self._called("standings")
        found = {}
        for id in ids:
            if id in self.phases:
                reason, hopeless = self.reasons.get(id, ("", False))
                found[id] = Standing(id, self.phases[id], self.phases[id].upper(), reason, hopeless=hopeless)
        return found

    def certificates(self, ids: Iterable[str]) -> Mapping[str, Certificate]:
        self._called("certificates")
        return {id: self.ends[id] for id in ids if id in self.ends}

    def cancel(self, ids: Iterable[str]) -> None:
        self._called("cancel")
        for id in ids:
            self.cancelled.append(id)
            self.phases[id] = Phase.ended

    def limits(self) -> Sequence[Limits]:
        return ()


class Silence:
    """A watch that never says anything by itself."""

    def __init__(self) -> None:
        self.followed: set[str] = set()

    def follow(self, ids: Iterable[str], follower: Any) -> None:
        self.followed.update(ids)

    def unfollow(self, ids: Iterable[str]) -> None:
        self.followed.difference_update(ids)


def plan_in(directory: Path, *pools: Pool, **changes: Any) -> SitePlan:
    """A plan of one pool of two cores, or of others."""
    plan = SitePlan(pools or (Pool("main", 2, 2**30, 600.0, nodes=2),), str(directory / "shared"))
    return plan._replace(**changes)


def errand_in(directory: Path, ear: Ear, name: str = "a-job", **needs: Any) -> Errand:
    """An errand of one run."""
    node = Node(f"{name}-node", b"", needs=Needs(**needs), name=name, run="a-run")
    return Errand(node, ear, {}, RunFolder(str(directory / "shared"), "a-run"))
