"""Conducts a run of a pipeline: stage by stage, with what earlier stages left."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from daskflow.errors import PipelineInvalid, RunFailed, WorkInvalid
from daskflow.execution.pipelines.expanding import combinations, condition_of, fields_of
from daskflow.execution.pipelines.references import within
from daskflow.execution.worker.attempt import current
from daskflow.graph.job import Job
from daskflow.model.pipeline import Pipeline, Step
from daskflow.model.work import Work

Deposit = Callable[[str, str, str], Job]
"""Makes the job of a work: of the step of that name, marked so, with these fields as JSON text."""

MARK = "step:"
"""Begins the last tag of each work."""
ENDED = "pipeline.step."
"""Begins the kinds of the events that tell what became of a step."""
SUCCESS, FAILURE, SKIPPED = "success", "failure", "skipped"


class Ended(NamedTuple):
    """What became of a step."""

    status: str
    works: tuple[Mapping[str, Any] | None, ...] = ()
    """What each work left, in order of the combinations; None for one that failed."""
    several: bool = False
    """Whether the step has a matrix, so that what it left is a list."""
    reason: str = ""
    """Why it was skipped or failed."""

    def part(self, name: str) -> Any:
        """What others may refer to: the status, the id, or what its works left."""
        if name == "status":
            return self.status
        found = [None if work is None else work[name] for work in self.works]
        if self.several:
            return found
        return found[0] if found else None

    def fields(self) -> dict[str, Any]:
        """The same for the result of the run."""
        lost = sum(work is None for work in self.works)
        told = {"status": self.status, "succeeded": len(self.works) - lost, "failed": lost}
        return {**told, "reason": self.reason} if self.reason else told


class Conductor:
    """Performs the steps of one combination of a pipeline's matrix.

    Parameters
    ----------
    pipeline
        What is to be done.
    matrix
        The combination.
    deposit
        Makes the job of a work.

    Notes
    -----
    It only reads what jobs gave: a run that is resumed is conducted anew, and comes to the same.
    """

    def __init__(self, pipeline: Pipeline, matrix: Mapping[str, Any], deposit: Deposit) -> None:
        self._pipeline = pipeline
        self._matrix = matrix
        self._deposit = deposit
        self._ended: dict[str, Ended] = {}

    def conduct(self) -> dict[str, Any]:
        """Perform all stages; gives what became of each step.

        Raises
        ------
        RunFailed
            A step failed.
        """
        for stage in self._pipeline.stages():
            going = [(step, self._begin(step)) for step in stage]
            found = {step.name: jobs if isinstance(jobs, Ended) else _outcome(step, jobs) for step, jobs in going}
            for name, ended in found.items():
                current().emit(f"{ENDED}{ended.status}", step=name, **ended.fields())
            # Not before the whole stage has ended: its steps know nothing of each other.
            self._ended.update(found)
        failed = {name: ended for name, ended in self._ended.items() if ended.status == FAILURE}
        if failed:
            told = "; ".join(f"{name}: {_why(ended)}" for name, ended in failed.items())
            raise RunFailed(f"Of the pipeline {self._pipeline.name} {len(failed)} steps failed: {told}.")
        return {name: ended.fields() for name, ended in self._ended.items()}

    def _begin(self, step: Step) -> list[Job] | Ended:
        if not self._wanted(step):
            return Ended(SKIPPED, reason=f"its condition is {step.condition}")
        try:
            orders = [self._fields(step, found) for found in combinations(step.matrix)]
        except (PipelineInvalid, WorkInvalid) as error:
            return Ended(FAILURE, reason=str(error))
        marks = [mark(step, number) for number in range(len(orders))]
        return [self._deposit(step.name, own, json.dumps(order)) for own, order in zip(marks, orders, strict=True)]

    def _fields(self, step: Step, found: Mapping[str, Any]) -> dict[str, Any]:
        fields = fields_of(self._pipeline, step, {**self._matrix, **found}, self._left)
        Work(**fields)
        return fields

    def _wanted(self, step: Step) -> bool:
        condition = condition_of(step)
        if condition is None:
            return not self._any_failed()
        return bool(condition.value(self._known))

    def _any_failed(self) -> bool:
        return any(ended.status == FAILURE for ended in self._ended.values())

    def _known(self, name: str) -> Any:
        """What a name in a condition stands for; nothing, where there is no such result."""
        words = {"success": not self._any_failed(), "failure": self._any_failed(), "always": True}
        if name in words:
            return words[name]
        try:
            return self._left(name)
        except PipelineInvalid:
            return None

    def _left(self, name: str) -> Any:
        root, first, *path = name.split(".")
        if root == "matrix":
            return within(self._matrix[first], path, name)
        return within(self._ended[first].part(path[0]), path[1:], name)


def mark(step: Step, number: int) -> str:
    """By which tag a work is found again: `step:alpha`, or `step:alpha[3]` where there are several.

    Examples
    --------
    >>> mark(Step(name="alpha", matrix={"a": [1, 2]}, work={}), 1)
    'step:alpha[1]'
    """
    return f"{MARK}{step.name}[{number}]" if step.matrix else f"{MARK}{step.name}"


def _outcome(step: Step, jobs: list[Job]) -> Ended:
    works = tuple(job.result() if _good(job) else None for job in jobs)
    succeeded = sum(work is not None for work in works)
    good = succeeded >= step.success_threshold * len(works)
    reason = "" if succeeded == len(works) else f"{len(works) - succeeded} of {len(works)} works failed"
    return Ended(SUCCESS if good else FAILURE, works, bool(step.matrix), reason)


def _good(job: Job) -> bool:
    job.result(raise_on_failure=False)
    return job.state.good


def _why(ended: Ended) -> str:
    return ended.reason.rstrip(".") or "its works failed"
