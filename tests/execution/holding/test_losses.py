from __future__ import annotations

from typing import Any

import pytest

from daskflow.execution.holding.losses import lost, numbered, outgrown
from daskflow.execution.sending.needing import Needing
from daskflow.model.needs import Needs
from daskflow.model.outcome import Failure
from daskflow.model.policy import Resources
from tests.conftest import Lab
from tests.execution.handmade import PaperSite, ended


@pytest.mark.parametrize(
    ("reason", "kind", "message"),
    [
        ("it went away", "WorkerLost", "it went away"),
        ("NodeFailure: its node burnt: down", "NodeFailure", "its node burnt: down"),
        ("strange: thing", "WorkerLost", "strange: thing"),
    ],
)
def test_the_reason_names_the_error(lab: Lab, reason: str, kind: str, message: str) -> None:
    job = lab.task(lambda: 1, name="work")()
    outcome = lost(job, reason, 0)
    assert outcome.final
    assert outcome.failure is not None
    assert (outcome.failure.type, outcome.failure.message) == (f"daskflow.errors.{kind}", message)


def test_another_attempt_is_made_where_one_is_left_and_can_help(lab: Lab) -> None:
    job = lab.task(lambda: 1, name="work", retries=1)()
    job.attempts = 7
    outcome = lost(job, "NodeFailure: gone", 0)
    assert (outcome.attempt, outcome.final) == (8, False), "attempts that did not fail do not count"
    assert lost(job, "FitsNowhere: too large", 0).final, "trying the same again cannot help"
    assert lost(job, "NodeFailure: gone", 1).final


def test_a_function_decides_by_the_failures_and_may_fail_itself(lab: Lab) -> None:
    def again(error: Any, failures: int) -> bool:
        return bool(error.status == 503) if failures > 1 else True

    job = lab.task(lambda: 1, name="work", retries=5, retry_on=again)()
    assert not lost(job, "NodeFailure: gone", 0).final
    outcome = lost(job, "NodeFailure: gone", 1)
    assert outcome.final
    assert outcome.reason.startswith("worker lost; not tried again, since retry_on raised AttributeError: ")


class Growing(PaperSite):
    def larger(self, needs: Needs) -> Needs | None:
        return needs._replace(memory=2000) if needs.memory is None else None


def test_who_said_nothing_of_memory_gets_more_once(lab: Lab) -> None:
    needing, site = Needing(), Growing()
    job = lab.task(lambda: 1, name="work")()
    failed = ended(job, "failed", failure=Failure("daskflow.errors.OutOfMemory", "too much", ""))
    other = ended(job, "failed", failure=Failure("builtins.ValueError", "wrong", ""))
    assert not outgrown(job, other, site, needing)
    assert not outgrown(job, failed, PaperSite(), needing)
    assert outgrown(job, failed, site, needing)
    assert needing.raised(job) == 2000
    assert not outgrown(job, failed, site, needing), "there is no more"
    declared = lab.task(lambda: 1, name="said", resources=Resources(memory=1000))()
    assert not outgrown(declared, ended(declared, "failed", failure=failed.failure), site, needing)


def test_attempts_of_which_the_worker_knew_nothing_count(lab: Lab) -> None:
    job = lab.task(lambda: 1, name="work")()
    outcome = ended(job)
    assert numbered(job, outcome) is outcome
    job.attempts = 2
    assert numbered(job, outcome).attempt == 3
    assert numbered(job, ended(job, "skipped")._replace(attempt=1)).attempt == 1
