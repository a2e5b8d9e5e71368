"""An agent: withdraws works, has them performed, and writes what came out."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from daskflow.errors import DaskflowError
from daskflow.execution.agents.archive import Archivist, Rest
from daskflow.execution.agents.attempt import Attempt
from daskflow.execution.agents.holding import Held, Holder, Why, now
from daskflow.execution.agents.notices import Notices
from daskflow.execution.agents.outage import Outage
from daskflow.execution.agents.outcome import in_short
from daskflow.execution.agents.settling import Settler, Told, ending, named
from daskflow.execution.agents.terms import Terms
from daskflow.model.work import Work, WorkStatus
from daskflow.sites.grip import Killed
from daskflow.stores.buckets import Buckets
from daskflow.stores.buckets.absence import until

_LOOK = 5.0
"""Who has nothing to do looks after the works of others so often [s]."""

_LOOK_REFUSED = 60.0
"""The same, of an agent that refused some: it would take these again, and refuse them again [s]."""

_SLICE = 2.0
"""It is looked at least so often whether the agent is to end, and whether works are there if nobody says that none came
[s]."""
_SHORTEST = 0.01
_LONGEST = 300
"""So many letters of an error are told."""
_MOST = 1000
"""So many functions and commands that were refused are remembered, to tell of each once."""

_log = logging.getLogger("daskflow")


class Agent:
    """Serves buckets until it is stopped, or its lives are used up.

    Parameters
    ----------
    buckets
        Where works come from.
    terms
        Which it takes, and how it performs them.
    function
        Performs all works; None: what they name.
    archivist
        Keeps what works have made; None: it is left where it is.
    notices
        Tells people of the ends of works; None: nobody is told.
    tell
        Gets what happens; called by several threads.

    Notes
    -----
    Safe for threads. Each attempt is made in a process of its own. What several workers of one agent perform at a time
    does not disturb each other. Where the agent is killed its attempts end with it; the works are queued again when
    their leases are over.
    """

    def __init__(
        self,
        buckets: Buckets,
        terms: Terms,
        *,
        function: Any = None,
        archivist: Archivist | None = None,
        notices: Notices | None = None,
        tell: Callable[[Told], object] = lambda told: None,
    ) -> None:
        self.buckets = buckets
        self.terms = terms
        self._function = function
        self._archivist = archivist or Archivist()
        self._notices = notices or Notices()
        self._tell = tell
        self._holder = Holder(buckets, terms.lease)
        self._changed = threading.Condition()
        self._lives = terms.lives
        self._busy = self._serving = 0
        self._stopped = threading.Event()
        self._outage = Outage(lambda text: tell(Told("trouble", text)))
        self._shortage = Outage(lambda text: tell(Told("trouble", text)), "Works can be performed here again")
        self._settler = Settler(buckets, self._outage, tell)
        self.tally = self._settler.tally
        """How many works ended how."""
        self._error: BaseException | None = None
        self._reached = False
        self._looked = time.monotonic()
        self._untended, self._failing, self._listening = True, False, False
        self._refused: set[str] = set()
        self._used = time.monotonic()

    def run(self) -> dict[str, int]:
        """Serve; returns how many works ended how.

        Raises
        ------
        StoreError, ServerError
            The store could not be reached when it was asked first, or it does not let us in.

        Notes
        -----
        What interrupts it, as Ctrl-C does in a program that calls it, ends it: works in hand are given back first.
        """
        workers = [
            threading.Thread(target=self._serve, name=f"daskflow-agent-{place}", daemon=True)
            for place in range(self.terms.workers)
        ]
        self._serving = len(workers)
        try:
            for worker in workers:
                worker.start()
            with self._changed:
                self._changed.wait_for(lambda: not self._serving)
        except BaseException:
            # Nobody would stop it any more: what it has in hand is given back.
            self.stop(at_once=True)
            for worker in workers:
                if worker.ident is not None:
                    worker.join()
            raise
        finally:
            self._holder.close()
            self._notices.close()
        if self._error is not None:
            raise self._error
        return dict(self.tally)

    @property
    def in_hand(self) -> int:
        """How many works it performs, or writes, at present."""
        return len(self._holder)

    def stop(self, *, at_once: bool = False) -> None:
        """Take no more works, and end when those in hand have ended.

        Parameters
        ----------
        at_once
            Kill what is performed, and give the works back.
        """
        with self._changed:
            self._stopped.set()
            self._changed.notify_all()
        grace = self.terms.grace
        if at_once:
            self._settler.given_up.set()
            self._holder.kill(Why.stopped)
        elif grace is None:
            self._settler.hasten("until the store takes it, or until the agent is stopped again: then it is lost.")
        else:
            self._settler.hasten(f"for as long as --grace says, {grace:g} s: then it is lost.")
            timer = threading.Timer(grace, self.stop, kwargs={"at_once": True})
            timer.daemon = True
            timer.start()

    def _serve(self) -> None:
        try:
            with until(self._stopped):
                self._take()
        except BaseException as error:
            with self._changed:
                self._error = self._error or error
                self._stopped.set()
        finally:
            with self._changed:
                self._serving -= 1
                self._changed.notify_all()

    def _take(self) -> None:
        """Take works, one after the other."""
        while self._may_take():
            work, since, performed = None, now(), False
            try:
                work = self._withdrawn()
                if work is not None:
                    performed = self._perform(work, since)
            finally:
                self._end_turn(taken=work is not None, performed=performed)
            if work is None and not self._rest():
                break

    def _may_take(self) -> bool:
        """Whether another work is to be taken; then a life is spent, and the agent waits for the end of it."""
        if not self._is_over() and self._is_due(max(self.terms.lease, _LOOK_REFUSED if self._refused else 0.0)):
            self._audit()
        with self._changed:
            if self._is_over():
                return False
            self._lives -= self._lives > 0
            self._busy += 1
            return True

    def _end_turn(self, *, taken: bool, performed: bool) -> None:
        with self._changed:
            self._busy -= 1
            if performed:
                self._used = time.monotonic()
            if not taken and self._lives >= 0:
                self._lives += 1
            self._changed.notify_all()

    def _withdrawn(self) -> Work | None:
        wanted = self.terms.wanted
        try:
            work = self.buckets.withdraw(
                wanted.pipelines,
                event=wanted.events or None,
                site=wanted.site or None,
                priority=wanted.priority,
                user=wanted.user or None,
                tags=wanted.tags or None,
                parent=wanted.parents or None,
                lease=self.terms.lease,
            )
        except DaskflowError as error:
            if not self._reached or not error.transient:
                raise
            self._outage.wait(error, self._stopped)
            return None
        self._reached = True
        self._outage.end()
        return work

    def _rest(self) -> bool:
        """Wait until there may be something to do; whether to go on."""
        # What failed here comes after all else that waits.
        usual = _LOOK_REFUSED if self._refused else min(_LOOK, self.terms.lease / 2)
        if self._is_due(0.0 if self._untended else usual) and self._audit():
            return True
        pause = min(self.terms.sleep, self.terms.lease / 2, _LOOK)
        if self.terms.idle is not None:
            with self._changed:
                left = self.terms.idle - (time.monotonic() - self._used)
                if left <= 0 and not self._busy:
                    return False
            pause = min(pause, max(left, _SHORTEST))
        if not self._outage.lasts:
            self._listen(pause)
        return True

    def _listen(self, pause: float) -> None:
        """Wait for works, at most for some time [s]: one worker asks the store, the others wait for their turn."""
        with self._changed:
            self._changed.wait_for(lambda: not self._listening or self._is_over(), pause)
            if self._listening or self._is_over():
                return
            self._listening = True
        try:
            until = time.monotonic() + pause
            while (left := until - time.monotonic()) > 0 and not self._is_over():
                # It is not waited for longer than the end of the agent may be delayed by it.
                if self.buckets.shelf.await_deposit(self.terms.wanted.pipelines, min(left, _SLICE)):
                    break
        except DaskflowError as error:
            if not error.transient:
                raise
            self._outage.wait(error, self._stopped)
        finally:
            with self._changed:
                self._listening = False
                self._changed.notify_all()

    def _is_over(self) -> bool:
        return self._stopped.is_set() or self._lives == 0

    def _is_due(self, every: float) -> bool:
        """Whether it is time to look after the works of others; then nobody else does."""
        with self._changed:
            due = time.monotonic() - self._looked >= every
            if due:
                self._looked = time.monotonic()
            return due

    def _audit(self) -> bool:
        """Queue again what failed or was lost and has attempts left; whether there was any."""
        self._untended = False
        try:
            found = self.buckets.audit(None)
            if found["expired"]:
                # These failed just now; those with attempts left are queued by the next one.
                found = self.buckets.audit(None)
            return found["failed"] > 0
        except DaskflowError as error:
            # Who may perform may not always look after others; then somebody else does.
            _log.info("Nothing was put in order: %s", error)
            return False

    def _perform(self, work: Work, since: float) -> bool:
        """Perform a work; False where it was refused."""
        with self._holder.holding(work, since) as held:
            if self._settler.given_up.is_set():
                held.kill(Why.stopped)
            try:
                with Attempt(work, self.terms, self._function, self.buckets.shelf) as attempt:
                    self._tell(Told("begun", f"{work.pipeline} {work.id} attempt {work.attempt} begins", work))
                    attempt.make()
                    self._shortage.end()
                    # Who was stopped meanwhile, as by SIGSTOP, touches nothing more of what another one does.
                    self._holder.check(held)
                    if attempt.refused:
                        self._refuse(held)
                        return False
                    with until(self._settler.given_up):
                        rest = self._archivist.keep(work, attempt.log, lambda: self._holder.check(held))
                    self._write(held, rest)
            except Killed:
                self._let_go(held)
            except OSError as error:
                # No room for its directory, no more processes: the work is not to blame.
                self._tell(Told("trouble", f"{work.id} cannot be performed here: {error}", work))
                held.kill(Why.stopped)
                self._let_go(held)
                self._shortage.wait(error, self._stopped)
        return True

    def _refuse(self, held: Held) -> None:
        """Leave a work to others: it says why, and the next who looks after works queues it again."""
        work = held.work
        if not self._settler.write(held):
            return
        self._settler.count("refused")
        asked = work.function or str(work.command)
        with self._changed:
            known = asked in self._refused
            if len(self._refused) < _MOST:
                self._refused.add(asked)
            # The first look would only queue again what was refused just now.
            self._untended &= self._failing
        if not known:
            self._tell(Told("refused", f"{named(work)}: refused, and left to other agents: {work.error}", work))

    def _write(self, held: Held, rest: Rest) -> None:
        """Write what came out; what was to be deleted is deleted when that is done."""
        work = held.work
        if not self._settler.write(held):
            return
        self._archivist.clear(rest)
        self._settler.count(str(work.status))
        with self._changed:
            self._failing |= not work.ended
            self._untended |= not work.ended
        self._tell(Told(work.status, _told_end(work), work))
        self._notices.tell(work)
        if work.status is WorkStatus.success and not work.config.archive.results:
            self._settler.delete(held)

    def _let_go(self, held: Held) -> None:
        kind, text = "lost", "somebody else has it, or it was deleted"
        if held.why is not Why.lost:
            if not self._settler.give_back(held):
                return
            kind, text = "given back", "it is queued again"
        self._settler.count(kind)
        self._tell(Told(kind, f"{held.work.pipeline} {held.work.id} was killed: {text}", held.work))


def _told_end(work: Work) -> str:
    return ending(work) if work.error is None else f"{ending(work)}: {in_short(work.error)[:_LONGEST]}"
