"""Gives nodes to pilots: in dask's scheduler, of which it takes the choice of the worker over.

Every dask task is restricted to a worker that does not exist, so that it waits in the state `no-worker` as soon as what
it depends on is there. The placer alone names the worker: one with enough cores, memory and gpus free, and with enough
time before its walltime is over. So nothing waits on a worker, and what a pilot takes with it is what it performed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from daskflow.errors import FitsNowhere, SiteError, WalltimeExceeded
from daskflow.model.needs import PLAIN_NEEDS, Needs
from daskflow.model.quantities import as_seconds
from daskflow.sites.pilots.lessons import MORE, Lessons
from daskflow.sites.pilots.room import Room, Stay
from daskflow.sites.pilots.waiting import Waiting
from daskflow.sites.pools import Pool, misfit

NOWHERE = "nowhere"
"""Address of the worker that does not exist."""
TOLD = "daskflow"
"""What a worker tells of its pilot stands under this name in its start-up information."""
WARNED = "daskflow-warned"
"""Topic of the events by which a pilot tells the address of its worker when the batch system says that it ends soon."""
_TICK = 1.0
"""So often it is looked whether something fits now that did not before [s]."""
_SLACK = 1.0
"""A fresh pilot may come so much later than the last ones before what nearly fills it fits no more [s]."""
_UNKNOWN = 0.25
"""What nobody knows anything of may begin while a pilot has this part of its walltime left."""
_LONG = 600.0
"""... or so much [s]."""


class Desk(NamedTuple):
    """Who knows the nodes, and hears what becomes of them; all calls return at once."""

    needs_of: Callable[[str], Needs | None]
    """What a node needs, by its key; None for tasks that are no nodes."""
    nudge: Callable[[], None]
    """Something waits that was not waiting, or a pilot has come, gone, or has nothing more to do."""
    fell: Callable[[Room, Mapping[str, Stay]], None]
    """Gets what a pilot was performing when it was lost: its room, and the stays by key."""
    lose: Callable[[Sequence[Any], Exception], None]
    """Gets the keys of tasks for which no pilot will ever come, as dask knows them, and why."""


def placer_plugin(site: str, pools: Sequence[Pool], margin: float, desk: Desk) -> Any:
    """The placer as a plugin for a scheduler; its base class is imported late, because that costs half a second."""
    from distributed import SchedulerPlugin

    return type("PlacerPlugin", (Placer, SchedulerPlugin), {})(site, pools, margin, desk)


class Placer:
    """Part of the scheduler: gives nodes to pilots.

    Parameters
    ----------
    site
        Name of the site.
    pools
        In the order in which nodes choose them.
    margin
        So long before the end of its walltime a pilot performs nothing any more [s].
    desk
        Knows the nodes, and hears what becomes of them.

    Notes
    -----
    Used in the scheduler's thread, but for what says otherwise; `Hands` is what other threads use.
    """

    name = "daskflow-placer"
    idempotent = True

    def __init__(
        self,
        site: str,
        pools: Sequence[Pool],
        margin: float,
        desk: Desk,
    ) -> None:
        self.lessons = Lessons()
        self.held: set[str] = set()
        """Keys of nodes that are not given to anybody before it is known how their pilot ended."""
        self._site = site
        self._desk = desk
        self._pools = {pool.name: pool for pool in pools}
        self._margin = margin
        self._lock = threading.Lock()
        self._rooms: dict[str, Room] = {}
        self._waiting = Waiting()
        self._fresh: dict[str, float] = {}
        self._gone: dict[str, Exception] = {}
        self._fallen: dict[str, dict[str, Stay]] = {}
        self._due = False
        self._scheduler: Any = None

    # What dask's scheduler tells.

    async def start(self, scheduler: Any) -> None:
        """Remember the scheduler, and look at it now and then."""
        self._scheduler = scheduler
        scheduler.loop.call_later(_TICK, self._tick)

    def _tick(self) -> None:
        if self._scheduler.status.name in ("running", "starting", "init"):
            try:
                self._place()
                self._weigh()
            finally:
                self._scheduler.loop.call_later(_TICK, self._tick)

    def _weigh(self) -> None:
        """See which idle pilots alone hold what others wait for."""
        workers = self._scheduler.workers
        for room in list(self._rooms.values()):
            held = workers[room.address].has_what if not room.stays and room.address in workers else ()
            room.needed = any(task.waiters and len(task.who_has) == 1 for task in held)

    def update_graph(self, scheduler: Any, *, tasks: Sequence[Any], **_: Any) -> None:
        """New tasks: none of them goes anywhere by itself."""
        for key in tasks:
            task = scheduler.tasks.get(key)
            if task is not None and task.state != "processing":
                task.worker_restrictions = {NOWHERE}

    def add_worker(self, scheduler: Any, worker: str) -> None:
        """A pilot has arrived."""
        state = scheduler.workers[worker]
        told = state.extra.get(TOLD)
        pool = self._pools.get(told["pool"]) if told else None
        if told is None or pool is None:
            return
        room = Room(pool, told["id"], node=told["node"], address=worker, ends=told["ends"])
        with self._lock:
            self._rooms[worker] = room
        # How much time pilots of this pool have when they come: what is longer than that is given to the freshest.
        self._fresh[pool.name] = room.left(self._margin)
        self._soon()
        self._desk.nudge()

    def remove_worker(self, scheduler: Any, worker: str, **_: Any) -> None:
        """A pilot is gone."""
        with self._lock:
            room = self._rooms.pop(worker, None)
        fallen = self._fallen.pop(worker, {})
        if room is not None:
            self._desk.fell(room, fallen)
            self._desk.nudge()

    def log_event(self, topic: str, msg: Any) -> None:
        """Look at every event: by some, pilots tell that they end soon."""
        if topic == WARNED and msg in self._rooms:
            self._rooms[msg].warn()
            self._desk.nudge()

    def transition(self, key: Any, start: str, finish: str, *_: Any, **kwargs: Any) -> None:
        """Look at every change of a task's state."""
        if start == "processing":
            self._left(key, finish)
        if finish == "no-worker":
            self._waits(key)
        elif start == "no-worker":
            self._waiting.remove(key)
        if finish in ("forgotten", "erred"):
            self.held.discard(key)

    def _waits(self, key: Any) -> None:
        if key not in self.held:
            needs = self._desk.needs_of(str(key)) or PLAIN_NEEDS
            if self.pool_of(needs) is None:
                self._scheduler.loop.add_callback(self._desk.lose, [key], self.hopeless(needs))
            self._waiting.add(key, needs, self._scheduler.tasks[key].priority)
            self._soon()

    def _left(self, key: Any, finish: str) -> None:
        task = self._scheduler.tasks.get(key)
        if task is not None:
            task.worker_restrictions = {NOWHERE}
        for address, room in self._rooms.items():
            stay = room.leave(key)
            if stay is None:
                continue
            if finish == "memory":
                # Of what `again` brings back nothing is learned: nothing was performed.
                self.lessons.learn(stay.needs.kind, room.worked(stay))
            elif address not in self._scheduler.workers and finish != "forgotten":
                self._fallen.setdefault(address, {})[key] = stay
                self.held.add(key)
            self._soon()
            return

    def free(self, key: str) -> None:
        """It is known how the pilot of a node ended: the node may be performed by another."""
        if key in self.held:
            self.held.discard(key)
            task = self._scheduler.tasks.get(key)
            if task is not None and task.state == "no-worker":
                self._waits(key)

    # Placing.

    def _soon(self) -> None:
        if not self._due:
            self._due = True
            self._scheduler.loop.add_callback(self._place)

    def _place(self) -> None:
        self._due = False
        chosen: dict[Any, str] = {}
        kept: dict[str, Room] = {}
        for needs in self._waiting.groups():
            pool = self.pool_of(needs)
            if pool is None:
                continue
            expected = self.lessons.expected(needs)
            # One after the other: `_choose` looks at what was taken before.
            while (key := self._waiting.first(needs)) is not None:
                room = self._choose(key, needs, expected, pool, kept.get(pool.name))
                if room is None:
                    self._keep(needs, expected, pool, kept)
                    break
                room.take(key, needs, expected)
                self._waiting.remove(key)
                chosen[key] = room.address
        self._send(chosen)
        self._desk.nudge()

    def _keep(self, needs: Needs, expected: float | None, pool: Pool, kept: dict[str, Room]) -> None:
        """What needs much would wait for ever while small nodes fill each gap: one pilot is kept free for it."""
        if pool.name in kept or (needs.cores <= 1 and needs.memory is None and not needs.gpus):
            return
        found = [room for room in self._in(pool) if not room.holds(needs) and self._fits(room, expected)]
        if found:
            kept[pool.name] = min(found, key=_free_at)

    def _in(self, pool: Pool) -> list[Room]:
        return [room for room in self._rooms.values() if room.pool is pool and not room.closed and self._runs(room)]

    def _choose(self, key: Any, needs: Needs, expected: float | None, pool: Pool, kept: Room | None) -> Room | None:
        found = [
            room
            for room in self._in(pool)
            if room.holds(needs) and self._fits(room, expected) and (room is not kept or room.in_time(expected))
        ]
        if not found:
            return None
        holders = {owner.address for up in self._scheduler.tasks[key].dependencies for owner in up.who_has or ()}
        at_home = [room for room in found if room.address in holders]
        # Short ones fill the ends of pilots; what nobody knows anything of goes where most time is left.
        best = max if expected is None else min
        return best(at_home or found, key=lambda room: room.ends)

    def _runs(self, room: Room) -> bool:
        return self._scheduler.workers.get(room.address) in self._scheduler.running

    def _fits(self, room: Room, expected: float | None) -> bool:
        left, fresh = room.left(self._margin), self._fresh.get(room.pool.name, 0.0)
        if expected is None:
            return left >= min(_UNKNOWN * room.pool.walltime, _LONG)
        return left >= min(expected, fresh - _SLACK)

    def pool_of(self, needs: Needs) -> Pool | None:
        """The pool of a node: the first that holds it, and was not given up."""
        for pool in self._pools.values():
            if pool.name in self._gone or pool.lacks(needs, self._margin):
                continue
            if needs.at_least < pool.walltime - self._margin:
                return pool
        return None

    def outlived(self, needs: Needs, seconds: float) -> Needs:
        """The needs of a node that was not done after this time [s], when the walltime of its pilot was over."""
        self.lessons.cut_short(needs.kind, seconds)
        if needs.declared:
            return needs
        holding = [pool for pool in self._pools.values() if not pool.lacks(needs, self._margin)]
        longest = max((pool.walltime - self._margin for pool in holding), default=0.0)
        # A fresh pilot may do; what was not done in the whole of the longest has nowhere to go.
        floor = seconds if seconds >= longest - _SLACK else min(MORE * seconds, longest - _SLACK)
        return needs._replace(at_least=max(needs.at_least, floor))

    def _send(self, chosen: Mapping[Any, str]) -> None:
        for key, address in chosen.items():
            self._scheduler.tasks[key].worker_restrictions = {address}
        if chosen:
            self._scheduler.transitions(dict.fromkeys(chosen, "processing"), "daskflow-placed")
        for key, address in chosen.items():
            task = self._scheduler.tasks.get(key)
            if task is not None and task.state == "no-worker":  # dask knows better: the worker is on its way out
                task.worker_restrictions = {NOWHERE}
                if address in self._rooms:
                    self._rooms[address].leave(key)
                self._waits(key)

    # What the fleet asks and says, by `Hands`.

    def needs_waiting(self) -> list[Needs]:
        """What waits for a pilot, most urgent first, with what is known of how long it takes; any thread may ask."""
        found: list[Needs] = []
        for needs, count in self._waiting.counts():
            found += [needs._replace(seconds=self.lessons.expected(needs))] * count
        return found

    def rooms(self) -> list[Room]:
        """The pilots that have arrived; any thread may ask."""
        with self._lock:
            return list(self._rooms.values())

    def later(self, do: Callable[..., Any], *arguments: Any) -> None:
        """Have something done in the scheduler's thread."""
        self._scheduler.loop.add_callback(do, *arguments)

    async def dismiss(self, room: Room) -> None:
        """Let a pilot go that performs nothing."""
        if room.stays or room.dismissed:
            return
        room.dismissed = True
        others = any(other is not room and not other.closed for other in self._rooms.values())
        try:
            if others:
                await self._scheduler.retire_workers(workers=[room.address], close_workers=True)
            elif room.address in self._scheduler.workers:
                # What it holds is had again from where results are kept.
                await self._scheduler.remove_worker(room.address, stimulus_id="daskflow-dismissed", expected=True)
        finally:
            # dask keeps who alone holds something while nobody can take it: the others are full, or were sent away
            # meanwhile. The fleet asks again, and when no others are left nothing is waited for.
            room.dismissed = room.address not in self._scheduler.workers

    def give_up(self, pool: str, error: Exception) -> None:
        """No pilot of this pool will come."""
        self._gone[pool] = error
        self.judge()
        self._soon()

    def judge(self) -> None:
        """Lose what waits and fits into no pool any more."""
        for needs in self._waiting.groups():
            if self.pool_of(needs) is None:
                self._desk.lose(self._waiting.keys(needs), self.hopeless(needs))

    def fail(self, reasons: Mapping[Any, str]) -> None:
        """Let tasks fail of which nobody hears that are lost: the nodes that depend on them are lost with the reason.

        Parameters
        ----------
        reasons
            By the keys of the tasks, as dask knows them.
        """
        from distributed.protocol import Serialized, serialize

        for key, reason in reasons.items():
            self.held.discard(key)
            task = self._scheduler.tasks.get(key)
            if task is not None and task.state in ("no-worker", "waiting"):
                task.exception, task.exception_text = Serialized(*serialize(SiteError(reason))), reason
                task.exception_blame = task
                self._scheduler.transitions({key: "erred"}, "daskflow-lost")

    def hopeless(self, needs: Needs) -> Exception:
        """Why no pool will ever hold a node."""
        for name, error in self._gone.items():
            if not self._pools[name].lacks(needs, self._margin):
                return error
        text = misfit(self._site, list(self._pools.values()), needs, self._margin)
        floor = as_seconds(needs.at_least)
        return (
            FitsNowhere(text)
            if text
            else WalltimeExceeded(
                f"It was not done after {floor}, when the walltime of its pilot was over, and no pool of the site "
                f"{self._site!r} has pilots that go on for longer. Give a pool more walltime, let it save its state "
                '(`current().hand_over(...)`), or make it a batch job (`placement="batch"`).'
            )
        )


def _free_at(room: Room) -> float:
    """When all of a pilot is free; those of which nobody knows come last."""
    found = room.free_at()
    return float("inf") if found is None else found
