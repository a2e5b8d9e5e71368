"""The records of runs, jobs, attempts, reports, events, questions and contexts, as the journal keeps them."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict

from daskflow.model.states import JobState, QuestionState, RunState


class Record(BaseModel):
    """A frozen record; a change is a copy."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        defer_build=True,
        # A pickle and an image are no text: without this a record that holds one has no JSON.
        ser_json_bytes="base64",
        val_json_bytes="base64",
    )


Driver = tuple[float | None, str, int]
"""Who began a run last: when, seconds since the epoch [s]; host; process."""


class RunRecord(Record):
    """One execution of a flow."""

    id: str
    """Sortable by creation, e.g. `20260314-101502-study-7f3a`."""
    flow: str
    """Name of the flow."""
    target: str = ""
    """What `daskflow run` was given, or the flow's importable place; empty when neither is known."""
    arguments: dict[str, Any] = {}
    """The flow's arguments, as shown to people."""
    payload: bytes | None = None
    """The pickled arguments, from which a run is resumed."""
    state: RunState = RunState.created
    site: str = ""
    """The default site."""
    created: float = 0.0
    """Seconds since the epoch [s]."""
    started: float | None = None
    """Seconds since the epoch [s]; of the latest start."""
    stopped: float | None = None
    """Seconds since the epoch [s]."""
    heartbeat: float | None = None
    """When its driver last said that it lives; seconds since the epoch [s]."""
    host: str = ""
    pid: int = 0
    error: str = ""
    """Why it failed."""
    parent: str = ""
    """Id of the run whose flow started this one; empty for one that a person started."""
    ordinal: int = 0
    """Counts the runs that the parent's flow starts, in the order of the calls."""

    @property
    def driver(self) -> Driver:
        """Who began it last, and when."""
        return self.started, self.host, self.pid


class JobRecord(Record):
    """One job of one run."""

    run: str
    number: int
    """Counts from 0 in the order of the calls."""
    key: str
    task: str
    fingerprint: str
    recipe: str
    """Canonical text of the arguments: `name=text` lines, or a digest where that is long."""
    upstream: tuple[int, ...] = ()
    """Numbers of the jobs that it depends on."""
    site: str = ""
    state: JobState = JobState.created
    reason: str = ""


class AttemptRecord(Record):
    """One attempt at one job of one run."""

    run: str
    number: int
    """Number of the job."""
    attempt: int
    state: str
    start: float
    stop: float
    cpu: float = 0.0
    memory: int = 0
    host: str = ""
    pid: int = 0
    error_type: str = ""
    error_message: str = ""
    traceback: str = ""
    log_file: str = ""
    log_start: int = 0
    log_stop: int = 0
    place: str = ""
    """Id of the batch job in which it was made."""
    cores: int = 0
    """How many cores it had; 0 where nobody told."""
    asked: int = 0
    """How much memory it could use [bytes]; 0: nothing limited it."""
    taken: int = 0
    """Size of the upstream values that it got [bytes]."""

    @property
    def seconds(self) -> float:
        """How long it took [s]."""
        return self.stop - self.start

    @property
    def efficiency(self) -> float | None:
        """Which part of its cores it kept busy; None where that is not known."""
        return self.cpu / (self.seconds * self.cores) if self.cores and self.seconds > 0 else None


class ReportRecord(Record):
    """Something for a person to look at; belongs to the key of its job, so a cached job still has it."""

    key: str
    """That of the job; the id of the run where the body of its flow made it."""
    ordinal: int
    kind: str
    title: str
    data: dict[str, Any] = {}
    content: bytes | None = None
    task: str = ""
    time: float = 0.0


class EventRecord(Record):
    """Something that happened."""

    run: str
    kind: str
    """Dotted: `job.failed`, `qa.import.low`."""
    time: float
    key: str = ""
    data: dict[str, Any] = {}


class QuestionRecord(Record):
    """What a run asks a person. Form, preset and answer are JSON text."""

    id: str
    """The same when a resumed run asks again."""
    run: str
    prompt: str
    key: str = ""
    """Key of the job that it is in the graph; empty where the body of a flow asks."""
    form: str = ""
    """JSON schema of the answer; empty where the run only waits to go on."""
    preset: str | None = None
    """The answer that is taken where none is given."""
    created: float = 0.0
    """Seconds since the epoch [s]."""
    deadline: float | None = None
    """Until when it can be answered; seconds since the epoch [s]."""
    state: QuestionState = QuestionState.open
    answer: str | None = None
    note: str = ""
    """Why the latest answer was refused."""
    answered: float | None = None
    """Seconds since the epoch [s]."""
    accepted: float | None = None
    """When the run took the answer; seconds since the epoch [s]."""
    who: str = ""
    """Who answered."""


class ContextRecord(Record):
    """One version of one value that the stages of a run share.

    A value that JSON gives back as it was stands in the record. Any other is stored as a result is: in `inline`, or
    in the artifact store under its digest.
    """

    run: str
    """The top of the tree of runs that share it."""
    name: str
    stage: str = ""
    """Which part of the flow it comes from; empty where that was not said."""
    version: int = 0
    """Counts from 1 for each name and stage; 0 before it is recorded."""
    epoch: float = 0.0
    """Start of the latest execution of the run that made this change; seconds since the epoch [s]."""
    turn: int = 0
    """Orders all changes of a run; given by the journal."""
    time: float = 0.0
    """When it was first made; seconds since the epoch [s]."""
    content: str = ""
    """Digest of what the value is: equal values have equal ones, in whatever process."""
    digest: str = ""
    """Digest of the stored bytes; empty where the value is JSON."""
    format: str = ""
    """How the value is stored; empty where it is JSON."""
    size: int = 0
    """Size of the stored value [bytes]."""
    value: Any = None
    inline: bytes | None = None
