"""Keeps how far each pilot has come, and tells each step once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from daskflow.sites.pilots import ends
from daskflow.sites.pilots.crew import Post
from daskflow.sites.pilots.ends import Ending
from daskflow.sites.pilots.pilot import Pilot, Stage
from daskflow.sites.pilots.roll import Roll

EXPLAINED = 30.0
"""It is known how a pilot ended after this time, or nobody will know [s]."""
LINGERING = 60.0
"""A batch job of which the worker is gone tells of its own end after this time, however slow the network filesystem is,
or is cancelled [s]."""
_PRESUMED = ("WorkerLost", "WalltimeExceeded")
"""Errors of pilots that may only be thought to have ended: all others are told by who has seen the end."""
_FORESEEN = ("", "WalltimeExceeded")
"""Errors of pilots that were not lost before their time."""

Tell = Callable[[str, dict[str, Any]], None]


class Lives:
    """The lives of the pilots of a fleet.

    Parameters
    ----------
    roll
        The pilots.
    tell
        Gets each step: `pilot.submitted`, `pilot.waiting`, `pilot.started`, `pilot.arrived`, `pilot.failed`,
        `pilot.ended`.

    Notes
    -----
    Not safe for threads.
    """

    def __init__(self, roll: Roll, tell: Tell) -> None:
        self.roll = roll
        self.tell = tell
        self._codes: dict[str, int] = {}
        self._missing: dict[str, float] = {}
        """Pilots that had arrived and are gone, and since when; it is not told yet how they ended."""
        self._lingering: dict[str, float] = {}
        """Pilots whose worker is gone while their batch job may be there, and since when."""
        self._reasons: dict[str, str] = {}

    def submitted(self, id: str, pool: str, log: str, now: float) -> Pilot:
        """There is a pilot; it may be known already by what it told itself."""
        pilot = self.roll.get(id)
        if pilot is None:
            pilot = Pilot(id, pool, now, log)
            self.roll.add(pilot)
            self.tell("pilot.submitted", {"id": id, "pool": pool})
        pilot.log = log or pilot.log
        return pilot

    def waits(self, pilot: Pilot, reason: str) -> None:
        """The batch system says why a pilot has not started; told when it changes for its pool."""
        pilot.reason = reason
        if reason and reason != "None" and self._reasons.get(pilot.pool) != reason:
            self._reasons[pilot.pool] = reason
            self.tell("pilot.waiting", {"id": pilot.id, "pool": pilot.pool, "reason": reason})

    def started(self, pilot: Pilot, node: str, time: float) -> None:
        """The script of a pilot has begun."""
        if pilot.stage is Stage.submitted:
            pilot.stage, pilot.node, pilot.started, pilot.reason = Stage.started, node, time, ""
            self._reasons.pop(pilot.pool, None)
            self.tell("pilot.started", {"id": pilot.id, "pool": pilot.pool, "node": node})

    def arrived(self, pilot: Pilot, post: Post, now: float) -> None:
        """The worker of a pilot is there; it may be so again, after it was thought to be gone."""
        self.started(pilot, post.node, now)
        self._missing.pop(pilot.id, None)
        self._lingering.pop(pilot.id, None)
        pilot.stage, pilot.node, pilot.address, pilot.ends = Stage.arrived, post.node, post.address, post.ends
        pilot.reason, pilot.lost = "", None
        self.tell("pilot.arrived", {"id": pilot.id, "pool": pilot.pool, "node": post.node})

    def closes(self, pilot: Pilot, why: Ending) -> None:
        """A pilot gets nothing more, and goes when it has performed what it has."""
        pilot.stage, pilot.reason = Stage.closing, why.reason

    def missing(self, pilot: Pilot, now: float) -> None:
        """The worker of a pilot is gone; how it ended is told as soon as it is known."""
        if pilot.stage in (Stage.arrived, Stage.closing):
            self._lingering[pilot.id] = now
        if pilot.stage is Stage.closing:
            self.ended(pilot, Ending(pilot.reason))
        elif pilot.stage is Stage.arrived:
            pilot.stage, pilot.lost = Stage.gone, now
            self._missing[pilot.id] = now

    def told(self, pilot: Pilot, code: int) -> None:
        """A pilot told that its script ended."""
        self._codes[pilot.id] = code

    def code(self, id: str) -> int | None:
        """The exit code of which a pilot told; None where it told none."""
        return self._codes.get(id)

    def known(self, id: str, ending: Ending, now: float) -> None:
        """Somebody knows how a pilot ended whose worker is gone."""
        pilot = self.roll.get(id)
        if pilot is not None:
            self.missing(pilot, now)
            if id in self._missing:
                self.ended(pilot, ending)
            if ending.error not in _PRESUMED:
                self._lingering.pop(id, None)
            elif id in self._lingering:
                # Its nodes are performed by others now.
                self._lingering[id] = float("-inf")

    def settle(self, now: float, after: float = EXPLAINED) -> None:
        """Tell of those whose end nobody has explained for so long [s] what they told themselves."""
        for id in [id for id, since in self._missing.items() if now - since >= after]:
            pilot, code = self.roll.get(id), self._codes.get(id)
            assert pilot is not None
            self.ended(pilot, ends.UNKNOWN if code is None else ends.told(code, pilot, now))

    def unsure(self) -> set[str]:
        """Pilots whose worker is gone while their batch job may be there."""
        return {id for id in self._lingering if id not in self._codes}

    def lingering(self, now: float) -> set[str]:
        """Those of them that have had time enough to tell of their end; each is told once."""
        over = {id for id, since in self._lingering.items() if id in self._codes or now - since >= LINGERING}
        found = over & self.unsure()
        for id in over:
            del self._lingering[id]
        return found

    def failed(self, pilot: Pilot, ending: Ending, log: str) -> None:
        """A pilot ended before its worker arrived."""
        if not ending.blameless:
            data = {"id": pilot.id, "pool": pilot.pool, "node": pilot.node, "reason": ending.reason}
            self.tell("pilot.failed", {**data, "error": ending.error, "log": log})
        self.ended(pilot, ending)

    def ended(self, pilot: Pilot, ending: Ending) -> None:
        """A pilot is gone, and it is known how."""
        self._missing.pop(pilot.id, None)
        pilot.stage, pilot.reason = Stage.gone, ending.reason
        if ending.error in _FORESEEN:
            pilot.lost = None
        data = {"id": pilot.id, "pool": pilot.pool, "node": pilot.node}
        self.tell("pilot.ended", {**data, "reason": ending.reason, "error": ending.error})
