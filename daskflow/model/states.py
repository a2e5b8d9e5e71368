"""The states of jobs, runs and questions, which of them are final, and which may follow which."""

from __future__ import annotations

from enum import StrEnum


class JobState(StrEnum):
    """Where a job stands. `cached` counts as succeeded; the last five are final."""

    created = "created"
    waiting = "waiting"
    queued = "queued"
    running = "running"
    succeeded = "succeeded"
    cached = "cached"
    failed = "failed"
    skipped = "skipped"
    cancelled = "cancelled"

    @property
    def final(self) -> bool:
        """Whether nothing can follow."""
        return not JOB_TRANSITIONS[self]

    @property
    def good(self) -> bool:
        """Whether the job's result is there."""
        return self in (JobState.succeeded, JobState.cached)


class RunState(StrEnum):
    """Where a run stands. A run without a final state whose driver is gone shows as `interrupted`."""

    created = "created"
    running = "running"
    paused = "paused"
    succeeded = "succeeded"
    failed = "failed"
    cancelled = "cancelled"
    interrupted = "interrupted"

    @property
    def final(self) -> bool:
        """Whether the run ended by itself or was cancelled. Resuming starts it anew."""
        return self in (RunState.succeeded, RunState.failed, RunState.cancelled)


class QuestionState(StrEnum):
    """Where a question stands. An answer that its run refuses opens it again; asking again opens the last two."""

    open = "open"
    answered = "answered"
    expired = "expired"
    withdrawn = "withdrawn"


_ENDS = {JobState.succeeded, JobState.cached, JobState.failed, JobState.skipped, JobState.cancelled}

JOB_TRANSITIONS: dict[JobState, set[JobState]] = {
    JobState.created: {JobState.waiting, JobState.queued} | _ENDS,
    JobState.waiting: {JobState.queued} | _ENDS,
    JobState.queued: {JobState.running, JobState.waiting} | _ENDS,
    # A job whose worker was lost is queued again; one that returned jobs waits for them.
    JobState.running: {JobState.queued, JobState.waiting} | _ENDS,
    **{state: set() for state in _ENDS},
}

RUN_TRANSITIONS: dict[RunState, set[RunState]] = {
    RunState.created: {RunState.running, RunState.cancelled, RunState.interrupted},
    RunState.running: {
        RunState.paused,
        RunState.succeeded,
        RunState.failed,
        RunState.cancelled,
        RunState.interrupted,
    },
    RunState.paused: {RunState.running, RunState.cancelled, RunState.interrupted},
    # Resuming goes on from any of these.
    RunState.succeeded: {RunState.running},
    RunState.failed: {RunState.running},
    RunState.cancelled: {RunState.running},
    RunState.interrupted: {RunState.running, RunState.cancelled},
}
