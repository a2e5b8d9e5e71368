from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from daskflow.compat.prominence.errors import (
    ConnectionError,
    DeletionError,
    JobGetError,
    WorkflowCreationError,
    WorkflowGetError,
)
from daskflow.compat.prominence.factories import ParameterSet, ParameterSweep, Repeat, Zip
from daskflow.compat.prominence.files import Artifact
from daskflow.compat.prominence.job import Job
from daskflow.compat.prominence.ledger import Entry
from daskflow.compat.prominence.policies import WorkflowPolicies
from daskflow.compat.prominence.tasks import Task
from daskflow.compat.prominence.workflow import Dependency, Workflow
from daskflow.settings.front import launcher

Make = Callable[..., Job]
Perform = Callable[[Any], None]


@pytest.fixture
def workflow(job: Make) -> Workflow:
    """Two jobs of a sweep, and one after them."""
    made = Workflow()
    made.name, made.labels = "wf", {"app": "x"}
    made.jobs = [job("echo part $x", name="part"), job("echo total", name="total")]
    made.factories = [ParameterSweep("s", made.jobs[:1], [ParameterSet("x", 1, 2, 1)])]
    made.dependencies = [Dependency(made.jobs[0], made.jobs[1:])]
    return made


def test_policies_that_are_assigned_count(workflow: Workflow) -> None:
    workflow.policies = WorkflowPolicies(maximum_retries=3)
    assert workflow.to_dict()["policies"] == {"maximumRetries": 3}


def test_dependencies_of_one_parent_add_up(job: Make) -> None:
    made = Workflow()
    a, b, c = made.jobs = [job("true", name=name) for name in "abc"]
    made.dependencies = [Dependency(a, [b]), Dependency("a", [c, "b"])]
    assert made.to_dict()["dependencies"] == {"a": ["b", "c"]}


def test_it_comes_back_from_its_description(workflow: Workflow) -> None:
    workflow.jobs.append(Job.from_dict({"name": "z", "tasks": [{"cmd": "date"}]}))
    workflow.factories += [Zip("z", ["total"], [ParameterSet("y", values=["a", "b"])]), Repeat("r", ["z"], 3)]
    again = Workflow.from_dict(workflow.to_dict())
    assert Workflow.from_dict(again.to_dict()).to_dict() == again.to_dict()
    assert again.to_dict()["factories"][1:] == workflow.to_dict()["factories"][1:]


def test_what_cannot_be_created_leaves_nothing(here: Path, workflow: Workflow) -> None:
    workflow.dependencies.append(Dependency("total", ["part"]))
    with pytest.raises(WorkflowCreationError, match="in a circle"):
        workflow.create()
    workflow.dependencies.pop()
    workflow.jobs[1].artifacts.append(Artifact("missing-$x"))
    with pytest.raises(WorkflowCreationError, match="no artifact"):
        workflow.create()
    assert (workflow.id, workflow.status) == (None, "")


def test_found_again_by_its_id(perform: Perform, workflow: Workflow) -> None:
    perform(workflow)
    again = Workflow(workflow.id)
    assert (again.name, again.labels, again.status) == ("wf", {"app": "x"}, "completed")
    assert again.progress == {"total": 3, "done": 3, "failed": 0, "queued": 0, "waiting": 0}
    assert again.done()
    assert again.wait()
    assert [one.id for one in again.jobs] == [None, f"{workflow.id}.2"], "the pattern of a sweep is no job itself"
    assert again.jobs[1].stdout() == "total\n"
    assert [one.name for one in again.get_jobs("part")] == ["wf/part/0", "wf/part/1"]
    assert again.events.end is not None
    with pytest.raises(JobGetError, match="3 jobs"):
        Job(f"{workflow.id}.3")


def test_what_is_deleted_goes_on_with_nothing(here: Path, job: Make) -> None:
    os.mkfifo(here / "begun")
    made = Workflow()
    made.jobs = [
        job("true", name="a"),
        job(f"/bin/sh -c 'echo yes > {here}/begun; sleep 600'", name="b"),
        job("true", name="c"),
    ]
    made.dependencies = [Dependency("a", ["b"]), Dependency("b", ["c"])]
    made.create()
    try:
        assert (here / "begun").read_text() == "yes\n"
    finally:
        assert made.delete()
    assert [one.status for one in made.get_jobs()] == ["completed", "deleted", "deleted"]
    assert made.progress == {"total": 3, "done": 1, "failed": 2, "queued": 0, "waiting": 0}


def test_what_completed_before_a_rerun_is_done(perform: Perform, job: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Workflow()
    made.jobs = [job("true", name="a"), job("false", name="b"), job("true", name="c"), job("true", name="d")]
    made.dependencies = [Dependency("a", ["c"]), Dependency("b", ["d"])]
    perform(made)
    assert made.progress == {"total": 4, "done": 2, "failed": 1, "queued": 0, "waiting": 1}
    monkeypatch.setattr("daskflow.sites.batch.services.Services.spawn", lambda *_, **__: None)
    made.rerun()
    assert made.status == "idle", "its process has yet to begin"
    assert made.progress == {"total": 4, "done": 2, "failed": 0, "queued": 1, "waiting": 1}


def test_a_process_that_is_killed_takes_all_along_that_has_not_ended(here: Path, job: Make) -> None:
    os.mkfifo(here / "begun")
    made = Workflow()
    made.jobs = [
        job("true", name="a"),
        job(f"/bin/sh -c 'echo $PPID > {here}/begun; sleep 600'", name="b"),
        job("true", name="c"),
    ]
    made.dependencies = [Dependency("a", ["b"]), Dependency("b", ["c"])]
    made.create()
    os.kill(int((here / "begun").read_text()), signal.SIGKILL)
    assert made.wait(60)
    assert [one.status for one in made.get_jobs()] == ["completed", "failed", "failed"]
    assert made.progress == {"total": 3, "done": 1, "failed": 2, "queued": 0, "waiting": 0}


def test_a_store_that_is_away_is_no_end(perform: Perform, workflow: Workflow, here: Path) -> None:
    perform(workflow)
    job = workflow.get_jobs("total")[0]
    (here / "daskflow.yaml").write_text("site: threads\nartifacts: file\n")
    (here / "file").write_text("no directory")
    launcher.close()
    launcher.project()
    for one in (workflow, job):
        for ask in (lambda: one.status, one.done, lambda: one.wait(0.01)):  # noqa: B023, they are called here
            with pytest.raises(ConnectionError, match="cannot be read"):
                ask()


def test_outputs_of_one_name_are_apart(perform: Perform, job: Make) -> None:
    made = Workflow()
    made.jobs = [job(f"/bin/sh -c 'echo {name} > out'", name=name, output_files=["out"]) for name in "ab"]
    perform(made)
    assert [one.get_output_file("out") for one in made.get_jobs()] == ["a\n", "b\n"]


def test_ids_of_nothing(here: Path) -> None:
    for id in ("20260314-101502-00000000", "../x"):
        with pytest.raises(WorkflowGetError, match="no workflow"):
            Workflow(id)
    with pytest.raises(WorkflowGetError, match="not created yet"):
        Workflow().wait()


def test_removed_as_a_whole(perform: Perform, workflow: Workflow) -> None:
    perform(workflow)
    child = workflow.get_jobs()[0]
    with pytest.raises(DeletionError, match="belongs to a workflow"):
        child.remove()
    assert not workflow.delete(), "it had ended"
    assert workflow.remove()
    with pytest.raises(WorkflowGetError, match="no workflow"):
        Workflow(workflow.id)
    with pytest.raises(JobGetError):
        Job(child.id)


def test_the_pattern_of_a_factory_says_where_its_jobs_are(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("daskflow.compat.prominence.lifecycle.starting.start", lambda entry: None)
    workflow = Workflow()
    for name in ("a", "b"):
        job = Job()
        job.name = name
        job.tasks.append(Task(command="echo $x"))
        workflow.jobs.append(job)
    workflow.factories.append(Zip("z", ["b"], [ParameterSet("x", values=["1", "2"])]))
    workflow.create()
    first, pattern = workflow.jobs
    assert first.stdout() == ""
    for ask in (pattern.stdout, pattern.wait, pattern.delete):
        with pytest.raises(JobGetError, match=r"several jobs of 'b': workflow\.get_jobs\('b'\)"):
            ask()
    assert len(workflow.get_jobs("b")) == 2


def test_ids_may_be_numbers(here: Path) -> None:
    with pytest.raises(WorkflowGetError, match="no workflow 12345"):
        Workflow(12345)
    job = Job()
    job.name = "a"
    job.tasks.append(Task(command="date"))
    made = Workflow()
    made.jobs.append(job)
    Entry("workflow", "12345").write("request", {"document": made.to_dict(), "createTime": 1.0})
    found = Workflow(12345)
    assert (found.id, found.jobs[0].id) == ("12345", "12345.0")
