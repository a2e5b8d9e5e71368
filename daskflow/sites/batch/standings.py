"""How services stand: what they noted themselves, and what the batch system says of the rest by one question."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable

from daskflow.errors import BatchError
from daskflow.sites.batch.service import ServiceRecord, ServiceStanding, ServiceState
from daskflow.sites.batch.servicefolder import Ended, Missed, ServiceFolder
from daskflow.sites.batch.system import BatchSystem, Certificate, Phase, Standing

_SLOW = 300.0
"""A submission that was not confirmed after this time never will be [s]."""
_RECORD = 90.0
"""What the batch system has not said of an end after this time it never will [s]."""
_UNCONFIRMED = "nobody knows whether it was submitted, since who did it was killed; kill it to have its name again"
_MISSED = "it has left the batch system, which has not said yet how it ended"
_ABANDONED = "the batch system knows nothing of it any more, and it could not say how it ended"


class Standings:
    """Tells how services stand.

    Parameters
    ----------
    system
        Where their batch jobs are.
    poll
        The batch system is asked at most so often, whatever the number of services and of questions [s].
    all
        Gives the folders of all services: where one has to be asked for, the same question serves all.
    clock
        Tells the time [s].

    Notes
    -----
    Safe for threads. Which services run, and how those ended that could say it, is known from their folders without any
    question. Records of batch systems and notes on file servers come late: what is missed without a word is noted, and
    counts as ended only when it still is at a question some time later, whoever asks that.
    """

    def __init__(
        self,
        system: BatchSystem,
        poll: float,
        all: Callable[[], Iterable[ServiceFolder]] = list,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.silence: BatchError | None = None
        """Why the batch system did not answer when it was asked last; None: it did."""
        self._system = system
        self._poll = poll
        self._all = all
        self._clock = clock
        self._lock = threading.Lock()
        self._asked: float | None = None
        self._since = 0.0
        """When the answers were asked for; seconds since the epoch, on which several processes agree [s]."""
        self._answers: dict[str, Standing | None] = {}
        """What was said of each id that was asked for last; None: nothing is known of it."""
        self._certificates: dict[str, Certificate] = {}
        self._known: dict[str, ServiceStanding] = {}

    def look(self, folders: Iterable[ServiceFolder], *, fresh: bool = False) -> list[ServiceStanding]:
        """How services stand; those are missing whose folder is gone.

        Parameters
        ----------
        fresh
            Ask the batch system now, however lately it was asked.
        """
        found = [(folder, record) for folder in folders if (record := folder.record()) is not None]
        unclear = [(folder, record) for folder, record in found if record.token not in self._known]
        if any(folder.id() and not _said_all(folder) for folder, _ in unclear):
            with self._lock:
                if fresh or self._asked is None or self._clock() - self._asked >= self._poll:
                    self._ask([folder for folder, _ in unclear])
        return [self._known.get(record.token) or self._of(folder, record) for folder, record in found]

    def _ask(self, folders: Iterable[ServiceFolder]) -> None:
        """Ask the batch system how jobs stand, and how those ended of which it says that they did."""
        self._asked, since = self._clock(), time.time()
        every = {folder.name: folder for folder in [*self._all(), *folders]}
        ids = [id for folder in every.values() if not self._settled(folder) and (id := folder.id())]
        try:
            answers = self._system.standings(ids)
            gone = [id for id in ids if id not in answers or answers[id].phase is Phase.ended]
            certificates = self._system.certificates(gone) if gone else {}
        except BatchError as error:
            self.silence = error
            return
        self.silence = None
        self._certificates.update(certificates)
        # In this order, and read in the other one: no thread takes old answers for new ones.
        self._answers = {id: answers.get(id) for id in ids}
        self._since = since

    def _settled(self, folder: ServiceFolder) -> bool:
        """Whether nobody has to be asked how a service stands."""
        if _said_all(folder) or folder.certificate() is not None:
            return True
        record = folder.record()
        return record is None or record.token in self._known

    def _of(self, folder: ServiceFolder, record: ServiceRecord) -> ServiceStanding:
        # After the question: what ended before that has left its notes.
        folder.refresh()
        began, ended, killed, id = folder.began(), folder.ended(), folder.killed(), folder.id()
        standing = ServiceStanding(
            record.name,
            ServiceState.pending if began is None else ServiceState.running,
            id,
            node="" if began is None else began.node,
            created=record.created,
            started=None if began is None else began.time,
        )
        if ended is not None:
            standing = _with_end(standing, ended)
            if not ended.stopped:
                return self._kept(record, standing)
        if ended is not None and killed is not None:
            return self._kept(record, standing._replace(state=ServiceState.killed, reason="", error=""))
        if not id:
            return self._kept(record, _unsubmitted(standing, killed))
        certificate = folder.certificate()
        if certificate is None and (certificate := self._certificates.get(id)) is not None:
            folder.note_certificate(certificate)
        if certificate is not None:
            return self._kept(record, _certified(standing, certificate, ended, killed))
        since, answers = self._since, self._answers
        told = answers.get(id)
        if id not in answers or (told is not None and told.phase is not Phase.ended):
            if told is not None and folder.missed() is not None:
                folder.note_missed(None)
            return _as_told(standing, told, killed)
        if killed is not None:
            return self._kept(record, standing._replace(state=ServiceState.killed, ended=killed))
        if _lately(folder, id, since):
            return _as_told(standing, told, killed)._replace(reason=_MISSED)
        # Not known for certain: its notes may come to light.
        return standing._replace(state=ServiceState.failed, reason=_ABANDONED, error="WorkerLost")

    def _kept(self, record: ServiceRecord, standing: ServiceStanding) -> ServiceStanding:
        """How a service stands; if it has ended, that is known from now on."""
        if standing.state.final:
            self._known[record.token] = standing
        return standing


def _said_all(folder: ServiceFolder) -> bool:
    """Whether a service ended by itself, and has said how: nobody has to be asked."""
    ended = folder.ended()
    return ended is not None and not ended.stopped


def _lately(folder: ServiceFolder, id: str, since: float) -> bool:
    """Whether a batch job that is missed has been so for a short time only, before a question; notes since when."""
    missed = folder.missed()
    if missed is None or missed.id != id:
        folder.note_missed(Missed(id, since))
        return True
    return since - missed.time < _RECORD


def _with_end(standing: ServiceStanding, ended: Ended) -> ServiceStanding:
    good = ended.code == 0 and not ended.error
    return standing._replace(
        state=ServiceState.completed if good else ServiceState.failed,
        reason=ended.text,
        error=ended.error,
        ended=ended.time,
        exit_code=ended.code,
        memory=ended.memory or None,
        cpu=ended.cpu,
    )


def _unsubmitted(standing: ServiceStanding, killed: float | None) -> ServiceStanding:
    if killed is not None:
        return standing._replace(state=ServiceState.killed, ended=killed)
    late = time.time() - standing.created > _SLOW
    return standing._replace(reason=_UNCONFIRMED if late else "it is being submitted")


def _certified(
    standing: ServiceStanding, certificate: Certificate, ended: Ended | None, killed: float | None
) -> ServiceStanding:
    """How a service stands that ended, by what the batch system says of it."""
    good = not certificate.error and not certificate.exit_code and (ended is None or not ended.code)
    state = ServiceState.completed if good else ServiceState.failed
    return standing._replace(
        state=state if killed is None or good else ServiceState.killed,
        reason="" if good or killed is not None else certificate.text,
        error="" if good or killed is not None else certificate.error or "WorkerLost",
        node=certificate.node or standing.node,
        started=standing.started or certificate.start,
        ended=standing.ended or certificate.stop or killed,
        exit_code=standing.exit_code if ended is not None else certificate.exit_code,
        memory=standing.memory or certificate.memory,
    )


def _as_told(standing: ServiceStanding, told: Standing | None, killed: float | None) -> ServiceStanding:
    """How a service stands that has not ended, as far as anybody knows."""
    begun = standing.state is not ServiceState.pending
    running = begun or (told is not None and told.phase is Phase.running)
    reason = "it is being killed" if killed is not None else ""
    if told is not None and not running:
        reason = reason or told.reason
    return standing._replace(
        state=ServiceState.running if running else ServiceState.pending,
        reason=reason,
        error="",
        node=standing.node or (told.node if told is not None else ""),
        started=standing.started or (told.start if told is not None and running else None),
        hopeless=told is not None and told.hopeless and not running,
    )
