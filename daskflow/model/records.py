"""The records of runs, jobs, attempts, reports and events, as the journal keeps them."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict

from daskflow.model.states import JobState, RunState


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


class ReportRecord(Record):
    """Something for a person to look at; belongs to the key of its job, so a cached job still has it."""

    key: str
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
