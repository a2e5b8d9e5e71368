"""Follows batch jobs to their ends: by what they leave in their folders, and by what the batch system says of them."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping

from daskflow.errors import BatchError, BatchSilent
from daskflow.sites.batch.errand import Errand, Step, fate, same_job, with_log
from daskflow.sites.batch.folder import ErrandFolder
from daskflow.sites.batch.system import BatchSystem, Certificate, Phase, Standing
from daskflow.sites.batch.watch import Watch
from daskflow.sites.blackbox import last_notes

_LOG = logging.getLogger(__name__)
LOOK = 1.0
"""How often folders are looked at [s]."""
_SHARE = 10
"""Looking takes at most this part of the time: file servers are slow."""
_LATE = 60.0
"""So long after the end of a batch job its result may come to light, on file servers that tell late [s]."""
_RECORD = 90.0
"""What the batch system has not said of an end after this time it never will [s]."""
_SILENCE = 900.0
"""So long is waited for a record of which the batch system only does not answer now [s]."""
_GAP, _LONGEST_GAP = 5.0, 60.0
"""Between two questions how batch jobs ended: at least, and where nothing is known for long [s]."""
_RARER = 10
"""The time between two such questions is at most this part of that for which nothing is known."""
_HELD = 600.0
"""A batch job that has begun, and is held now, is given up after this time; some systems remove it before [s]."""
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
        self._mute = False
        """Whether it was told that the batch system does not say how jobs ended."""
        self._complaints: set[str] = set()
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
            with self._guarded(str(folder)):
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
            if not standing.hopeless:
                errand.held = None
            if standing.phase is not Phase.pending:
                return
            news = standing.reason not in ("", "None", *errand.reasons)
            errand.reasons.add(standing.reason)
        if standing.hopeless and self._in_vain(errand):
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

    def _in_vain(self, errand: Errand) -> bool:
        """Whether a batch job that hopelessly waits is given up: one that has begun may be about to end instead."""
        folder = errand.folder
        if errand.step is Step.submitted and not (folder is not None and folder.going(folder.names())):
            return True
        now = time.monotonic()
        errand.held = now if errand.held is None else errand.held
        return now - errand.held > _HELD

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
                with self._guarded(errand.job):
                    self._look(errand)
            with self._guarded("the ends of batch jobs"):
                self._certify([errand for errand in errands if errand.step is Step.ended])
            self._clear()
            wake.wait(max(LOOK, _SHARE * (time.monotonic() - start)))
            wake.clear()

    @contextlib.contextmanager
    def _guarded(self, what: str) -> Iterator[None]:
        """What fails for one, such as for a full disk, is not the end for the others; it is tried again soon."""
        try:
            yield
        except Exception as error:
            complaint = f"{what}: {error!r}"
            if complaint not in self._complaints:
                self._complaints.add(complaint)
                _LOG.exception("Following %s failed", what)

    def _look(self, errand: Errand) -> None:
        """See what an errand has left."""
        folder = errand.folder
        if folder is None or errand.step is Step.told:
            return
        names = folder.names()
        if errand.step in (Step.submitted, Step.ended) and folder.going(names):
            self._begin(errand, folder)
        records, heard = folder.records(errand.heard)
        if records:
            errand.heard = heard
            errand.listener.performed(records)
            with contextlib.suppress(OSError):  # then the next driver hears it once more
                folder.note_heard(heard)
        if folder.done(names):
            self.finish(errand, folder)
        elif folder.over(names):
            with self._lock:
                self._end(errand)

    def _begin(self, errand: Errand, folder: ErrandFolder) -> None:
        begun = folder.begun
        if begun is None or not folder.performer:  # it is being written
            return
        self._turn(errand, begun.id)
        with self._lock:
            if errand.step is not Step.submitted:
                return
            errand.go(Step.performing)
        errand.event("batch.started", id=errand.id, node=begun.node)

    def _turn(self, errand: Errand, id: str) -> None:
        """Follow the batch job that performs an errand: the answer to its submission got lost, and it was first."""
        with self._lock:
            stray = errand.id
            if same_job(stray, id) or self._errands.pop(stray, None) is None:
                return
            errand.id, self._errands[id] = id, errand
            errand.go(Step.submitted)
        self._watch.unfollow([stray])
        self._watch.follow([id], self)
        with contextlib.suppress(BatchError):  # it finds its place taken
            self._system.cancel([stray])

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
        waited = min(now - errand.since for errand in errands)
        self._next_question = now + min(max(_GAP, waited / _RARER), _LONGEST_GAP)
        found, silence = self._asked(errands)
        patience = _SILENCE if isinstance(silence, BatchSilent) else _RECORD
        clear = [errand for errand in errands if errand.id in found]
        unclear = [errand for errand in errands if errand.id not in found and now - errand.since >= patience]
        for errand in [*clear, *self._gone(unclear)]:
            with self._guarded(errand.job):
                self._judge(errand, found.get(errand.id), str(silence or ""))

    def _asked(self, errands: list[Errand]) -> tuple[Mapping[str, Certificate], BatchError | None]:
        """The records of how errands ended, and why there are none."""
        try:
            found = self._system.certificates([errand.id for errand in errands])
        except BatchError as error:
            silence = error
        except Exception as error:
            _LOG.exception("What %s tells of ended jobs cannot be read", self._system.name)
            silence = BatchSilent(f"What {self._system.name} tells of ended jobs cannot be read: {error!r}.")
        else:
            self._mute = False
            return found, None
        if not self._mute:
            self._mute = True
            self.silent(silence)
        return {}, silence

    def _gone(self, errands: list[Errand]) -> list[Errand]:
        """Those errands without a record that stand nowhere either; the others are followed again."""
        if not errands:
            return []
        try:
            standings = self._system.standings([errand.id for errand in errands])
        except BatchError as error:
            return [] if isinstance(error, BatchSilent) else errands
        except Exception:
            _LOG.exception("What %s tells of jobs cannot be read", self._system.name)
            return []
        gone = []
        for errand in errands:
            standing = standings.get(errand.id)
            if standing is None or standing.phase is Phase.ended:
                gone.append(errand)
            else:
                self._resume(errand)
        return gone

    def _resume(self, errand: Errand) -> None:
        """Follow a batch job that has not ended, although its system said so, or nothing."""
        folder = errand.folder
        names = folder.names() if folder is not None else set()
        # A script that has ended is not followed: what its batch job still does is asked for with the records.
        if ErrandFolder.over(names):
            return
        with self._lock:
            if errand.step is not Step.ended or self._errands.get(errand.id) is not errand:
                return
            errand.go(Step.performing if ErrandFolder.going(names) else Step.submitted)
        self._watch.follow([errand.id], self)

    def _judge(self, errand: Errand, certificate: Certificate | None, silence: str) -> None:
        folder, waited = errand.folder, time.monotonic() - errand.since
        if folder is None:
            return
        names = folder.names()
        over, performer = folder.over(names), folder.performer
        if folder.done(names) or not same_job(errand.id, performer or errand.id):
            return  # at the next look
        if certificate is not None and not certificate.error and not over and waited < _LATE:
            return
        begun = folder.going(names) or bool(performer)
        error, text = fate(certificate, id=errand.id, begun=begun, code=folder.exit_code, silence=silence)
        self._lose(errand, error, with_log(text, folder.log_tail()))

    def _clear(self) -> None:
        now = time.monotonic()
        with self._lock:
            due = [folder for time, folder in self._retired if time <= now]
            self._retired = [(time, folder) for time, folder in self._retired if time > now]
        for folder in due:
            with self._guarded(str(folder)):
                self._remove(folder)

    def _remove(self, folder: ErrandFolder) -> None:
        begun = folder.begun
        if begun is not None and begun.pid:
            last_notes(self._boxes, begun.host, begun.pid)
        folder.retire(keep_log=False)
