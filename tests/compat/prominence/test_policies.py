from __future__ import annotations

import pytest

from daskflow.compat.prominence.documents import JobPoliciesDocument
from daskflow.compat.prominence.policies import JobPolicies, Notification, WorkflowPolicies
from daskflow.compat.prominence.workflowdocuments import WorkflowPoliciesDocument


def test_nothing_said_is_nothing() -> None:
    assert JobPolicies().to_dict() == WorkflowPolicies().to_dict() == {}


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        ("ignore_task_failures", "ignoreTaskFailures", True),
        ("report_job_success_on_task_failure", "reportJobSuccessOnTaskFailure", True),
        ("maximum_time_in_queue", "maximumTimeInQueue", -1),
        ("maximum_retries", "maximumRetries", 2),
        ("maximum_task_retries", "maximumTaskRetries", 3),
        ("leave_in_queue", "leaveInQueue", False),
        ("priority", "priority", 0),
    ],
)
def test_what_is_said_is_what_a_description_may_say(name: str, key: str, value: object) -> None:
    policies = JobPolicies()
    setattr(policies, name, value)
    assert policies.to_dict() == {key: value}
    assert getattr(JobPoliciesDocument.model_validate(policies.to_dict()), name) == value
    assert JobPolicies.from_dict(policies.to_dict()) == policies


def test_policies_of_workflows() -> None:
    policies = WorkflowPolicies(maximum_retries=1, maximum_reruns=2, placement={"requirements": {"sites": ["a"]}})
    read = WorkflowPoliciesDocument.model_validate(policies.to_dict())
    assert (read.maximum_retries, read.maximum_reruns, read.placement.site) == (1, 2, "a")


def test_notifications() -> None:
    assert Notification("jobFinished", "email").to_dict() == {"event": "jobFinished", "type": "email"}
