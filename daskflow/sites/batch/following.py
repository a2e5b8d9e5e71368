"""Follows batch jobs to their ends: by what they leave in their folders, and by what the batch system says of them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable

from daskflow.errors import BatchError
from daskflow.sites.batch.errand import Errand, Step, fate, with_log
from daskflow.sites.batch.folder import ErrandFolder
from daskflow.sites.batch.system import BatchSystem, Certificate, Phase, Standing
from daskflow.sites.batch.watch import Watch
from daskflow.sites.blackbox import last_notes

LOOK = 1.0
"""How often folders are looked at [s]."""
_SHARE = 10
"""Looking takes at most this part of the time: file servers are slow."""
_LATE = 60.0
"""So long after the end of a batch job its result may come to light, on file servers that tell late [s]."""
_RECORD = 90.0
"""What the batch system has not said of an end after this time it never will [s]."""
_GAP = 5.0
"""Between two questions how batch jobs ended at least [s]."""
_SAFE = 5.0
"""So long after a result was told the journal has it [s]."""


class Follower:
    """Follows the errands of one site.

    Parameters
    ----------
    system
        Asked how those ended that left no result.
    watch
        Tells how jobs stand.
    lock
        Guards the errands.
    lose
        Called without the lock with an errand that ended badly, the name of the error, and what is known.
    ended
        Called when a batch job has left its result.
    boxes
        Directory of the workers' black boxes, which those of batch jobs leave.

    Notes
    -----
    A job that ends is seen by its folder within about a second, without asking anybody. The batch system is asked only
    for those that nothing is heard of.
    """

    def __init__(
        self,
        system: BatchSystem,
        watch: Watch,
        lock: threading.RLock,
        *,
        lose: Callable[[Errand, str, str], None],
        ended: Callable[[], None],
        boxes: str = "",
    ) -> None:
        self._system = system
        self._watch = watch
        self._lock = lock
        self._lose = lose
        self._ended = ended
        self._boxes = boxes
        self._errands: dict[str, Errand] = {}
        self._retired: list[tuple[float, ErrandFolder]] = []
        self._next_question = 0.0
        self._stop = threading.Event()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None

    def follow(self, errands: Iterable[Errand]) -> None:
        """Follow errands whose batch jobs have ids."""
        with self._lock:
            fresh = {errand.id: errand for errand in errands}
            self._errands.update(fresh)
            if self._thread is None:
                self._stop, self._wake = threading.Event(), threading.Event()
                self._thread = threading.Thread(
                    target=self._run, args=(self._stop, self._wake), name="daskflow-batch-follow", daemon=True
                )
                self._thread.start()
        self._watch.follow(list(fresh), self)
        self._wake.set()

    def forget(self, errands: Iterable[Errand]) -> None:
        """Follow errands no more."""
        with self._lock:
            ids = [errand.id for errand in errands if self._errands.pop(errand.id, None) is not None]
        self._watch.unfollow(ids)

    def count(self) -> int:
        """How many batch jobs are followed."""
        return len(self._errands)

    def retire(self, folder: ErrandFolder) -> None:
        """Remove the folder of a result that was told, as soon as it is safe elsewhere."""
        with self._lock:
            self._retired.append((time.monotonic() + _SAFE, folder))

    def stop(self) -> None:
        """Follow nothing more; what is safe elsewhere is removed."""
        with self._lock:
            thread, self._thread = self._thread, None
            ids, retired = list(self._errands), self._retired
            self._errands, self._retired = {}, []
            self._stop.set()
            self._wake.set()
        self._watch.unfollow(ids)
        if thread is not None and thread is not threading.current_thread():
            thread.join(10.0)
        for _, folder in retired:
            self._remove(folder)

    # What the watch tells.

    def standing(self, standing: Standing) -> None:
        """A job was seen by the batch system."""
        with self._lock:
            errand = self._errands.get(standing.id)
            if errand is None or errand.step is Step.told:
                return
            if standing.phase is Phase.ended:
                self._end(errand)
                return
            if standing.phase is not Phase.pending:
                return
            news = standing.reason not in ("", "None", *errand.reasons)
            errand.reasons.add(standing.reason)
        if standing.hopeless:
            text = f"batch job {standing.id} waits for what will never be: {standing.reason}"
            self._lose(errand, "BatchRefused", f"{text}. Ask for less, or look at queue and limits of the site.")
        elif news:
            errand.event("batch.waiting", id=standing.id, reason=standing.reason)

    def vanished(self, id: str) -> None:
        """The batch system knows nothing of a job any more."""
        with self._lock:
            errand = self._errands.get(id)
            if errand is not None:
                self._end(errand)

    def silent(self, error: Exception) -> None:
        """The batch system does not answer."""
        with self._lock:
            told = {errand.listener: errand for errand in self._errands.values()}
        for errand in told.values():
            errand.event("site.silent", reason=str(error))

    def _end(self, errand: Errand) -> None:
        if errand.step in (Step.submitted, Step.performing):
            errand.go(Step.ended)
            self._wake.set()

    # What the thread does.

    def _run(self, stop: threading.Event, wake: threading.Event) -> None:
        while not stop.is_set():
            start = time.monotonic()
            with self._lock:
                errands = list(self._errands.values())
            for errand in errands:
                if stop.is_set():
                    return
                self._look(errand)
            self._certify([errand for errand in errands if errand.step is Step.ended])
            self._clear()
            wake.wait(max(LOOK, _SHARE * (time.monotonic() - start)))
            wake.clear()

    def _look(self, errand: Errand) -> None:
        """See what an errand has left."""
        folder = errand.folder
        if folder is None or errand.step is Step.told:
            return
        names = folder.names()
        if errand.step is Step.submitted and folder.going(names):
            self._begin(errand, folder)
        records, heard = folder.records(errand.heard)
        if records:
            errand.heard = heard
            errand.listener.performed(records)
            folder.note_heard(heard)
        if folder.done(names):
            self.finish(errand, folder)
        elif folder.over(names):
            with self._lock:
                self._end(errand)

    def _begin(self, errand: Errand, folder: ErrandFolder) -> None:
        begun = folder.begun
        with self._lock:
            if errand.step is not Step.submitted:
                return
            errand.go(Step.performing)
        errand.event("batch.started", id=errand.id, node=begun.node if begun is not None else "")

    def finish(self, errand: Errand, folder: ErrandFolder) -> None:
        """Tell the result that an errand has left."""
        try:
            result = folder.result()
        except OSError:  # told of, and not to be read yet
            return
        with self._lock:
            if errand.step is Step.told:
                return
            errand.go(Step.told)
            errand.well = True
        self.forget([errand])
        errand.listener.performed([result])
        self._ended()

    def _certify(self, errands: list[Errand]) -> None:
        """Ask how those ended that left no result."""
        now = time.monotonic()
        if not errands or now < self._next_question:
            return
        self._next_question = now + _GAP
        try:
            found = self._system.certificates([errand.id for errand in errands])
        except BatchError:  # it is asked again
            return
        for errand in errands:
            self._judge(errand, found.get(errand.id))

    def _judge(self, errand: Errand, certificate: Certificate | None) -> None:
        folder, waited = errand.folder, time.monotonic() - errand.since
        if folder is None:
            return
        names = folder.names()
        over = folder.over(names)
        if folder.done(names):
            return  # at the next look
        if certificate is None and waited < _RECORD:
            return
        if certificate is not None and not certificate.error and not over and waited < _LATE:
            return
        error, text = fate(certificate, id=errand.id, begun=folder.going(names), code=folder.exit_code)
        self._lose(errand, error, with_log(text, folder.log_tail()))

    def _clear(self) -> None:
        now = time.monotonic()
        with self._lock:
            due = [folder for time, folder in self._retired if time <= now]
            self._retired = [(time, folder) for time, folder in self._retired if time > now]
        for folder in due:
            self._remove(folder)

    def _remove(self, folder: ErrandFolder) -> None:
        begun = folder.begun
        if begun is not None and begun.pid:
            last_notes(self._boxes, begun.host, begun.pid)
        folder.retire(keep_log=False)
