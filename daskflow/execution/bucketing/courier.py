"""Deposits works, follows them to their ends, and clears up behind them, in a thread of its own."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Iterable, Sequence
from typing import Any

from daskflow.errors import DaskflowError, WorkInvalid, WorkLocked
from daskflow.execution.bucketing.deposit import Deposit, Step, bucket_of, portions
from daskflow.execution.bucketing.means import Means, work_of
from daskflow.execution.bucketing.opening import accept, answer_of, brought
from daskflow.execution.bucketing.packing import Packing
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
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
"""Buckets that did not answer are asked again after the first time, then after twice as long, ... [s]."""
_FEW = 500
"""Up to so many works are asked for by their ids; of more, all of their run."""
_AT_ONCE = 100
"""So many works are deposited together at most."""
_PORTION = 8 << 20
"""So much of parameters is deposited together at most, but for a single work that has more [bytes]."""
_PATIENCE = 5.0
"""While large objects go to a server, works that are ready wait no longer than this to be deposited [s]."""
_SEEN = dict.fromkeys(("id", "status", "attempt", "given_back", "retries", "final", "tags"), 1)


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
        self._left: dict[str, dict[str, dict[str, Any]]] = {}
        """Works of an earlier driver that nobody has asked for yet, by run and job."""
        self._own: dict[str, set[str]] = {}
        """Works by run that were followed here at any time: they are those of no earlier driver."""
        self._dropped: dict[str, float] = {}
        """Works that are to be deleted, and when on the monotonic clock [s]."""
        self._news = time.monotonic()
        self._ordered = time.monotonic()
        self._pause = 0.0
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
        with self._change:
            for run in runs:
                self._left.pop(run, None)
                self._own.pop(run, None)

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
            try:
                if due:
                    self._delete(due)
                if new:
                    self._deposit(new)
                self._look()
                self._put_in_order()
                if self._unserved.due():
                    self._unserved.look(self._waiting())
                self._pause = 0.0
            except DaskflowError as error:
                self._suffer(error)
            except Exception as error:  # what is in hand is not to be forgotten
                _LOG.exception("Works of %s cannot be looked after", self._means.site)
                self._suffer(error)

    def _patience(self) -> float | None:
        """How long nothing is to be done unless somebody says so [s]."""
        now = time.monotonic()
        times = [max(0.0, when - now) for when in self._dropped.values()]
        if self._flying:
            times.append(min(_LATEST, max(_SOONEST, (now - self._news) / _SHARE)))
        return min(times) if times else None

    def _suffer(self, error: Exception) -> None:
        """The buckets do not do what they should: later, where that can help."""
        lasting = isinstance(error, DaskflowError) and not error.transient
        with self._change:
            first = not self._pause
            self._pause = min(LONGEST_PAUSE, max(FIRST_PAUSE, 2 * self._pause))
            waiting = [deposit for deposit in [*self._new, *self._flying.values()] if not deposit.over]
            if lasting:
                self._new = []
        if lasting:
            for deposit in waiting:
                self._lose(deposit, type(error).__name__, str(error))
        elif first:
            for listener in {deposit.listener: deposit for deposit in waiting}.values():
                listener.event("site.silent", site=self._means.site, reason=f"{type(error).__name__}: {error}")
        with self._change:
            self._change.wait_for(lambda: self._stopped, self._pause)

    # To the buckets.

    def _deposit(self, new: Sequence[Deposit]) -> None:
        """Deposit nodes, unless there are works of them already."""
        for run in {deposit.node.run for deposit in new} - self._left.keys():
            self._left[run] = self._found(run)
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
                self._left.clear()
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

    def _found(self, run: str) -> dict[str, dict[str, Any]]:
        """The works of a run that are there already, by job."""
        own = self._own.get(run, ())
        rows = [row for row in self._view(run) if row["id"] not in own and row["id"] not in self._dropped]
        # Of several of one job the latest counts.
        return {row["tags"][1]: row for row in reversed(rows) if len(row.get("tags") or ()) > 1}

    def _view(self, run: str, **query: Any) -> list[dict[str, Any]]:
        asked = {"config.parent": run, "site": self._means.site, **query}
        return self.buckets.view(asked, projection=_SEEN, limit=-1)

    def _adopt(self, deposit: Deposit) -> bool:
        """Take over the work of an earlier driver; False where there is none that is of use."""
        left = self._left[deposit.node.run]
        row = left.get(deposit.job)
        if row is None:
            return False
        of_use = self._of_use(deposit, row)
        if not of_use:
            self._delete([row["id"]])
        del left[deposit.job]
        if not of_use:
            return False
        self._depart(deposit, row["id"], Step.queued)
        deposit.event("work.adopted", id=row["id"])
        return True

    def _abandon(self, deposit: Deposit) -> None:
        """Delete the work of a node that nobody waits for any more, if there is one though no answer came."""
        left = self._left.get(deposit.node.run, {})
        row = left.pop(deposit.job, None) if deposit.step is Step.told else None
        if row is not None:
            self._delete([row["id"]])

    def _of_use(self, deposit: Deposit, row: dict[str, Any]) -> bool:
        """Whether a work goes on, or has brought a result: what has failed is performed again."""
        if row["status"] == WorkStatus.failure:
            return not used_up(row)
        if row["status"] != WorkStatus.success:
            return True
        work = self.buckets.get(row["id"])
        return work is not None and brought(work.results, self._means.values, deposit.node.run, deposit.job)

    # From the buckets.

    def _look(self) -> None:
        """See what became of the works that are followed."""
        runs: dict[str, list[str]] = {}
        with self._change:
            for id, deposit in self._flying.items():
                runs.setdefault(deposit.node.run, []).append(id)
        for run, ids in runs.items():
            # Those that were told of stay in their buckets for a while.
            these = {"id": {"$in": ids}} if len(ids) <= _FEW else {}
            rows = self._view(run, **these, status={"$in": ["running", "success", "failure"]})
            seen = {row["id"]: row for row in rows}
            for id in ids:
                found = self._flying.get(id)
                if found is not None:
                    self._note(found, seen.get(id))

    def _note(self, deposit: Deposit, row: dict[str, Any] | None) -> None:
        if row is None:  # its agent was lost, or has given it back: it is queued again
            with self._change:
                deposit.go(Step.queued if deposit.step is Step.running else deposit.step)
            return
        if row["attempt"] != deposit.attempt:
            deposit.attempt = row["attempt"]
            self._news = time.monotonic()
            deposit.event("work.taken", id=deposit.id, attempt=deposit.attempt)
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
            self._lose(deposit, "WorkerLost" if work.error == EXPIRED else "WorkFailed", text)
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
            there = {row["id"] for row in self._view(run)}
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
