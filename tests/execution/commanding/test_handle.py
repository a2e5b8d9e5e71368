"""What can be asked of a command job; what it leaves is tested in `test_job`."""

from typing import Any

import dask

from daskflow.model.states import JobState
from tests.conftest import Lab


def test_asking_where_it_stands_plans_nothing(lab: Lab) -> None:
    job = lab.command(["echo x"])
    assert (job.state, job.outcome, job.log()) == (JobState.created, None, "")
    job.output_files.append("still-open")


def test_it_is_a_job_for_others(lab: Lab) -> None:
    job = lab.command(["echo x > out; exit 1"], output_files=["out"])
    assert job.key == job.as_job().key
    assert job.key_text() == job.as_job().key_text()
    assert job.file("out").key_text() == f"part({job.key},(('attribute', 'files'), ('item', 'out')))"
    assert [fact.text() for fact in (job.succeeded, job.failed, job.finished)] == [
        f"{job.as_job().succeeded.text().rpartition('.')[0]}.{what}" for what in ("succeeded", "failed", "finished")
    ]
    error = job.result(60, raise_on_failure=False)
    assert "exit code 1" in str(error)
    assert job.outcome is not None
    assert job.failed.is_met()


def test_it_can_be_cancelled(lab: Lab) -> None:
    job = lab.command(["sleep 1000"], site="threads")
    job.cancel()
    assert job.state is JobState.cancelled


def test_dask_computes_it_alone(lab: Lab) -> None:
    @lab.task
    def length(result: Any) -> int:
        return len(result.stdout())

    job = lab.command(["echo 12345; echo x > out"], output_files=["out"])
    (found,) = dask.compute(job)
    assert found.stdout() == "12345\n"
    assert found.files["out"].path().read_text() == "x\n"
    assert dask.compute(length(job), {"nested": [job]})[0] == 6
    assert job.to_delayed().compute() == found
    assert job.state is JobState.created
