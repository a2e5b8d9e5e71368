"""How jobs and workflows are treated, as the PROMINENCE client says it."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, Self

from pydantic.alias_generators import to_camel


class _Said:
    """What was said of several things; what was not is left out."""

    def to_dict(self) -> dict[str, Any]:
        """As JSON describes it."""
        found = {to_camel(each.name): getattr(self, each.name) for each in fields(self)}  # type: ignore[arg-type]  # all below are dataclasses
        return {name: value for name, value in found.items() if value not in (None, {})}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """What a description says."""
        known = {to_camel(each.name): each.name for each in fields(cls)}  # type: ignore[arg-type]
        return cls(**{known[name]: value for name, value in data.items() if name in known})


@dataclass
class JobPolicies(_Said):
    """How a job is treated.

    Examples
    --------
    >>> JobPolicies(maximum_retries=2, ignore_task_failures=True).to_dict()
    {'maximumRetries': 2, 'ignoreTaskFailures': True}
    """

    maximum_task_retries: int | None = None
    """So often a task that failed is started again in the same scratch directory."""
    maximum_retries: int | None = None
    """So often a job that failed is tried again."""
    maximum_time_in_queue: float | None = None
    """So long it may wait [min]; -1 and 0: for ever."""
    priority: int | None = None
    """Kept, and without effect."""
    leave_in_queue: bool | None = None
    """Kept, and without effect: what is known of a job stays until it is removed."""
    ignore_task_failures: bool | None = None
    """Whether the tasks after one that failed are run all the same, and the job completes."""
    run_serial_tasks_on_all_nodes: bool | None = None
    """Refused where true."""
    report_job_success_on_task_failure: bool | None = None
    """Whether a job completes in which a task failed, after which no other is run."""
    placement: dict[str, Any] = field(default_factory=dict)
    """`{"requirements": {"sites": [...]}}`: names of sites, as configured."""


@dataclass
class WorkflowPolicies(_Said):
    """How a workflow is treated."""

    maximum_retries: int | None = None
    """So often each of its jobs that failed is tried again."""
    leave_in_queue: bool | None = None
    """Kept, and without effect."""
    maximum_reruns: int | None = None
    """So often what failed is begun again when all else has ended."""
    placement: dict[str, Any] = field(default_factory=dict)
    """Where jobs run that do not say it."""


@dataclass
class Notification(_Said):
    """Who is told of the end of a job or workflow; kept, and without effect: see `notify` in the configuration."""

    event: str | None = None
    """`jobFinished` or `workflowFinished`."""
    type: str | None = None
    """`email`."""
