"""Deposits works, follows them to their ends, and clears up behind them, in a thread of its own."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Iterable, Sequence

from daskflow.errors import DaskflowError, WorkerLost, WorkFailed, WorkInvalid, WorkLocked, error_of
from daskflow.execution.bucketing.deposit import Deposit, Step, bucket_of, portions
from daskflow.execution.bucketing.leftovers import FEW, Leftovers, Row, works_of
from daskflow.execution.bucketing.means import Means, work_of
from daskflow.execution.bucketing.opening import accept, answer_of
from daskflow.execution.bucketing.packing import Packing
from daskflow.execution.bucketing.silence import Silence
from daskflow.execution.bucketing.unserved import Unserved, Waiting
from daskflow.execution.served import freight_of
from daskflow.model.work import Work, WorkStatus
from daskflow.stores.buckets.rows import used_up
from daskflow.stores.buckets.table import EXPIRED

_LOG = logging.getLogger(__name__)
_SOONEST, _LATEST = 0.05, 2.0
"""Between two looks at the works of a run: at least, and at most [s]."""
_SHARE = 8
"""The time between two looks is this part of that since the last thing happened."""
_SAFE = 5.0
"""So long after a result was told the journal has it [s]."""
_ORDER = 30.0
"""So often works of dead agents are looked for, and those that somebody deleted [s]."""
_AT_ONCE = 100
"""So many works are deposited together at most."""
_PORTION = 8 << 20
"""So much of parameters is deposited together at most, but for a single work that has more [bytes]."""
_PATIENCE = 5.0
"""While large objects go to a server, works that are ready wait no longer than this to be deposited [s]."""


class Courier:
    """Brings deposits to the buckets of one site, and answers back.

    Parameters
    ----------
    lock
        Guards the deposits.
    """

    def __init__(self, means: Means, lock: threading.RLock) -> None:
        self.buckets = means.buckets()
        """Where the works are."""
        self._means = means
        self._freight = freight_of(self.buckets.shelf)
        self._packing = Packing(means.values, self._freight)
        self._unserved = Unserved(self.buckets, means.options)
        self._change = threading.Condition(lock)
        self._new: list[Deposit] = []
        self._flying: dict[str, Deposit] = {}
        self._left = Leftovers(self.buckets, means)
        self._own: dict[str, set[str]] = {}
        """Works by run that were followed here at any time: they are those of no earlier driver."""
        self._dropped: dict[str, float] = {}
        """Works that are to be deleted, and when on the monotonic clock [s]."""
        self._news = time.monotonic()
        self._ordered = time.monotonic()
        self._silence = Silence(means.site)
        self._stopped = False
        self._thread: threading.Thread | None = None

    def put(self, deposits: Iterable[Deposit]) -> None:
        """Deposit nodes, unless an earlier driver has done it."""
        with self._change:
            self._new += deposits
            self._go()

    def drop(self, ids: Iterable[str], *, later: bool) -> None:
        """Delete works; `later`: when the journal has what came of them."""
        due = time.monotonic() + (_SAFE if later else 0.0)
        with self._change:
            self._dropped.update({id: due for id in ids if id})
            if self._dropped:
                self._go()

    def forget(self, deposits: Iterable[Deposit]) -> None:
        """Follow these no more."""
        with self._change:
            for deposit in deposits:
                self._flying.pop(deposit.id, None)

    def leave(self, runs: Iterable[str]) -> None:
        """Somebody else may look after these runs from now on."""
        found = list(runs)
        self._left.leave(found)
        with self._change:
            for run in found:
                self._own.pop(run, None)

    def conclude(self, run: str) -> None:
        """Delete what an earlier driver has left of a run that has ended: nobody asks for it any more."""
        self.drop(self._left.conclude(run), later=False)

    def stop(self) -> None:
        """Deposit and follow nothing more; what is safe elsewhere is deleted."""
        with self._change:
            thread, self._thread = self._thread, None
            self._stopped = True
            self._new, self._flying = [], {}
            self._change.notify_all()
        if thread is not None and thread is not threading.current_thread():
            thread.join(10.0)
        with contextlib.suppress(DaskflowError):
            self._delete(list(self._dropped))
        if self._freight is not None:
            self._freight.close()
        self.buckets.close()

    def _go(self) -> None:
        if self._thread is None:
            self._stopped = False
            self._thread = threading.Thread(target=self._run, name="daskflow-bucket", daemon=True)
            self._thread.start()
        self._news = time.monotonic()
        self._change.notify_all()

    def _run(self) -> None:
        while True:
            with self._change:
                if not self._stopped and not self._new:
                    self._change.wait(self._patience())
                if self._stopped:
                    return
                new = self._new[:_AT_ONCE]
                due = [id for id, when in self._dropped.items() if when <= time.monotonic()]
            began = time.monotonic()
            try:
                if due:
                    self._delete(due)
                if new:
                    self._deposit(new)
                self._look()
                # Before works are put in order: who refuses one takes it again just then.
                if self._unserved.due():
                    self._unserved.look(self._waiting())
                self._put_in_order()
                self._clear_queue()
                self._recover()
            except DaskflowError as error:
                self._suffer(error, began)
            except Exception as error:  # what is in hand is not to be forgotten
                _LOG.exception("Works of %s cannot be looked after", self._means.site)
                self._suffer(error, began)

    def _patience(self) -> float | None:
        """How long nothing is to be done unless somebody says so [s]."""
        now = time.monotonic()
        times = [max(0.0, when - now) for when in self._dropped.values()]
        if self._flying:
            times.append(min(_LATEST, max(_SOONEST, (now - self._news) / _SHARE)))
        if (patience := self._left.patience()) is not None:
            times.append(patience)
        return min(times) if times else None

    def _suffer(self, error: Exception, began: float) -> None:
        """The buckets do not do what they should: later, where that can help."""
        lasting = isinstance(error, DaskflowError) and not error.transient
        with self._change:
            waiting = [deposit for deposit in [*self._new, *self._flying.values()] if not deposit.over]
            if lasting:
                self._new = []
        if lasting:
            for deposit in waiting:
                self._lose(deposit, type(error).__name__, str(error))
        if self._silence.note(error, began) and not lasting:
            self._tell(waiting, "site.silent", reason=f"{type(error).__name__}: {error}")
        with self._change:
            self._change.wait_for(lambda: self._stopped, self._silence.pause)

    def _recover(self) -> None:
        """The buckets do what they should."""
        seconds = self._silence.end()
        if seconds is not None:
            with self._change:
                waiting = list(self._flying.values())
            self._tell(waiting, "site.answers", seconds=round(seconds, 1))

    def _tell(self, deposits: Iterable[Deposit], kind: str, **data: object) -> None:
        """Tell each listener once."""
        for deposit in {id(deposit.listener): deposit for deposit in deposits}.values():
            deposit.event(kind, site=self._means.site, **data)

    # To the buckets.

    def _deposit(self, new: Sequence[Deposit]) -> None:
        """Deposit nodes, unless there are works of them already."""
        for run in {deposit.node.run for deposit in new}:
            self._left.look(run, {*self._own.get(run, ()), *self._dropped})
        works: list[tuple[Deposit, Work]] = []
        began, done = time.monotonic(), 0
        for deposit in new:
            if deposit.over:
                self._abandon(deposit)
            elif deposit.step is Step.waiting and not self._adopt(deposit):
                try:
                    works.append((deposit, work_of(deposit, self._means, self._packing)))
                except Exception as error:  # what it takes may not pickle, or is not there
                    if isinstance(error, DaskflowError) and error.transient:
                        raise
                    self._lose(deposit, type(error).__name__, str(error))
            done += 1
            if time.monotonic() - began > _PATIENCE:
                break
        for portion in portions(works, _PORTION):
            try:
                self.buckets.deposit([work for _, work in portion])
            except BaseException:
                # They may be there, though no answer came: it is looked for them before they are deposited again.
                self._left.doubt()
                raise
            for deposit, work in portion:
                self._depart(deposit, str(work.id), Step.queued)
                deposit.event("work.deposited", id=work.id, bucket=work.pipeline)
        with self._change:
            self._new = self._new[done:]

    def _depart(self, deposit: Deposit, id: str, step: Step) -> None:
        """A node has a work: it is followed, unless it was killed meanwhile."""
        with self._change:
            deposit.id = id
            self._own.setdefault(deposit.node.run, set()).add(id)
            if deposit.step is Step.waiting:
                deposit.go(step)
                self._flying[id] = deposit
            elif deposit.step is Step.told:
                self._dropped[id] = 0.0

    # Works of an earlier driver.

    def _adopt(self, deposit: Deposit) -> bool:
        """Take over the work of an earlier driver; False where there is none that is of use."""
        row = self._left.of(deposit)
        if row is None:
            return False
        of_use = self._left.of_use(deposit, row)
        if not of_use:
            self._delete([row["id"]])
        self._left.take(deposit)
        if not of_use:
            return False
        self._depart(deposit, row["id"], Step.queued)
        deposit.event("work.adopted", id=row["id"])
        return True

    def _abandon(self, deposit: Deposit) -> None:
        """Delete the work of a node that nobody waits for any more, if there is one though no answer came."""
        row = self._left.of(deposit) if deposit.step is Step.told else None
        if row is not None:
            self._delete([row["id"]])
            self._left.take(deposit)

    def _clear_queue(self) -> None:
        """Delete what earlier drivers have left in the way of others: code may have changed since."""
        with self._change:
            asking = {deposit.node.run for deposit in self._new}
        idle = self._left.idle(asking)
        if idle:
            self._delete(idle)
            _LOG.info("%d works of earlier drivers are deleted, for which no job asks any more.", len(idle))

    # From the buckets.

    def _look(self) -> None:
        """See what became of the works that are followed."""
        runs: dict[str, list[str]] = {}
        with self._change:
            for id, deposit in self._flying.items():
                runs.setdefault(deposit.node.run, []).append(id)
        for run, ids in runs.items():
            # Those that were told of stay in their buckets for a while.
            these = ids if len(ids) <= FEW else ()
            states = {"$in": ["running", "success", "failure"]}
            rows = works_of(self.buckets, self._means.site, run, these, status=states)
            seen = {row["id"]: row for row in rows}
            for id in ids:
                found = self._flying.get(id)
                if found is not None:
                    self._note(found, seen.get(id))

    def _note(self, deposit: Deposit, row: Row | None) -> None:
        if row is None:  # its agent was lost, or has given it back: it is queued again
            with self._change:
                deposit.go(Step.queued if deposit.step is Step.running else deposit.step)
            return
        refused = row["status"] == WorkStatus.failure and row["given_back"] > deposit.given_back
        if row["attempt"] != deposit.attempt and not refused:  # that is done again and again
            self._news = time.monotonic()
            deposit.event("work.taken", id=deposit.id, attempt=row["attempt"])
        deposit.attempt, deposit.given_back = row["attempt"], row["given_back"]
        with self._change:
            if deposit.step in (Step.queued, Step.running):
                deposit.go(Step.running if row["status"] == WorkStatus.running else Step.queued)
        if row["status"] == WorkStatus.success or (row["status"] == WorkStatus.failure and used_up(row)):
            self._end(deposit)

    def _end(self, deposit: Deposit) -> None:
        try:
            work = self.buckets.get(deposit.id)
        except WorkInvalid as error:
            self._lose(deposit, type(error).__name__, str(error))
            return
        if work is None or not work.ended:  # deleted just now, or queued again
            return
        self._news = time.monotonic()
        if work.status is WorkStatus.failure:
            where = f", on {work.host}" if work.host else ""
            text = f"the work {deposit.id} failed in attempt {work.attempt}{where}: {work.error or 'nobody says why'}"
            self._lose(deposit, _ended_by(work).__name__, text)
            return
        run = deposit.node.run
        try:
            answer = answer_of(work.results, self._means.values, run, deposit.job)
            logs = self._means.logs / run
            records = accept(answer, self._means.values, logs, f"work-{deposit.id}", self._freight)
            self._packing.saved.update(answer.states)
        except Exception as error:  # what a result is made of may not be here, or be another version
            if isinstance(error, DaskflowError) and error.transient:
                raise
            self._lose(deposit, type(error).__name__, str(error))
            return
        if self._told(deposit):
            deposit.listener.performed(records)

    def _told(self, deposit: Deposit) -> bool:
        """Follow a node no more; False where nobody wants to hear of it."""
        with self._change:
            self._flying.pop(deposit.id, None)
            wanted = not deposit.over
            deposit.go(deposit.step if deposit.over else Step.told)
        return wanted

    def _lose(self, deposit: Deposit, error: str, text: str) -> None:
        """Nothing comes of a work any more."""
        if self._told(deposit):
            deposit.listener.lost(deposit.key, f"{error}: {text}", deposit.job)

    def _waiting(self) -> list[Waiting]:
        """Works that no agent has taken."""
        bucket, site = self._means.pipeline, self._means.site
        with self._change:
            queued = [one for one in self._flying.values() if one.step is Step.queued]
        return [Waiting(bucket or bucket_of(o.node.needs.kind), site, o.since, o.listener, o.event) for o in queued]

    def _put_in_order(self) -> None:
        """Have works of dead agents performed by others; those that somebody deleted are lost."""
        if time.monotonic() - self._ordered < _ORDER or not self._flying:
            return
        self._ordered = time.monotonic()
        with contextlib.suppress(DaskflowError):  # agents do it too
            self.buckets.audit(None)
        with self._change:
            flying = dict(self._flying)
        for run in {deposit.node.run for deposit in flying.values()}:
            there = {row["id"] for row in works_of(self.buckets, self._means.site, run)}
            for id, deposit in flying.items():
                if deposit.node.run == run and id not in there:
                    self._lose(deposit, "WorkLost", f"somebody deleted the work {id}")

    def _delete(self, ids: Sequence[str]) -> None:
        if ids:
            try:
                self.buckets.delete(ids)
            except WorkLocked:  # who has locked one wants to keep it, and no other
                for id in ids:
                    with contextlib.suppress(WorkLocked):
                        self.buckets.delete(id)
        with self._change:
            for id in ids:
                self._dropped.pop(id, None)
            for own in self._own.values():
                own.difference_update(ids)


def _ended_by(work: Work) -> type[DaskflowError]:
    """By which error a job is lost whose work has failed: what befell who performed it has befallen a worker."""
    named = error_of((work.error or "").partition(":")[0])
    if named is not None and issubclass(named, WorkerLost):
        return named
    return WorkerLost if work.error == EXPIRED else WorkFailed
