"""What an attempt left behind, and what it told while it was made.

These records are made once per attempt on the hot path and travel by pickle, so they are named tuples
rather than pydantic models: less than half the time to make, to send and to read.
"""

from __future__ import annotations

import pickle
from typing import NamedTuple


class Stored(NamedTuple):
    """A value at rest: its bytes stand in the record itself, or in the artifact store under the digest."""

    digest: str
    """BLAKE3 of the serialised bytes, 32 hexadecimal digits: equal content has an equal digest."""
    size: int
    """Length of the serialised bytes [bytes]."""
    format: str
    """Name of the format that reads the bytes back."""
    inline: bytes | None = None
    """The bytes of a small value; None where they lie in the artifact store or were not asked for."""
    holds: tuple[str, ...] = ()
    """Digests of the artifacts that the value holds, in order."""


class InputFile(NamedTuple):
    """A file or directory that counts in the key of a job, as it was when the key was made."""

    path: str
    seal: str
    """What changes when it is written: digest of identities, sizes and times."""
    digest: str
    """That of its content."""


class Failure(NamedTuple):
    """Why an attempt failed, in a form that needs none of the user's classes to be read."""

    type: str
    """Qualified name of the exception's class."""
    message: str
    traceback: str
    """The formatted traceback, frames of daskflow left out."""
    pickled: bytes | None = None
    """The exception itself, where it pickles."""
    cause: Failure | None = None
    """What it was raised from, or while it was handled."""

    @property
    def error(self) -> BaseException | None:
        """The exception itself; None where its class is not found here, or where it did not pickle."""
        try:
            found = pickle.loads(self.pickled) if self.pickled else None
        except Exception:  # whatever the user's class raises
            return None
        return found if isinstance(found, BaseException) else None

    def __repr__(self) -> str:
        return f"<Failure {self.type}: {self.message}>"


class LogSlice(NamedTuple):
    """Where the log of one attempt lies in the log file of its worker's thread."""

    file: str
    """Path relative to the log directory of the project."""
    start: int
    """First byte."""
    stop: int
    """One past the last byte."""


class ReportItem(NamedTuple):
    """Something for a person to look at, made by a job."""

    kind: str
    """`markdown`, `table`, `image`, `link` or `metric`."""
    title: str
    data: str
    """JSON: what the kind needs."""
    content: bytes | None = None
    """Bytes of an image."""


class Live(NamedTuple):
    """What a job tells while it runs; travels as outcomes do."""

    key: str
    """Key of the job."""
    kind: str
    """`metric` or `event`."""
    name: str
    """Name of the metric, or the dotted kind of the event."""
    data: str
    """JSON: `{"value": ..., "unit": ...}` of a metric, the data of an event."""
    time: float
    """Seconds since the epoch [s]."""


class Outcome(NamedTuple):
    """What one attempt at one job left."""

    key: str
    state: str
    """Value of a `JobState`: `succeeded`, `cached` (early cutoff), `failed` or `skipped`."""
    attempt: int
    """Counts from 1; 0 where only the roster knows: the worker was lost."""
    start: float
    """Seconds since the epoch [s]."""
    stop: float
    """Seconds since the epoch [s]."""
    cpu: float = 0.0
    """CPU time of the attempt [s]."""
    memory: int = 0
    """Peak resident memory [bytes]: of the attempt's own processes where it had some, else of the worker process."""
    host: str = ""
    pid: int = 0
    value: Stored | None = None
    failure: Failure | None = None
    reason: str = ""
    """Why the job was skipped or taken from memory."""
    log: LogSlice | None = None
    inputs: str | None = None
    """Digest of the contents of the upstream values, for early cutoff."""
    reports: tuple[ReportItem, ...] = ()
    final: bool = True
    """Whether this was the last attempt; False when another follows."""
    place: str = ""
    """Id of the batch job in which it was made; empty where no batch system was asked."""
    cores: int = 0
    """How many cores it had; 0 where nobody tells."""
    asked: int = 0
    """How much memory it could use [bytes]; 0: nothing limited it."""
    taken: int = 0
    """Size of the upstream values that it got [bytes]."""
    wants: float = 0.0
    """Where it was handed over: with less time than this the next attempt would be so at once [s]."""


class Known(NamedTuple):
    """A remembered result, as the plan needs it."""

    stored: Stored
    run: str
    """The run that made it."""
    seconds: float
    """How long the job took [s]."""
    apart: bool = False
    """Whether the bytes lie in the artifact store; else they stand in the record, though larger ones were not read."""
