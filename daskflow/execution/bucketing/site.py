"""The site whose nodes are works in a bucket: agents that nobody can reach perform them, and come for them."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from daskflow.errors import DaskflowError
from daskflow.execution.bucketing.courier import Courier
from daskflow.execution.bucketing.deposit import Deposit, Step, bucket_of
from daskflow.execution.bucketing.means import Means
from daskflow.model.needs import Needs
from daskflow.sites.grip import condemn, doomed
from daskflow.sites.site import Listener, Node

_LEASE = 60.0
"""So long agents wait for a work that is taken back, if this driver dies meanwhile [s]."""
_SLOTS = 100_000
"""The bucket keeps the queue."""


class BucketSite:
    """Performs each node as a work, which outlives the driver.

    Parameters
    ----------
    name
        Name of the site.
    means
        What works are made with.

    Notes
    -----
    Agents need neither the journal nor the artifact store, only the buckets: over HTTP these are within reach of
    whoever may open connections. A driver that dies loses nothing: the one that resumes the run finds the works that
    are queued, are being performed or have succeeded, and takes them over.
    """

    slots = _SLOTS
    bundles = False
    chains = False

    def __init__(self, name: str, means: Means) -> None:
        self.name = name
        self._means = means
        self._lock = threading.RLock()
        self._deposits: dict[str, Deposit] = {}
        self._runs: dict[int, set[str]] = {}
        """Runs of each listener that has not left yet, by its identity."""
        self._courier: Courier | None = None

    def _opened(self) -> Courier:
        with self._lock:
            if self._courier is None:
                self._courier = Courier(self._means, self._lock)
            return self._courier

    def submit(
        self, nodes: Sequence[Node], kept: Iterable[str], listener: Listener, foreign: Mapping[str, Any]
    ) -> None:
        """Have nodes performed, each as a work; returns before any of them is deposited.

        Raises
        ------
        DaskflowError
            The buckets cannot be opened.
        """
        courier = self._opened()
        # What was killed before it was here is not wanted.
        deposits = [Deposit(node, listener, dict(foreign)) for node in nodes if not doomed(node.key)]
        with self._lock:
            self._deposits.update((deposit.key, deposit) for deposit in deposits)
            self._runs.setdefault(id(listener), set()).update(deposit.node.run for deposit in deposits)
        courier.put(deposits)

    def fit(self, needs: Needs) -> str:
        """Why no agent ever performs a node with these needs; empty where one may: what agents have nobody knows."""
        if needs.nodes > 1:
            return "A work is performed by one agent, on one machine. Ask for one node, or place the job elsewhere."
        return ""

    def larger(self, needs: Needs) -> Needs | None:
        """None: nobody knows what agents have."""
        return None

    def _take(self, keys: Iterable[str]) -> list[Deposit]:
        """Nodes that nobody waits for any more."""
        with self._lock:
            found = [self._deposits.pop(key) for key in list(keys) if key in self._deposits]
            if self._courier is not None:
                self._courier.forget(found)
            return found

    def release(self, keys: Iterable[str]) -> None:
        """Forget nodes: those that have not begun never will; works that were told of are deleted."""
        for deposit in self._take(keys):
            with self._lock:
                told, running = deposit.step is Step.told, deposit.step is Step.running
                deposit.go(Step.told)
            if not running:
                self._opened().drop([deposit.id], later=told)

    def recall(self, keys: Iterable[str]) -> set[str]:
        """Take nodes back that have not begun."""
        with self._lock:
            asked = [self._deposits[key] for key in keys if key in self._deposits]
        back = {deposit.key for deposit in asked if self._recalled(deposit)}
        self._take(back)
        return back

    def _recalled(self, deposit: Deposit) -> bool:
        with self._lock:
            if deposit.step is Step.waiting:
                deposit.go(Step.told)
                return True
            if deposit.step is not Step.queued:
                return False
        buckets, work = self._opened().buckets, None
        # Taken from the bucket as agents do it: of both one gets it.
        try:
            work = buckets.withdraw(
                self._means.pipeline or bucket_of(deposit.node.needs.kind),
                site=self._means.site,
                tags=[deposit.job],
                parent=deposit.node.run,
                lease=_LEASE,
            )
            if work is None:
                return False
            buckets.delete(work)
        except DaskflowError:  # it stays where it is, for agents
            if work is not None:
                with contextlib.suppress(DaskflowError):
                    buckets.give_back(work)
            return False
        with self._lock:
            deposit.go(Step.told)
        return True

    def kill(self, keys: Iterable[str]) -> set[str]:
        """Delete the works of nodes: nobody begins them any more, and nothing that is made of them counts.

        Notes
        -----
        An agent that performs one hears of it at its next heartbeat, and kills what it does, with all its processes.
        """
        asked = set(keys)
        condemn(asked)
        deposits = self._take(asked)
        with self._lock:
            ids = [deposit.id for deposit in deposits if deposit.id]
            later = [deposit.id for deposit in deposits if deposit.step is Step.told]
            for deposit in deposits:
                deposit.go(Step.told)
        going = [id for id in ids if id not in later]
        if deposits:
            courier = self._opened()
            courier.drop(later, later=True)
            try:
                courier.buckets.delete(going)
            except DaskflowError:  # as soon as it can be
                courier.drop(going, later=False)
        return asked

    def leave(self, listener: Listener) -> None:
        """Tell a listener no more; the works of its run stay, for whoever resumes it."""
        with self._lock:
            left = self._take([key for key, deposit in self._deposits.items() if deposit.listener is listener])
            told = [deposit.id for deposit in left if deposit.step is Step.told]
            for deposit in left:
                deposit.go(Step.left)
            runs = self._runs.pop(id(listener), set())
            courier = self._courier
        if courier is not None and runs:
            courier.drop(told, later=True)
            courier.leave(runs)

    def conclude(self, run: str) -> None:
        """A run has ended: works of an earlier driver that nobody has asked for are deleted."""
        with self._lock:
            if self._courier is not None:
                self._courier.conclude(run)

    def running(self) -> Sequence[str]:
        """Keys of the nodes that agents are at."""
        with self._lock:
            return [key for key, deposit in self._deposits.items() if deposit.step is Step.running]

    def address(self) -> str:
        """Nothing: there is no dashboard."""
        return ""

    def rest(self) -> None:
        """Nothing: agents are not ours."""

    def close(self) -> None:
        """Look after nothing any more. Works that are queued or performed stay; who resumes their run finds them."""
        with self._lock:
            courier, self._courier = self._courier, None
            told = [deposit.id for deposit in self._deposits.values() if deposit.step is Step.told]
            self._deposits.clear()
            self._runs.clear()
        if courier is not None:
            with contextlib.suppress(DaskflowError):
                courier.drop(told, later=True)
            courier.stop()
