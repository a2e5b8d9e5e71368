"""What follows when pilots do not start: it is found out why, and done what is decided then."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial

from daskflow.errors import BatchRefused
from daskflow.sites.batch.system import BatchSystem, Certificate, Standing
from daskflow.sites.pilots import ends
from daskflow.sites.pilots.crew import Crew
from daskflow.sites.pilots.ends import Ending
from daskflow.sites.pilots.errands import Errands
from daskflow.sites.pilots.lives import Lives
from daskflow.sites.pilots.pilot import Pilot, Stage
from daskflow.sites.pilots.refusals import Failure, Refusals, Step
from daskflow.sites.pilots.roll import COMING
from daskflow.sites.pilots.silence import unheard

_LAST = 5.0
"""What ends a pilot so long before the end of its walltime, or later, is its walltime [s]."""
_SILENT = 600.0
"""If the batch system does not answer for so long, there is no record of an end [s]."""
_GIVEN_UP = Ending("its pool was given up")


class Setbacks:
    """Looks after pilots that do not start.

    Parameters
    ----------
    system
        The batch system, which is asked how they ended.
    every
        Not more often than that [s].
    crew
        Who is told of pools of which no pilots will come.
    lives, refusals
        The pilots, and what is known of those that did not start.
    errands
        Who asks.

    Notes
    -----
    Not safe for threads.
    """

    def __init__(
        self, system: BatchSystem, every: float, crew: Crew, *, lives: Lives, refusals: Refusals, errands: Errands
    ) -> None:
        self.doomed: set[str] = set()
        """Batch jobs that are to be cancelled."""
        self.dismissed: set[str] = set()
        """Those that are, or were."""
        self._system = system
        self._every = every
        self._crew = crew
        self._lives = lives
        self._roll = lives.roll
        self._refusals = refusals
        self._errands = errands
        self._unclear: dict[str, Pilot] = {}
        """Pilots that went away before their worker arrived; the batch system is asked why."""
        self._since: dict[str, float] = {}
        """Since when the batch system has been asked for them."""
        self._asked = float("-inf")
        self._asking = False

    def dismiss(self, pilots: Iterable[Pilot], ending: Ending) -> None:
        """Pilots whose worker has not arrived are to be cancelled."""
        for pilot in pilots:
            self.doom([pilot.id])
            self._lives.ended(pilot, ending)

    def noted(self, id: str, code: int, now: float) -> None:
        """A pilot told that its script ended."""
        pilot = self._roll.get(id)
        if pilot is not None:
            self._lives.told(pilot, code)
            if id in self._unclear or pilot.stage in COMING:
                over = pilot.ends is not None and now > pilot.ends - _LAST
                self._failed(pilot, ends.failed_start(code, over=over), now)

    def late(self, pilot: Pilot, now: float) -> None:
        """The worker of a pilot should have arrived long ago."""
        self.doom([pilot.id])
        self._failed(pilot, ends.LATE, now)

    def doom(self, ids: Iterable[str]) -> None:
        """Batch jobs are to be cancelled, and get nothing even if their worker comes."""
        for id in ids:
            self.doomed.add(id)
            self.dismissed.add(id)

    def went(self, id: str) -> None:
        """A batch job is over, of which no note tells."""
        pilot = self._roll.get(id)
        if pilot is not None and pilot.stage in COMING:
            # From now on it is not counted on, but what it means is not known before its record is there.
            pilot.stage = Stage.gone
            self._unclear[id] = pilot

    def ask_why(self, now: float) -> None:
        """Find out how those ended that left no note."""
        # A query may take longer than the time between two of them.
        if self._unclear and not self._asking and now - self._asked >= self._every:
            self._asked, self._asking = now, True
            ids = list(self._unclear)
            for id in ids:
                self._since.setdefault(id, now)
            self._errands.do(lambda: self._system.certificates(ids), partial(self._certified, ids, now))

    def _certified(self, ids: list[str], now: float, found: Mapping[str, Certificate] | Exception) -> None:
        self._asking = False
        records = {} if isinstance(found, Exception) else found
        for id in ids:
            pilot = self._unclear.get(id)
            if pilot is None:  # its note has come meanwhile
                continue
            if not (isinstance(found, Exception) and unheard(found) and now - self._since[id] < _SILENT):
                self._failed(pilot, ends.recorded(records.get(id)), now)

    def _failed(self, pilot: Pilot, ending: Ending, now: float) -> None:
        """A pilot ended before its worker arrived."""
        self._unclear.pop(pilot.id, None)
        self._since.pop(pilot.id, None)
        log = ends.tail(pilot.log)
        self._lives.failed(pilot, ending, log)
        if ending.blameless or pilot.pool in self._refusals.given_up:
            return
        serving = bool(self._roll.serving(pilot.pool))
        step = self._refusals.failed(pilot.pool, Failure(pilot.node, ending, log), serving=serving, now=now)
        if step is Step.give_up:
            self._give_up(pilot.pool)
        elif step is Step.pause:
            self._lives.tell("pool.paused", {"pool": pilot.pool, "error": f"{ending.error}: {ending.reason}"})
        elif step is Step.avoid:
            self._lives.tell("node.avoided", {"pool": pilot.pool, "node": pilot.node})

    def hopeless(self, pilot: Pilot, standing: Standing, now: float) -> None:
        """A pilot waits for what will never be."""
        self.dismiss([pilot], Ending(f"it would never have started: {standing.reason}", "BatchRefused"))
        error = BatchRefused(
            f"{self._system.name} will never start the pilots of the pool {pilot.pool!r} of the site "
            f"{self._refusals.site!r}: {standing.reason}. Ask for what its queue allows; "
            f"`daskflow site check {self._refusals.site}` tells its limits."
        )
        self.refused(pilot.pool, error, serving=bool(self._roll.serving(pilot.pool)), now=now)

    def refused(self, pool: str, error: Exception, *, serving: bool, now: float) -> None:
        """The batch system will not have pilots of a pool; others of it may be `serving` all the same."""
        if pool in self._refusals.given_up:
            return
        fresh = self._refusals.open(pool, now)
        if self._refusals.refused(pool, error, serving=serving, now=now) is Step.give_up:
            self._give_up(pool)
        elif fresh:
            self._lives.tell("pool.paused", {"pool": pool, "error": f"{type(error).__name__}: {error}"})

    def _give_up(self, pool: str) -> None:
        error = self._refusals.given_up[pool]
        self._lives.tell("pool.given_up", {"pool": pool, "error": f"{type(error).__name__}: {error}"})
        self.clear(pool)
        self._crew.give_up(pool, error)

    def clear(self, pool: str) -> None:
        """No pilot in the queue is wanted any more, if its pool was given up."""
        if pool in self._refusals.given_up:
            self.dismiss(self._roll.coming(pool), _GIVEN_UP)
