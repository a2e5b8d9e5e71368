"""How well the jobs of a run used what they had: per task, with what was lost and a proposal for the next time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from daskflow.errors import OutOfMemory, WorkerLost, error_of
from daskflow.execution.insight.proposal import ENOUGH, Proposal, Sample, propose, quantile
from daskflow.model.records import AttemptRecord, JobRecord
from daskflow.model.states import JobState
from daskflow.stores import Journal


class TaskUse(NamedTuple):
    """What the jobs of one task used in one run."""

    task: str
    jobs: int
    """How many the run has."""
    performed: int
    """How many of these it performed itself, with success; the others are known from before, or failed."""
    seconds: tuple[float, float] | None
    """Duration of the middle one, and of 95 of 100 [s]."""
    cores: int
    """The most that one of them had; 0: nobody tells."""
    efficiency: float | None
    """Which part of their cores they kept busy, all together."""
    memory: tuple[int, int] | None
    """Peak of 95 of 100, and the highest [bytes]."""
    asked: int
    """The most memory that one of them could use [bytes]; 0: nothing limited it."""
    lost: dict[str, int]
    """How many attempts ended with their workers, by error."""
    lost_seconds: float
    """How long those had taken, as far as anybody knows [s]."""
    starved: int
    """How many attempts were killed for their memory."""
    failed: int
    """How many attempts failed by themselves."""
    proposal: Proposal | None
    """What to ask for the next time; None where too few jobs were performed to tell."""

    @property
    def advice(self) -> str:
        """The proposal, or why there is none."""
        if self.proposal is not None:
            return self.proposal.text
        if not self.performed:
            return "nothing was performed"
        return f"too few jobs to tell ({self.performed} of {ENOUGH})"


def efficiency(journal: Journal, run: str) -> list[TaskUse]:
    """What the jobs of a run used, by task, in the order of their first calls.

    Raises
    ------
    NotFound
        No such run.
    """
    id = journal.run(run).id
    jobs: dict[str, list[JobRecord]] = {}
    for job in journal.jobs(id):
        jobs.setdefault(job.task, []).append(job)
    attempts: dict[int, list[AttemptRecord]] = {}
    for attempt in journal.attempts(id):
        attempts.setdefault(attempt.number, []).append(attempt)
    return [
        task_use(task, len(own), [attempt for job in own for attempt in attempts.get(job.number, ())])
        for task, own in jobs.items()
    ]


def task_use(task: str, jobs: int, attempts: Iterable[AttemptRecord]) -> TaskUse:
    """What the jobs of one task used.

    Parameters
    ----------
    jobs
        How many there are.
    attempts
        All attempts at them.
    """
    good: list[Sample] = []
    starved: list[Sample] = []
    lost: Counter[str] = Counter()
    lost_seconds = 0.0
    failed = 0
    for attempt in attempts:
        error = error_of(attempt.error_type)
        if attempt.state == JobState.succeeded:
            good.append(_sample(attempt))
        elif error is not None and issubclass(error, WorkerLost):
            lost[error.__name__] += 1
            lost_seconds += attempt.seconds
        elif error is not None and issubclass(error, OutOfMemory):
            starved.append(_sample(attempt))
        else:
            failed += 1
    seconds = [sample.seconds for sample in good]
    memory = [sample.memory for sample in good]
    return TaskUse(
        task,
        jobs,
        len(good),
        (quantile(seconds, 0.5), quantile(seconds, 0.95)) if good else None,
        max((sample.cores for sample in good), default=0),
        _busy(good),
        (int(quantile(memory, 0.95)), max(memory)) if good else None,
        max((sample.asked for sample in [*good, *starved]), default=0),
        dict(lost.most_common()),
        lost_seconds,
        len(starved),
        failed,
        propose(good, starved),
    )


def _sample(attempt: AttemptRecord) -> Sample:
    return Sample(attempt.seconds, attempt.cpu, attempt.memory, attempt.cores, attempt.asked)


def _busy(samples: Sequence[Sample]) -> float | None:
    """Which part of the time of their cores was used."""
    known = [sample for sample in samples if sample.cores and sample.seconds > 0]
    had = sum(sample.seconds * sample.cores for sample in known)
    return sum(sample.cpu for sample in known) / had if had else None
