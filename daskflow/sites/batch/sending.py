"""Submits batch jobs in a thread of its own, which a batch system may keep waiting."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

from daskflow.errors import BatchError, BatchRefused, BatchSilent
from daskflow.sites.allocation import Allocation
from daskflow.sites.batch.adopting import Found, adopt
from daskflow.sites.batch.errand import Errand, Step, crowded
from daskflow.sites.batch.folder import ErrandFolder
from daskflow.sites.batch.following import Follower
from daskflow.sites.batch.handing import Deed, Plan, ask_for, body, hand, pool_for, threads
from daskflow.sites.batch.system import Ask, BatchSystem
from daskflow.sites.packages import Packages
from daskflow.sites.site import Perform

_LOG = logging.getLogger(__name__)
FIRST_PAUSE, LONGEST_PAUSE = 2.0, 60.0
"""A batch system that did not answer is asked again after the first time, then after twice as long, ... [s]."""
FIRST_REST, LONGEST_REST = 60.0, 600.0
"""Where there are enough jobs already, the next one comes after the first time, then after twice as long, ... [s]."""


class Means(NamedTuple):
    """What batch jobs of one site are made with."""

    site: str
    system: BatchSystem
    plan: Plan
    perform: Perform
    packages: Packages
    """What is imported from where it is unpacked."""


class Sender:
    """Submits errands, and cancels batch jobs.

    Parameters
    ----------
    lock
        Guards the errands.
    follower
        Follows what was submitted.
    lose
        Called without the lock with an errand that cannot be submitted, the name of the error, and what is known.
    """

    def __init__(
        self,
        means: Means,
        follower: Follower,
        lock: threading.RLock,
        *,
        lose: Callable[[Errand, str, str], None],
    ) -> None:
        self._means = means
        self._follower = follower
        self._change = threading.Condition(lock)
        self._lose = lose
        self._new: list[Errand] = []
        self._due: list[Errand] = []
        self._cancelled: set[str] = set()
        self._stopped = False
        self._pause = 0.0
        self._rest = 0.0
        self._rested = float("-inf")
        """Before this time there are enough jobs, on the monotonic clock [s]."""
        self._thread: threading.Thread | None = None

    def put(self, errands: Iterable[Errand]) -> None:
        """Submit errands, unless an earlier driver has done it."""
        with self._change:
            self._new += errands
            self._go()

    def again(self, errand: Errand) -> None:
        """Submit an errand whose batch job was lost."""
        with self._change:
            self._due.append(errand)
            self._go()

    def cancel(self, ids: Iterable[str]) -> None:
        """Cancel batch jobs, as soon as possible."""
        with self._change:
            self._cancelled.update(id for id in ids if id)
            if self._cancelled:
                self._go()

    def nudge(self) -> None:
        """A batch job has ended: another one may be submitted."""
        with self._change:
            self._change.notify_all()

    def stop(self) -> None:
        """Submit nothing more; returns when what is being submitted is, as far as that is soon."""
        with self._change:
            thread, self._thread = self._thread, None
            self._stopped = True
            self._new, self._due = [], []
            self._change.notify_all()
        if thread is not None and thread is not threading.current_thread():
            thread.join(10.0)

    def _go(self) -> None:
        if self._thread is None:
            self._stopped = False
            self._thread = threading.Thread(target=self._run, name="daskflow-batch-send", daemon=True)
            self._thread.start()
        self._change.notify_all()

    def _run(self) -> None:
        own = threading.current_thread()
        while True:
            with self._change:
                while not self._ready() and not self._stopped and self._thread in (own, None):
                    self._change.wait(self._until_rested() if self._due else None)
                stopped = self._stopped or self._thread is not own
                cancelled, self._cancelled = self._cancelled, set()
                new, self._new = self._new, []
            try:
                if cancelled:
                    self._cancel(cancelled)
                    cancelled = set()
                if stopped:
                    return
                if new:
                    self._adopt(new)
                self._submit_next()
                self._pause = 0.0
            except BatchSilent as error:
                if stopped:
                    return
                self._wait(error, cancelled, new)
            except BatchError as error:  # it does not even tell how jobs stand
                self._lose_all(new, error)
            except Exception as error:  # such as a full disk: what it has in hand is not to be forgotten
                _LOG.exception("Batch jobs of %s cannot be submitted", self._means.site)
                if stopped:
                    return
                self._wait(BatchSilent(f"{type(error).__name__}: {error}"), cancelled, new)

    def _lose_all(self, errands: Iterable[Errand], error: BatchError) -> None:
        for errand in errands:
            try:
                self._lose(errand, type(error).__name__, str(error))
            except Exception:
                _LOG.exception("What became of %s cannot be told", errand.job)

    def _cancel(self, ids: set[str]) -> None:
        try:
            self._means.system.cancel(ids)
        except BatchSilent:
            raise
        except BatchError:  # they have ended, or were never there
            pass

    def _ready(self) -> bool:
        return bool(self._new or self._cancelled or (self._due and self._room() and self._until_rested() is None))

    def _until_rested(self) -> float | None:
        """How long there are enough jobs [s]; None: there may be more."""
        left = self._rested - time.monotonic()
        return left if left > 0 else None

    def _room(self) -> bool:
        limit = self._means.plan.max_jobs
        return limit is None or self._follower.count() < limit

    def _wait(self, error: BatchSilent, cancelled: set[str], new: list[Errand]) -> None:
        """The batch system does not answer: later is soon enough.

        Parameters
        ----------
        cancelled, new
            What is still to be done.
        """
        with self._change:
            self._cancelled |= cancelled
            self._new[:0] = new
            waiting = {errand.listener: errand for errand in [*self._new, *self._due] if errand.step is Step.waiting}
            first = not self._pause
            self._pause = min(LONGEST_PAUSE, max(FIRST_PAUSE, 2 * self._pause))
        for errand in waiting.values() if first else ():
            errand.event("site.silent", site=self._means.site, reason=str(error))
        with self._change:
            self._change.wait_for(lambda: self._stopped, self._pause)

    def _adopt(self, errands: list[Errand]) -> None:
        """Place errands; those that are not placed yet stay in the list, whatever happens."""
        errands[:] = [errand for errand in errands if errand.step is Step.waiting]
        for found in adopt(errands, self._means.system):
            self._place(found)
            errands.remove(found.errand)

    def _place(self, found: Found) -> None:
        errand, folder = found.errand, found.left
        if folder is None:
            if found.dead is not None:
                found.dead.retire(keep_log=True)
            with self._change:
                self._due.append(errand)
            return
        errand.folder, errand.heard = folder, folder.heard
        errand.id = found.id
        errand.event("batch.adopted", id=errand.id)
        done = folder.done(folder.names())
        if done:
            self._follower.finish(errand, folder)
        if not done or errand.step is Step.waiting:  # there, and not to be read yet
            self._depart(errand)

    def _submit_next(self) -> None:
        """Submit the next errand, if there is room for it."""
        with self._change:
            if not self._due or not self._room() or self._until_rested() is not None:
                return
            errand = self._due[0]
            over = errand.step is not Step.waiting
        try:
            if not over:
                self._submit(errand)
                self._rest = 0.0
        except BatchSilent:
            raise
        except BatchError as error:
            if isinstance(error, BatchRefused) and crowded(str(error)):
                self._pause_submissions(errand, str(error))
                return
            self._lose(errand, type(error).__name__, str(error))
        except Exception as error:  # what it takes may not pickle; the shared directory may be full
            self._lose(errand, "SiteError", f"the batch job cannot be made: {type(error).__name__}: {error}")
        with self._change:
            self._due = [other for other in self._due if other is not errand]

    def _pause_submissions(self, errand: Errand, reason: str) -> None:
        """There are enough jobs already: the errand waits for its turn."""
        self._rest = min(LONGEST_REST, max(FIRST_REST, 2 * self._rest))
        self._rested = time.monotonic() + self._rest
        if reason not in errand.reasons:
            errand.reasons.add(reason)
            errand.event("batch.waiting", id="", reason=reason)

    def _submit(self, errand: Errand) -> None:
        folder, ask = self._prepared(errand)
        with self._change:
            if errand.step is not Step.waiting:
                folder.retire(keep_log=False)
                return
            errand.folder = folder
        # Where the answer to an earlier submission got lost, its batch job may have begun: no other one is needed.
        errand.id = folder.performer or folder.id or self._submitted(folder, ask)
        errand.event("batch.submitted", id=errand.id, nodes=ask.nodes, queue=ask.queue.queue)
        self._depart(errand)

    def _submitted(self, folder: ErrandFolder, ask: Ask) -> str:
        """Submit what lies in a folder; the id of the batch job."""
        script = self._means.system.script(ask, body(folder, self._means.system, self._means.plan, ask))
        with contextlib.suppress(OSError):  # for people
            folder.note_script(script)
        (id,) = self._means.system.submit(script, ask)
        with contextlib.suppress(OSError):  # the batch job writes it too
            folder.note_id(id)
        return id

    def _prepared(self, errand: Errand) -> tuple[ErrandFolder, Ask]:
        """The folder of an errand, with what is handed over; the same one as long as it is not submitted."""
        node, plan = errand.node, self._means.plan
        pool = pool_for(plan.pools, node.needs) or plan.pools[-1]
        if errand.folder is not None:
            return errand.folder, ask_for(node, pool, plan, errand.folder.log)
        folder = errand.folders.new(errand.job)
        ask = ask_for(node, pool, plan, folder.log)
        place = Allocation(
            system=self._means.system.name,
            id="",
            site=self._means.site,
            pool="",
            node="",
            # Of these cores the job has all, and with them all of the memory.
            cores=node.needs.cores,
            memory=ask.memory,
            gpus=ask.gpus,
            notice=plan.noticed(ask.walltime),
        )
        deed = Deed(node.key, self._means.perform, node.package, node.upstream, errand.foreign)
        variables = {"DASKFLOW_LAUNCH": self._means.system.launch}
        each = threads(node.needs, ask.cores)
        variables |= {} if each is None else {"DASKFLOW_THREADS": str(each)}
        folder.hand(hand(deed, ask, place, variables, self._means.packages.ready()))
        return folder, ask

    def _depart(self, errand: Errand) -> None:
        """A batch job has an id: it is followed, unless it was killed meanwhile."""
        with self._change:
            alive = errand.step is Step.waiting
            if alive:
                errand.go(Step.submitted)
            else:
                self._cancelled.add(errand.id)
        if alive:
            self._follower.follow([errand])
        elif errand.folder is not None:
            errand.folder.retire(keep_log=False)
