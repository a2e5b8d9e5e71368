"""The site of the works of pipelines: it deposits them, and waits until agents anywhere have performed them."""

from __future__ import annotations

import json
import logging
import pickle
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextvars import ContextVar
from typing import Any

from daskflow.errors import DaskflowError, SiteError, UsageError, WorkError, WorkFailed
from daskflow.execution.bucketing.unserved import Unserved, Waiting
from daskflow.execution.worker.attempt import current
from daskflow.execution.worker.footprint import Span
from daskflow.model.needs import Needs
from daskflow.model.work import Work, WorkStatus
from daskflow.sites import Listener, Node
from daskflow.sites.grip import condemn, doomed
from daskflow.sites.site import Perform
from daskflow.stores.buckets import Buckets
from daskflow.stores.buckets.rows import used_up

_LOG = logging.getLogger(__name__)
_SHORT, _LONG = 0.05, 2.0
"""Between two looks at the buckets [s]."""
_PART = 10
"""Looking may take one part in so many of the time."""
_SLOTS = 100_000
"""The buckets keep the queue."""
_SEEN = {"id": 1, "pipeline": 1, "status": 1, "attempt": 1, "given_back": 1, "retries": 1, "final": 1, "tags": 1}
"""What is looked at of a work that goes on."""
_WORK: ContextVar[Work | None] = ContextVar("daskflow_pipeline_work", default=None)
"""The work that has ended, and of which the record is just made."""


def taken(mark: str) -> dict[str, Any]:
    """What the task of a work does: take what it left, once it has ended.

    Raises
    ------
    WorkFailed
        Its last attempt failed.
    UsageError
        No site for works performs this.
    """
    work = _WORK.get()
    if work is None:
        raise UsageError(f"The work {mark} belongs to a run of a pipeline: daskflow pipeline run FILE")
    if work.log:
        print(work.log.rstrip("\n"))
    stop = work.stop or time.time()
    current().span = Span(work.start or stop, stop, 0.0)
    if work.status is not WorkStatus.success:
        raise WorkFailed(
            f"The work {work.id} ({mark}) failed in attempt {work.attempt} on {work.host or 'an unknown host'}: "
            f"{work.error or 'nothing is known of the reason'}"
        )
    return {"id": work.id, "results": work.results, "products": work.products, "plots": work.plots}


class _Order:
    """A node whose work is waited for."""

    def __init__(self, node: Node, listener: Listener) -> None:
        # A bundle is never made for this site, and all arguments are texts.
        _, mark, payload = pickle.loads(node.package).assignments[0].arguments
        self.node = node
        self.listener = listener
        self.mark: str = mark
        """Last of the work's tags."""
        self.fields: dict[str, Any] = json.loads(payload)
        self.id = ""
        self.pipeline = ""
        self.running = False
        self.since = time.monotonic()
        """When it began to be as it is [s]."""

    def waiting(self) -> Waiting:
        """That nobody has taken it."""
        return Waiting(self.pipeline, self.fields["site"], self.since, self.listener, self._event)

    def _event(self, kind: str, **data: Any) -> None:
        self.listener.tell(kind, json.dumps({"job": self.node.key, **data}))

    def work(self) -> Work:
        """The work that is to be deposited."""
        work = Work(**self.fields)
        work.config.parent = self.node.run
        work.tags = [*(work.tags or ()), self.mark]
        return work


class Depositor:
    """Has nodes performed by agents: each is a work in a bucket.

    Parameters
    ----------
    name
        Name of the site.
    open_buckets
        Opens the buckets; called when something is to be deposited.
    perform
        Performs a package; called when its work has ended, to record that.

    Notes
    -----
    Works outlive the driver. One that resumes a run finds the works of the run by their parent, and by the tag that
    each has: what waits, is performed or has succeeded is taken over, and not deposited again. What has failed for
    good is.
    """

    slots = _SLOTS
    bundles = False
    chains = False

    def __init__(self, name: str, open_buckets: Callable[[], Buckets], perform: Perform) -> None:
        self.name = name
        self._open = open_buckets
        self._perform = perform
        self._turn = threading.Lock()
        """Held while works are deposited, or deleted: what is known of them here and what there is are not the same."""
        self._lock = threading.RLock()
        self._orders: dict[str, _Order] = {}
        self._opened: Buckets | None = None
        self._unserved: Unserved | None = None
        self._thread: threading.Thread | None = None
        self._wake = threading.Event()

    def _buckets(self) -> Buckets:
        with self._lock:
            if self._opened is None:
                self._opened = self._open()
                self._unserved = Unserved(self._opened)
            return self._opened

    def submit(
        self, nodes: Sequence[Node], kept: Iterable[str], listener: Listener, foreign: Mapping[str, Any]
    ) -> None:
        """Deposit works, or take over those that are there.

        Raises
        ------
        SiteError
            The buckets cannot be reached.
        SiteUnknown
            A work is for a site that nobody has configured.
        """
        with self._turn:
            orders = [_Order(node, listener) for node in nodes if not doomed(node.key)]
            try:
                self._deposit(orders)
            except DaskflowError as error:
                if not error.transient:
                    raise
                raise SiteError(f"The buckets of works cannot be reached: {error}") from error
            self._await(orders)
        self._wake.set()

    def _await(self, orders: Sequence[_Order]) -> None:
        with self._lock:
            self._orders.update((order.node.key, order) for order in orders)
            if self._thread is None and orders:
                self._thread = threading.Thread(target=self._serve, name="daskflow-works", daemon=True)
                self._thread.start()

    def _deposit(self, orders: Sequence[_Order]) -> None:
        if not orders:
            return
        buckets = self._buckets()
        there: dict[str, dict[str, Any]] = {}
        for found in _of_run(buckets, orders[0].node.run):  # the newest first
            there.setdefault((found.get("tags") or [""])[-1], found)
        new = []
        for order in orders:
            known = there.get(order.mark)
            if known is None or _failed(known):
                new.append((order, order.work()))
            else:
                order.id, order.pipeline = known["id"], known["pipeline"]
        ids = buckets.deposit([work for _, work in new])
        for (order, work), id in zip(new, ids, strict=True):
            order.id, order.pipeline = id, work.pipeline

    # Waiting.

    def _serve(self) -> None:
        pause = _SHORT
        while True:
            woken = self._wake.wait(pause)
            self._wake.clear()
            with self._lock:
                orders = list(self._orders.values())
                if not orders:
                    self._thread = None
                    return
            began = time.monotonic()
            changed = self._look(orders)
            longest = max(_LONG, _PART * (time.monotonic() - began))
            pause = _SHORT if woken or changed else min(1.5 * pause, longest)

    def _look(self, orders: Sequence[_Order]) -> bool:
        """Look how works stand; returns whether one has gone on."""
        try:
            buckets = self._buckets()
            seen = {each["id"]: each for run in {order.node.run for order in orders} for each in _of_run(buckets, run)}
            changed = [self._settle(buckets, order, seen.get(order.id)) for order in orders]
            self._tell_unserved()
            return any(changed)
        except DaskflowError as error:
            if error.transient:
                _LOG.warning("the buckets of works cannot be reached: %s", error)
                return False
            for listener in {id(order.listener): order.listener for order in orders}.values():
                listener.fail(error)
            self._forget([order.node.key for order in orders])
            return False

    def _tell_unserved(self) -> None:
        if self._unserved is not None and self._unserved.due():
            with self._lock:
                orders = [order for order in self._orders.values() if not order.running]
            self._unserved.look([order.waiting() for order in orders])

    def _settle(self, buckets: Buckets, order: _Order, seen: Mapping[str, Any] | None) -> bool:
        if seen is not None and not _ended(seen):
            running = seen["status"] == WorkStatus.running
            changed = running is not order.running
            if changed:
                order.running, order.since = running, time.monotonic()
            return changed
        work = None if seen is None else buckets.get(order.id)
        if not self._forget([order.node.key]):
            return False
        if work is None:
            order.listener.lost(order.node.key, f"WorkLost: somebody deleted the work {order.id}", order.node.name)
            return True
        token = _WORK.set(work)
        try:
            _, records, _ = self._perform(order.node.package)
        finally:
            _WORK.reset(token)
        order.listener.performed([records])
        return True

    def _forget(self, keys: Iterable[str]) -> list[_Order]:
        with self._lock:
            return [self._orders.pop(key) for key in keys if key in self._orders]

    # The end of works that nobody waits for.

    def release(self, keys: Iterable[str]) -> None:
        """Forget nodes: works that nobody has taken yet are deleted, those that are performed go on."""
        with self._turn:
            orders = self._forget(keys)
        self._take_back(orders)

    def recall(self, keys: Iterable[str]) -> set[str]:
        """Take back works that no agent has taken."""
        with self._turn, self._lock:
            orders = [self._orders[key] for key in keys if key in self._orders]
        back = self._take_back(orders)
        self._forget(back)
        return back

    def _take_back(self, orders: Sequence[_Order]) -> set[str]:
        """Delete works that no agent has taken; the keys of these."""
        back: set[str] = set()
        for order in orders:
            try:
                buckets = self._buckets()
                # Taken as an agent would: none takes it at the same time.
                work = buckets.withdraw(order.pipeline, tags=order.mark, parent=order.node.run)
                if work is not None:
                    buckets.delete(work)
                    back.add(order.node.key)
            except DaskflowError as error:
                _LOG.warning("the work %s cannot be taken back: %s", order.id, error)
        return back

    def kill(self, keys: Iterable[str]) -> set[str]:
        """Delete works; an agent that performs one hears of that at its next heartbeat, and kills what it does."""
        asked = set(keys)
        condemn(asked)
        # Another thread may be at the same works, which are forgotten then, and not yet gone: both wait for that.
        with self._turn:
            orders = self._forget(asked)
            try:
                if orders:
                    self._buckets().delete([order.id for order in orders])
            except WorkError:  # one is locked, which keeps the others
                self._delete_each(orders)
            except DaskflowError as error:
                _LOG.warning("works cannot be deleted: %s", error)
                return asked - {order.node.key for order in orders}
        return asked

    def _delete_each(self, orders: Sequence[_Order]) -> None:
        for order in orders:
            try:
                self._buckets().delete(order.id)
            except WorkError as error:
                _LOG.warning("the work %s stays: %s", order.id, error)

    def fit(self, needs: Needs) -> str:
        """Nothing is known of the agents: anything may fit."""
        return ""

    def larger(self, needs: Needs) -> Needs | None:
        """Nothing: agents keep works to no memory."""
        return None

    def leave(self, listener: Listener) -> None:
        """Tell a listener no more; the works of its run go on, for whoever resumes it."""
        ear = listener
        with self._turn, self._lock:
            self._forget([key for key, order in self._orders.items() if order.listener is ear])

    def running(self) -> Sequence[str]:
        """Keys of the nodes whose works agents perform."""
        with self._lock:
            return [key for key, order in self._orders.items() if order.running]

    def address(self) -> str:
        """Nothing: there is no dashboard."""
        return ""

    def rest(self) -> None:
        """Nothing: there are no workers."""

    def close(self) -> None:
        """Look after nothing any more; works that go on do so."""
        with self._lock:
            self._orders.clear()
            opened, self._opened, thread = self._opened, None, self._thread
        self._wake.set()
        if thread is not None and thread is not threading.current_thread():
            thread.join()
        if opened is not None:
            opened.close()


def _of_run(buckets: Buckets, run: str) -> list[dict[str, Any]]:
    return buckets.view({"config.parent": run}, projection=_SEEN, limit=-1)


def _failed(seen: Mapping[str, Any]) -> bool:
    return seen["status"] == WorkStatus.failure and _ended(seen)


def _ended(seen: Mapping[str, Any]) -> bool:
    if seen["status"] == WorkStatus.failure:
        return used_up(seen)
    return bool(seen["status"] == WorkStatus.success)
