"""A batch system, a crew and a clock in memory, for tests of what a fleet decides."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from daskflow.model.needs import Needs
from daskflow.sites.batch.system import Ask, Certificate, Limits, Phase, Standing
from daskflow.sites.batch.watch import Watch
from daskflow.sites.pilots.crew import Post
from daskflow.sites.pilots.fleet import Fleet
from daskflow.sites.pilots.pilot import Pilot
from daskflow.sites.pilots.plan import SitePlan
from daskflow.sites.pilots.starts import Notes
from daskflow.sites.pools import Pool, first_fit

GIB = 2**30


def pool(name: str = "small", **changes: Any) -> Pool:
    return Pool(name, 4, 8 * GIB, 3600.0)._replace(**changes)


class MemorySystem:
    """A batch system that remembers what it is told."""

    name = "memory"
    own_id = "$ID"
    own_node = "$NODE"
    launch = "mpirun"

    def __init__(self) -> None:
        self.asks: dict[str, Ask] = {}
        self.scripts: list[str] = []
        self.cancelled: list[list[str]] = []
        self.records: dict[str, Certificate] = {}
        self.queries = 0
        self.error: Exception | None = None
        """What it answers instead of anything else."""
        self.refuses: Exception | None = None
        """What it says to submissions."""
        self.largest: int | None = None
        """So many jobs at most by one submission."""

    def script(self, ask: Ask, body: Sequence[str]) -> str:
        return "\n".join(["#!/bin/sh", *body, ""])

    def submit(self, script: str, ask: Ask) -> list[str]:
        found = self.error or self.refuses
        if found is not None and (self.largest is None or ask.count > self.largest):
            raise found
        first = len(self.asks) + 1
        ids = [str(first)] if ask.count == 1 else [f"{first}_{place}" for place in range(ask.count)]
        self.asks.update(dict.fromkeys(ids, ask))
        self.scripts.append(script)
        return ids

    def standings(self, ids: Iterable[str]) -> Mapping[str, Standing]:
        self._answer()
        over = {id for some in self.cancelled for id in some}
        return {
            id: Standing(id, Phase.running, "RUNNING", name=self.asks[id].name)
            for id in ids
            if id in self.asks and id not in over
        }

    def certificates(self, ids: Iterable[str]) -> Mapping[str, Certificate]:
        self.queries += 1
        self._answer()
        return {id: self.records[id] for id in ids if id in self.records}

    def cancel(self, ids: Iterable[str]) -> None:
        self._answer()
        self.cancelled.append(list(ids))

    def limits(self) -> Sequence[Limits]:
        return []

    def _answer(self) -> None:
        if self.error is not None:
            raise self.error


class MemoryCrew:
    """Work that waits, and pilots that have arrived."""

    def __init__(self, pools: Sequence[Pool] = (), margin: float = 0.0) -> None:
        self.needs: list[Needs] = []
        self._pools = pools
        self._margin = margin
        self.arrived: dict[str, Post] = {}
        self.closed: list[str] = []
        self.dismissed: list[str] = []
        self.given_up: dict[str, Exception] = {}

    def waiting(self) -> Sequence[Needs]:
        return self.needs

    def pool_of(self, needs: Needs) -> Pool | None:
        return first_fit([pool for pool in self._pools if pool.name not in self.given_up], needs, self._margin)

    def posts(self) -> Mapping[str, Post]:
        return dict(self.arrived)

    def close(self, id: str) -> None:
        self.closed.append(id)

    def dismiss(self, id: str) -> None:
        self.dismissed.append(id)

    def give_up(self, pool: str, error: Exception) -> None:
        self.given_up[pool] = error


class Scene:
    """A fleet whose clock goes when it is told to, and which does everything in the thread of the test."""

    def __init__(self, home: Path, *pools: Pool, **changes: Any) -> None:
        self.plan = SitePlan(pools or (pool(),), str(home))._replace(**changes)
        self.system = MemorySystem()
        self.crew = MemoryCrew(self.plan.pools, self.plan.margin)
        self.watch = Watch(self.system, 1e9)
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.now = time.time()
        self.fleet = Fleet(
            "cedar", self.plan, self.system, self.watch, self.crew, tell=lambda *event: self.events.append(event)
        )
        self.fleet.clock = lambda: self.now
        self.fleet.errands._give = lambda errand: errand()  # type: ignore[method-assign]
        self.fleet.prepare("tcp://10.0.0.1:8786", "")

    @property
    def notes(self) -> Notes:
        return self.fleet._notes

    def look(self, seconds: float = 1.0) -> None:
        """Time goes by, and the fleet looks around."""
        self.now += seconds
        self.fleet.look()
        self.fleet.errands.listen()

    def wait(self, seconds: float) -> None:
        """Time goes by, while the fleet looks around each second."""
        for _ in range(round(seconds)):
            self.look()

    def there(self, pool: str | None = None) -> list[Pilot]:
        return self.fleet._roll.there(pool)

    def begin(self, id: str, node: str = "n1", pool: str = "small") -> None:
        """The script of a pilot begins."""
        Path(self.notes.folder, f"{id}.began").write_text(f"{node}\n{pool}\n{self.now:.0f}\n\n")

    def end(self, id: str, code: int, log: str = "") -> None:
        """The script of a pilot ends."""
        pilot = self.fleet._roll.get(id)
        if log and pilot is not None:
            Path(pilot.log).write_text(log)
        Path(self.notes.folder, f"{id}.ended").write_text(f"{code}\n")

    def arrive(self, id: str, node: str = "n1", **changes: Any) -> None:
        """The worker of a pilot arrives, and has nothing to do."""
        pilot = self.fleet._roll.get(id)
        assert pilot is not None
        of = next(one for one in self.plan.pools if one.name == pilot.pool)
        post = Post(
            id,
            pilot.pool,
            0,
            self.now,
            self.now + of.walltime,
            cores=of.cores,
            memory=of.memory,
            gpus=of.gpus,
            node=node,
            address=f"tcp://{node}:1",
            free_at=self.now,
        )
        self.crew.arrived[id] = post._replace(**changes)

    def busy(self, id: str, seconds: float) -> None:
        """A pilot performs something on all its cores for so long from now on."""
        self.crew.arrived[id] = self.crew.arrived[id]._replace(
            busy=4, idle_since=None, cores=0, memory=0, free_at=self.now + seconds
        )

    def told(self, kind: str) -> list[dict[str, Any]]:
        return [data for found, data in self.events if found == kind]
