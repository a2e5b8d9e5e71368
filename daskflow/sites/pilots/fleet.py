"""The pilots of one site: started when work waits, replaced before their time is over, sent away when idle."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from itertools import groupby
from typing import Any

from daskflow.errors import BatchError
from daskflow.model.needs import Needs
from daskflow.sites.batch.system import BatchSystem, Phase, Standing
from daskflow.sites.batch.watch import Watch
from daskflow.sites.pilots import ends, orphans
from daskflow.sites.pilots.crew import Crew, Post
from daskflow.sites.pilots.ends import Ending
from daskflow.sites.pilots.errands import Errands
from daskflow.sites.pilots.lives import Lives, Tell
from daskflow.sites.pilots.pilot import Pilot, Stage
from daskflow.sites.pilots.plan import SitePlan
from daskflow.sites.pilots.recruiting import Recruiter
from daskflow.sites.pilots.refusals import Refusals
from daskflow.sites.pilots.roll import COMING, Roll
from daskflow.sites.pilots.script import Meeting
from daskflow.sites.pilots.setbacks import Setbacks
from daskflow.sites.pilots.silence import Silence, unheard
from daskflow.sites.pilots.starts import Notes, Start
from daskflow.sites.pilots.submissions import Desk, Order

_LOG = logging.getLogger(__name__)

LOOK = 1.0
"""A fleet looks around so often [s] ..."""
_CALM = 0.2
"""... and, however often it is nudged, not more often than that [s]."""
START = 300.0
"""A worker that has not arrived so long after its script began never will [s]."""
_CLOSING = 70.0
"""So long a fleet that closes waits for what it is just submitting [s]."""


class Fleet:
    """The pilots of one site.

    Parameters
    ----------
    site
        Name of the site.
    plan
        How it is run.
    system, watch
        Its batch system, and who asks it how jobs stand.
    crew
        Who gives work to the pilots.
    tell
        Gets what happens: `pilot.submitted`, `pilot.waiting`, `pilot.started`, `pilot.arrived`, `pilot.failed`,
        `pilot.ended`, `pool.given_up`, `pool.paused`, `node.avoided`, `site.silent`, `site.answers`; returns at once.

    Notes
    -----
    `nudge`, `lost`, `rest`, `pilots`, `node_of` and `log_tail` may be called from any thread, also from those that hold
    a lock which the crew needs. All else happens in the fleet's own thread.
    """

    def __init__(self, site: str, plan: SitePlan, system: BatchSystem, watch: Watch, crew: Crew, *, tell: Tell) -> None:
        self.clock: Callable[[], float] = time.time
        self.errands = Errands(f"daskflow-errands-{site}")
        """What the fleet is told, and has done."""
        self._site = site
        self._plan = plan
        self._system = system
        self._watch = watch
        self._crew = crew
        self._tell = tell
        self._pools = {pool.name: pool for pool in plan.pools}
        self._roll = Roll()
        self._lives = Lives(self._roll, tell)
        self._recruiter = Recruiter(plan, self._roll)
        self._refusals = Refusals(site, plan.patience)
        self._silence = Silence(tell)
        self._setbacks = Setbacks(
            system, plan.poll, crew, lives=self._lives, refusals=self._refusals, errands=self.errands
        )
        self._notes = Notes(plan.home, orphans.new_token())
        self._desk: Desk | None = None
        self._sent = 0
        """How many submissions are on their way."""
        self._followed: set[str] = set()
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    def open(self, scheduler: str, tls: str) -> None:
        """Begin to look around.

        Parameters
        ----------
        scheduler
            Address of dask's scheduler.
        tls
            Directory of the certificates; empty: no TLS.
        """
        self.prepare(scheduler, tls)
        self._thread = threading.Thread(target=self._work, name=f"daskflow-fleet-{self._site}", daemon=True)
        self._thread.start()

    def prepare(self, scheduler: str, tls: str) -> None:
        """All that is to be done before the first look; pilots of drivers that were killed are cancelled."""
        orphans.sign(self._notes, self._site)
        self._desk = Desk(self._plan, self._system, self._notes, Meeting(self._site, scheduler, tls, self._notes.token))
        self.errands.do(lambda: orphans.sweep(self._plan.home, self._site, self._system), self._swept)

    def nudge(self) -> None:
        """Look around soon: something has changed."""
        self.errands.nudged.set()

    def rest(self) -> None:
        """Idle pilots go at once, and those in the queue too, until something waits for one."""
        self.errands.hear(self._recruiter.rest)

    def lost(self, id: str, error: str = "", reason: str = "") -> None:
        """The worker of a pilot is gone, and somebody knows how: the name of the error class, and the story."""
        ending = Ending(reason or "its worker went away", error)
        self.errands.hear(lambda: self._lives.known(id, ending, self.clock()))

    def pilots(self) -> list[Pilot]:
        """All pilots that ever were."""
        return self._roll.all()

    def node_of(self, id: str) -> str:
        """Where a pilot is or was; empty where that is not known."""
        pilot = self._roll.get(id)
        return pilot.node if pilot is not None else ""

    def log_tail(self, id: str) -> str:
        """The end of a pilot's log."""
        pilot = self._roll.get(id)
        return ends.tail(pilot.log) if pilot is not None else ""

    def close(self) -> None:
        """Cancel all pilots, and look around no more."""
        self._closed.set()
        self.errands.nudged.set()
        if self._thread is not None:
            self._thread.join()
        self.errands.close(_CLOSING)
        self.errands.listen()
        self._read_notes(self.clock())
        there = self._roll.there()
        self._watch.unfollow(self._followed)
        # Of those whose worker is gone the batch job may still be there.
        ids = {one.id for one in there} | self._setbacks.doomed | self._lives.unsure()
        self._lives.settle(self.clock(), after=0.0)
        for pilot in there:
            self._lives.ended(pilot, ends.CLOSED)
        try:
            if ids:
                self._system.cancel(sorted(ids))
        except (BatchError, OSError) as error:
            # They end when they find no scheduler; if not, a later driver cancels them.
            _LOG.warning("The pilots of the site %s are not cancelled: %s", self._site, error)
        else:
            if self._desk is None or not (self._desk.unanswered or self._desk.performed):
                orphans.resign(self._notes)

    # What the watch of the batch system tells, in its thread.

    def standing(self, standing: Standing) -> None:
        """How the batch job of a pilot stands."""
        self.errands.hear(partial(self._stands, standing))

    def vanished(self, id: str) -> None:
        """The batch system knows nothing of a pilot any more."""
        self.errands.hear(partial(self._setbacks.went, id))

    def silent(self, error: Exception) -> None:
        """The batch system does not answer."""
        self.errands.hear(lambda: self._silence.began(error, self.clock(), own=False))

    # In the fleet's thread.

    def _work(self) -> None:
        while not self._closed.is_set():
            try:
                self.look()
            except Exception:
                _LOG.exception("The fleet of the site %s does not understand what it sees", self._site)
            self._closed.wait(_CALM)
            self.errands.nudged.wait(LOOK - _CALM)
            self.errands.nudged.clear()

    def look(self) -> None:
        """Look around once: hear what was told, and do what follows."""
        now = self.clock()
        self.errands.listen()
        posts, waiting = self._crew.posts(), self._waiting()
        self._recruiter.see(waiting.keys(), now)
        self._compare(posts, now)
        self._read_notes(now)
        self._lives.settle(now)
        self._part(posts, now)
        self._setbacks.ask_why(now)
        self._unfollow()
        self._setbacks.doom(self._lives.lingering(now))
        if self._silence.over(now):
            self._cancel()
            self._recruit(waiting, posts, now)

    def _waiting(self) -> dict[str, Counter[Needs]]:
        """What waits, by the pool that it goes to."""
        found: dict[str, Counter[Needs]] = {}
        # There may be a hundred thousand of them, and mostly equal ones stand together.
        for needs, equal in groupby(self._crew.waiting()):
            pool = self._crew.pool_of(needs)
            # Whose pool was given up just now: the crew hears of it in a moment.
            if pool is not None and pool.name not in self._refusals.given_up:
                found.setdefault(pool.name, Counter())[needs] += len(list(equal))
        return found

    def _compare(self, posts: Mapping[str, Post], now: float) -> None:
        """See who has arrived, and who is gone."""
        for id, post in posts.items():
            pilot = self._lives.submitted(id, post.pool, "", now)
            if id in self._setbacks.dismissed:  # it came while it was being cancelled
                self._crew.close(id)
            elif pilot.stage not in (Stage.arrived, Stage.closing):
                if pilot.stage in COMING:
                    self._recruiter.arrived(pilot.pool, now - pilot.submitted)
                self._lives.arrived(pilot, post, now)
                self._refusals.arrived(pilot.pool, pilot.node)
        for pilot in self._roll.there():
            if pilot.id not in posts:
                self._lives.missing(pilot, now)

    def _read_notes(self, now: float) -> None:
        started, ended = self._notes.news()
        for start in started:
            self._began(start, now)
        for end in ended:
            self._setbacks.noted(end.id, end.code, now)
        for pilot in self._roll.there():
            if pilot.stage is Stage.started and now - (pilot.started or now) > START:
                self._setbacks.late(pilot, now)

    def _began(self, start: Start, now: float) -> None:
        if start.pool not in self._pools:
            return
        # Of pilots that are not known the answer to their submission was lost, or is on its way.
        pilot = self._lives.submitted(start.id, start.pool, "", now)
        # Some batch systems put logs in their place only at the end: then the path that the node sees is none here.
        if os.path.exists(start.log) and not os.path.exists(pilot.log):
            pilot.log = start.log
        self._lives.started(pilot, start.node, now)

    def _stands(self, standing: Standing) -> None:
        """The batch system answered."""
        now = self.clock()
        self._silence.ended(now)
        pilot = self._roll.get(standing.id)
        if pilot is None or pilot.stage not in COMING:
            return
        if standing.phase is Phase.ended:
            self._setbacks.went(standing.id)
        elif standing.phase is Phase.running:
            self._lives.started(pilot, standing.node, now)
        else:
            self._lives.waits(pilot, standing.reason)
            if standing.hopeless:
                self._setbacks.hopeless(pilot, standing, now)

    # Sending away.

    def _part(self, posts: Mapping[str, Post], now: float) -> None:
        """Let go of those that are not needed."""
        for pilot in self._recruiter.spent(posts, now):
            self._lives.closes(pilot, ends.SPENT)
            self._crew.close(pilot.id)
        for pilot in self._recruiter.idle(posts, now):
            self._lives.closes(pilot, ends.IDLE)
            self._crew.close(pilot.id)
        for pilot in self._roll.there():
            # What it got just before it was closed is performed first.
            if pilot.stage is Stage.closing and pilot.id in posts and not posts[pilot.id].busy:
                self._crew.dismiss(pilot.id)
        self._setbacks.dismiss(self._recruiter.needless(now), ends.WITHDRAWN)

    def _follow(self, ids: list[str]) -> None:
        self._followed.update(ids)
        self._watch.follow(ids, self)

    def _unfollow(self) -> None:
        """Of those that have arrived the crew tells more, and sooner."""
        over = self._followed - {one.id for one in self._roll.there() if one.stage in COMING}
        if over:
            self._followed -= over
            self._watch.unfollow(over)

    def _cancel(self) -> None:
        if self._setbacks.doomed:
            ids = sorted(self._setbacks.doomed)
            self._setbacks.doomed.clear()
            self.errands.do(lambda: self._system.cancel(ids), partial(self._cancelled, ids))

    def _cancelled(self, ids: list[str], found: Any) -> None:
        if isinstance(found, Exception) and unheard(found):
            self._setbacks.doomed.update(ids)
            self._silence.began(found, self.clock())

    def _swept(self, found: Any) -> None:
        if isinstance(found, Exception):
            _LOG.warning("Pilots of earlier drivers of the site %s are not cancelled: %s", self._site, found)
        elif found:
            self._tell("pilots.swept", {"ids": found})

    # Submitting.

    def _recruit(self, waiting: Mapping[str, Counter[Needs]], posts: Mapping[str, Post], now: float) -> None:
        assert self._desk is not None
        if self._desk.unanswered:
            # Nothing new before it is known what is there; and one after the other, for each may take long.
            if not self._sent:
                self._send(self._desk.unanswered[0])
            return
        pools = [pool for pool in self._plan.pools if self._refusals.open(pool.name, now)]
        for name, count in self._recruiter.due(pools, waiting, posts, now).items():
            for order in self._desk.orders(self._pools[name], count, tuple(self._refusals.avoided)):
                self._roll.flying[name] += order.size
                self._send(order)

    def _send(self, order: Order) -> None:
        assert self._desk is not None
        self._sent += 1
        self.errands.do(partial(self._desk.perform, order), partial(self._answered, order))

    def _answered(self, order: Order, found: list[str] | Exception) -> None:
        assert self._desk is not None
        now, pool = self.clock(), order.pool.name
        self._sent -= 1
        if isinstance(found, Exception) and unheard(found):
            # Until that is known they count: they may be there.
            self._desk.unanswered += [order] if order not in self._desk.unanswered else []
            self._silence.began(found, now)
            if not isinstance(found, (BatchError, OSError)):
                _LOG.error("Pilots of the site %s cannot be submitted", self._site, exc_info=found)
            return
        self._desk.unanswered = [other for other in self._desk.unanswered if other != order]
        self._roll.flying[pool] -= order.size
        if isinstance(found, Exception):
            if not self._desk.refused(order):
                self._setbacks.refused(pool, found, serving=bool(self._roll.there(pool)), now=now)
        else:
            self._silence.ended(now)
            self._desk.taken(order)
            pilots = [self._lives.submitted(id, pool, order.log(id), now) for id in found]
            self._follow([one.id for one in pilots if one.stage in COMING])
            self._setbacks.clear(pool)
