"""The site whose nodes are batch jobs of their own: those that span machines, or that were asked to be."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from daskflow.errors import BatchError, WorkerLost, error_of
from daskflow.model.needs import Needs
from daskflow.sites.batch.adopting import Locks
from daskflow.sites.batch.errand import Errand, Step
from daskflow.sites.batch.folder import ErrandFolder, RunFolder
from daskflow.sites.batch.following import Follower
from daskflow.sites.batch.handing import Plan, lacks, misfit, per_node, pool_for
from daskflow.sites.batch.sending import Means, Sender
from daskflow.sites.batch.system import BatchSystem, Phase
from daskflow.sites.batch.watch import Watch, watch_of
from daskflow.sites.blackbox import last_notes
from daskflow.sites.grip import condemn, doomed
from daskflow.sites.packages import Package, Packages
from daskflow.sites.site import Listener, Node, Perform

_LOG = logging.getLogger(__name__)
AGAIN = 3
"""A batch job that was lost through nobody's fault is submitted again so often."""
_NOBODYS_FAULT = ("NodeFailure", "Preempted")
_DYING = 20.0
"""A cancelled batch job that is not dead in this time hangs [s]."""
_SLOTS = 100_000
"""The batch system keeps the queue: all that may run may be submitted."""


class BatchSite:
    """Performs each node as a batch job of its own, which outlives the driver.

    Parameters
    ----------
    name
        Name of the site.
    system
        The batch system.
    plan
        How the site is run; its pools are the shapes that batch jobs may have.
    perform
        Performs a package.
    boxes
        Directory of the workers' black boxes.
    watch
        Asks how batch jobs stand; None: the one that all share.

    Notes
    -----
    What a batch job gives lies in a folder on a shared directory. A driver that dies loses nothing: the one that
    resumes the run finds the folders, and takes the batch jobs for its own.
    """

    slots = _SLOTS
    bundles = False
    chains = False

    def __init__(
        self, name: str, system: BatchSystem, plan: Plan, perform: Perform, *, boxes: str, watch: Watch | None = None
    ) -> None:
        self.name = name
        self.packages = Packages()
        """Those that batch jobs are to import."""
        self.plan = plan
        self._system = system
        self._boxes = boxes
        self._watch = watch
        self._lock = threading.RLock()
        self._locks = Locks()
        self._errands: dict[str, Errand] = {}
        self._means = Means(name.partition(":")[0], system, plan, perform, self.packages)
        self._parts: tuple[Follower, Sender] | None = None

    def _opened(self) -> tuple[Follower, Sender]:
        if self._parts is None:
            watch = self._watch or watch_of(self._system, self.plan.poll)
            follower = Follower(self._system, watch, self._lock, lose=self._lose, ended=self._nudge, boxes=self._boxes)
            self._parts = follower, Sender(self._means, follower, self._lock, lose=self._lose)
        return self._parts

    def submit(
        self, nodes: Sequence[Node], kept: Iterable[str], listener: Listener, foreign: Mapping[str, Any]
    ) -> None:
        """Have nodes performed, each by a batch job; returns before any of them is submitted.

        Raises
        ------
        RunBusy
            Another driver looks after the batch jobs of the run.
        """
        errands = []
        for node in nodes:
            if doomed(node.key):  # it was killed before it was here
                continue
            folders = RunFolder(self.plan.home, node.run)
            self._locks.hold(folders)
            errands.append(Errand(node, listener, _needed(node, foreign), folders))
        with self._lock:
            _, sender = self._opened()
            self._errands.update((errand.key, errand) for errand in errands)
        sender.put(errands)

    def fit(self, needs: Needs) -> str:
        """Why no batch job will ever hold a node with these needs, and what comes nearest; empty where one does."""
        return misfit(self._means.site, self.plan.pools, needs)

    def larger(self, needs: Needs) -> Needs | None:
        """The memory that the next pool up would give to a node that said nothing of memory."""
        pool = pool_for(self.plan.pools, needs)
        if pool is None:
            return None
        one = per_node(needs)._replace(memory=None)
        shares = [other.share(one) for other in self.plan.pools if not lacks(other, needs)]
        more = sorted(share for share in shares if share > pool.share(per_node(needs)))
        return needs._replace(memory=more[0]) if more else None

    def offer(self, package: Package) -> None:
        """Have batch jobs from now on import a package from where it is unpacked."""
        with self._lock:
            self.packages.offer(package)

    # What becomes of errands.

    def _nudge(self) -> None:
        parts = self._parts
        if parts is not None:
            parts[1].nudge()

    def _lose(self, errand: Errand, error: str, text: str) -> None:
        """A batch job ended, or could not be submitted, and left no result."""
        with self._lock:
            parts, folder = self._parts, errand.folder
            if errand.step is Step.told or parts is None:
                return
            again = error in _NOBODYS_FAULT and errand.again < AGAIN
            follower, sender = parts
            follower.forget([errand])
            lost, errand.id = errand.id, ""
            errand.go(Step.waiting if again else Step.told)
            errand.folder = None
            errand.again += again
        if folder is not None:
            self._bury(folder)
        if lost and error not in _ENDED:
            sender.cancel([lost])  # it hopelessly waits
        if again:
            errand.heard, errand.held = 0, None
            errand.struck(error, text)
            sender.again(errand)
        else:
            found = error_of(error) or WorkerLost
            errand.listener.lost(errand.key, f"{found.__name__}: {text}", errand.job)
        sender.nudge()

    def _bury(self, folder: ErrandFolder) -> None:
        """Clear up behind a batch job that left no result; its log stays for a while."""
        begun = folder.begun
        try:
            if begun is not None and begun.pid:
                last_notes(self._boxes, begun.host, begun.pid)
            else:
                folder.take_back()
        except OSError:  # a full disk is not to keep what became of the job from being told
            _LOG.warning("%s cannot be cleared up", folder, exc_info=True)
        folder.retire(keep_log=True)

    def _take(self, keys: Iterable[str]) -> list[Errand]:
        """Errands that nobody waits for any more."""
        with self._lock:
            found = [self._errands.pop(key) for key in list(keys) if key in self._errands]
            if self._parts is not None:
                self._parts[0].forget(found)
            return found

    def release(self, keys: Iterable[str]) -> None:
        """Forget nodes: those that have not begun never will; those that run go on, for whoever resumes the run."""
        for errand in self._take(keys):
            if errand.step is Step.told:
                self._clear(errand)
            elif errand.step in (Step.waiting, Step.submitted):
                self._withdraw(errand)

    def _clear(self, errand: Errand) -> None:
        parts, folder = self._parts, errand.folder
        if folder is not None and errand.well and parts is not None:
            parts[0].retire(folder)

    def _withdraw(self, errand: Errand) -> bool:
        """See that an errand never begins; False where it has begun."""
        with self._lock:
            folder, id, parts = errand.folder, errand.id, self._parts
            if folder is not None and not _taken_back(folder):
                return False
            errand.go(Step.told)
        if parts is not None:
            parts[1].cancel([id])
            parts[1].nudge()
        if folder is not None and id:  # else the sender, who is at it, sees that nobody wants it
            folder.retire(keep_log=False)
        return True

    def recall(self, keys: Iterable[str]) -> set[str]:
        """Take nodes back that have not begun."""
        asked = set(keys)
        with self._lock:
            waiting = [
                errand
                for key in asked
                if (errand := self._errands.get(key)) is not None and errand.step in (Step.waiting, Step.submitted)
            ]
        back = {errand.key for errand in waiting if self._withdraw(errand)}
        self._take(back)
        return back

    def kill(self, keys: Iterable[str]) -> set[str]:
        """Cancel the batch jobs of nodes; returns when they are gone, or after some time without those that are not."""
        asked = set(keys)
        condemn(asked)
        going = []
        for errand in self._take(asked):
            if errand.step is Step.told:
                self._clear(errand)
            elif not self._withdraw(errand):
                with self._lock:
                    errand.go(Step.told)
                going.append(errand)
        alive = self._cancel(going)
        for errand in going:
            if errand not in alive and errand.folder is not None:
                self._bury(errand.folder)
                errand.folder.retire(keep_log=False)
        return asked - {errand.key for errand in alive}

    def _cancel(self, errands: Sequence[Errand]) -> list[Errand]:
        """Cancel batch jobs that run; those that are alive all the same."""
        left, pause = list(errands), 0.25
        deadline = time.monotonic() + _DYING
        ids = {errand.id for errand in left}
        for errand in left:  # a batch job whose submission got no answer may have the place of the one that is known
            errand.id = (errand.folder.performer if errand.folder is not None else "") or errand.id
        ids = (ids | {errand.id for errand in left}) - {""}
        if ids:
            with contextlib.suppress(BatchError):
                self._system.cancel(sorted(ids))
        while left:
            left = self._alive(left)
            if not left or time.monotonic() > deadline:
                break
            time.sleep(pause)
            pause = min(2 * pause, 5.0)
        return left

    def _alive(self, errands: Sequence[Errand]) -> list[Errand]:
        """Those of cancelled errands that have not ended."""
        left = [
            errand for errand in errands if errand.folder is not None and not errand.folder.over(errand.folder.names())
        ]
        if not left:
            return []
        try:
            standings = self._system.standings([errand.id for errand in left if errand.id])
        except BatchError:
            return left
        return [
            errand
            for errand in left
            if (standing := standings.get(errand.id)) is not None and standing.phase is not Phase.ended
        ]

    def leave(self, listener: Listener) -> None:
        """Tell a listener no more; the batch jobs of its run go on, for whoever resumes it."""
        with self._lock:
            keys = [key for key, errand in self._errands.items() if errand.listener is listener]
        for errand in self._take(keys):
            if errand.step is Step.waiting:
                self._withdraw(errand)

    def running(self) -> Sequence[str]:
        """Keys of the nodes whose batch jobs are at it."""
        with self._lock:
            return [key for key, errand in self._errands.items() if errand.step is Step.performing]

    def address(self) -> str:
        """Nothing: there is no dashboard."""
        return ""

    def rest(self) -> None:
        """Nothing: a batch job that has nothing to perform is over."""

    def close(self) -> None:
        """Look after nothing any more. Batch jobs that go on do so; who resumes their run finds them."""
        with self._lock:
            parts, self._parts = self._parts, None
            told = [errand for errand in self._errands.values() if errand.step is Step.told]
            self._errands.clear()
        if parts is not None:
            follower, sender = parts
            sender.stop()
            for errand in told:
                if errand.folder is not None and errand.well:
                    follower.retire(errand.folder)
            follower.stop()
        self._locks.release()


_ENDED = ("WalltimeExceeded", "OutOfMemory", "NodeFailure", "Preempted", "Cancelled", "WorkerLost", "StartupFailed")
"""Errors of batch jobs that are over."""


def _taken_back(folder: ErrandFolder) -> bool:
    """See that what lies in a folder never begins; False where it has, or where that cannot be written down."""
    try:
        return folder.take_back()
    except OSError:
        _LOG.warning("%s cannot be taken back", folder, exc_info=True)
        return False


def _needed(node: Node, foreign: Mapping[str, Any]) -> dict[str, Any]:
    """What of the tasks of dask collections a node needs."""
    if not node.upstream:
        return {}
    from dask.optimization import cull

    return dict(cull(dict(foreign), list(node.upstream))[0])
