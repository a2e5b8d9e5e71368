from __future__ import annotations

from pathlib import Path

import pytest

from daskflow.sites.batch.errand import Step, crowded, fate, same_job, with_log
from daskflow.sites.batch.system import Certificate
from tests.sites.batch.papers import Ear, errand_in


@pytest.mark.parametrize(
    ("certificate", "begun", "code", "error", "text"),
    [
        (Certificate("7", "WalltimeExceeded", "TIMEOUT"), True, 143, "WalltimeExceeded", "batch job 7: TIMEOUT"),
        (Certificate("7", "NodeFailure", "NODE_FAIL", node="n3"), False, None, "NodeFailure", "on n3"),
        (Certificate("7", "WorkerLost", "FAILED", 127), False, 127, "StartupFailed", "before anything was performed"),
        (Certificate("7", "WorkerLost", "FAILED", 1), True, 1, "WorkerLost", "exit code 1"),
        (Certificate("7", "", "COMPLETED", 0), True, 0, "WorkerLost", "without leaving a result"),
        (None, True, 137, "WorkerLost", "no record of it, its script ended with exit code 137"),
        (None, False, None, "StartupFailed", "no record of it"),
    ],
)
def test_the_end_of_a_batch_job_has_a_name(
    certificate: Certificate | None, begun: bool, code: int | None, error: str, text: str
) -> None:
    found, known = fate(certificate, id="7", begun=begun, code=code)
    assert found == error
    assert text in known
    assert known.count("exit code") <= 1


def test_why_nobody_could_be_asked_is_told() -> None:
    _, known = fate(None, id="7", begun=True, code=1, silence="slurmdbd is away")
    assert "does not tell how it ended (slurmdbd is away), its script ended with exit code 1" in known


_POLICY = "Batch job submission failed: Job violates accounting/QOS policy (job submit limit, user's size limits)"


@pytest.mark.parametrize(
    ("complaint", "expected"),
    [
        (f"sbatch: error: QOSMaxSubmitJobPerUserLimit\nsbatch: error: {_POLICY}", True),
        (f"sbatch: error: AssocMaxSubmitJobLimit\nsbatch: error: {_POLICY}", True),
        (f"sbatch: error: QOSGrpSubmitJobsLimit\nsbatch: error: {_POLICY}", True),
        (f"sbatch: error: {_POLICY}", True),
        (f"sbatch: error: QOSMaxWallDurationPerJobLimit\nsbatch: error: {_POLICY}", False),
        (f"sbatch: error: AssocMaxCpuPerJobLimit\nsbatch: error: {_POLICY}", False),
        ("sbatch: error: Batch job submission failed: Resource temporarily unavailable", True),
        ("qsub: Maximum number of jobs already in queue", True),
        ("qsub: submit error (Maximum number of jobs already in queue MSG=user limit)", True),
        ("qsub: would exceed queue generic's per-user limit of jobs in 'Q' state", True),
        ("qsub: would exceed queue generic's per-user limit on resource ncpus", False),
        ("qsub: Job violates queue and/or server resource limits", False),
        ("job rejected: Only 2 jobs are allowed per user (current job count: 2)", True),
        ("ERROR: Number of submitted jobs would exceed MAX_JOBS_PER_OWNER", True),
        ("User <me>: Pending job threshold reached", True),
        ("Too many processors requested. Job not submitted.", False),
        ("sbatch: error: invalid partition specified: moon", False),
    ],
)
def test_that_there_are_enough_jobs_already_is_no_refusal_for_ever(complaint: str, expected: bool) -> None:
    assert crowded(complaint) == expected


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("12", "12", True),
        ("12", "13", False),
        ("12", "123", False),
        ("12.pbs", "12.pbs.example.org", True),
        ("12.0", "13.0", False),
        ("job-a", "job-a", True),
        ("job-a", "job-b", False),
    ],
)
def test_ids_of_one_submission_are_known(one: str, other: str, expected: bool) -> None:
    assert same_job(one, other) == same_job(other, one) == expected


def test_logs_are_told_with_the_end() -> None:
    assert with_log("It ended", "last words") == "It ended. The log ended with:\nlast words"
    assert with_log("It ended", "") == "It ended. Its log is empty."


def test_a_lost_attempt_is_told_as_one_that_is_followed_by_another(tmp_path: Path) -> None:
    ear = Ear()
    errand = errand_in(tmp_path, ear)
    errand.struck("NodeFailure", "n3 burnt")
    (outcome,) = ear.outcomes
    assert (outcome.key, outcome.state, outcome.final) == ("a-job", "failed", False)
    assert outcome.failure is not None
    assert (outcome.failure.type, outcome.failure.message) == ("daskflow.errors.NodeFailure", "n3 burnt")


def test_events_name_the_job(tmp_path: Path) -> None:
    ear = Ear()
    errand = errand_in(tmp_path, ear)
    errand.go(Step.submitted)
    errand.event("batch.submitted", id="7")
    assert ear.events == [("batch.submitted", {"job": "a-job", "id": "7"})]
