"""Failure as data: a job may get the failure of another one as an argument, and decide what to do about it."""

from __future__ import annotations

from typing import Any, overload

from daskflow.errors import ArgumentsInvalid
from daskflow.graph.job import Job, job_of_draft


class Lenient:
    """A job whose failure is passed on as a value; made by `allow_failure(job)`."""

    __slots__ = ("job",)

    def __init__(self, job: Job) -> None:
        self.job = job

    def key_text(self) -> str:
        """How it stands in the keys of those that depend on it."""
        return f"lenient({self.job.key})"

    def __repr__(self) -> str:
        return f"allow_failure({self.job!r})"


@overload
def allow_failure(job: list[Any], /) -> list[Lenient]: ...
@overload
def allow_failure(job: Any, /) -> Lenient: ...
def allow_failure(job: Any, /) -> Any:
    """Pass a job, or a list of jobs, as an argument although it may fail.

    The task gets the result where there is one, and else a `Failure`: with the `error` itself, its `type`, `message`,
    `traceback` and `cause`. What is made of a failure is not remembered for other runs.

    Raises
    ------
    ArgumentsInvalid
        It is given something else than jobs.

    Examples
    --------
    ``summarise(allow_failure(fit(data)))`` runs even where ``fit`` failed.
    """
    if isinstance(job, (list, tuple)):
        return [allow_failure(item) for item in job]
    job = job_of_draft(job)
    if not isinstance(job, Job):
        raise ArgumentsInvalid(
            f"allow_failure() takes a job, or a list of jobs, not a {type(job).__qualname__}. Of a part of a result, "
            "pass the whole job and take the part in the task."
        )
    return Lenient(job)
