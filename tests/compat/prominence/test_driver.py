from __future__ import annotations

import io
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from daskflow import CommandJob
from daskflow.compat.prominence import driver
from daskflow.compat.prominence.driver import Performance, follow, lines_of, main, performed, reruns
from daskflow.compat.prominence.errors import ConnectionError
from daskflow.compat.prominence.factories import ParameterSet, ParameterSweep
from daskflow.compat.prominence.job import Job
from daskflow.compat.prominence.ledger import Entry, Kind
from daskflow.compat.prominence.policies import JobPolicies, WorkflowPolicies
from daskflow.compat.prominence.resources import Resources
from daskflow.compat.prominence.starting import ERR, OUT
from daskflow.compat.prominence.workflow import Dependency, Workflow
from daskflow.graph.flow import Flow
from daskflow.model.states import JobState

Make = Callable[..., Job]
Perform = Callable[[Any], None]


def workflow(*jobs: Job, **changes: Any) -> Workflow:
    made = Workflow()
    made.name, made.jobs = "wf", list(jobs)
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def test_a_job_that_completes(perform: Perform, job: Make) -> None:
    one = job("/bin/sh -c 'echo out; echo err >&2; echo x > a'", output_files=["a"])
    perform(one)
    assert (one.status, one.status_reason, one.error) == ("completed", "", "")
    assert (one.stdout(), one.stderr()) == ("out\n", "err\n")
    assert (one.stdout(offset=2), one.outputs) == ("t\n", ["a"])
    assert one.execution["tasks"] == [{"exitCode": 0}]
    assert one.execution["wallTimeUsage"] > 0
    assert one.events.create == 1.0
    assert one.events.start is not None
    assert one.events.end is not None
    assert one.events.start <= one.events.end


def test_what_failed_is_failed_and_what_it_left_is_kept(perform: Perform, job: Make) -> None:
    one = job("true", "/bin/sh -c 'echo said; echo kept > a; exit 3'", "echo never", output_files=["a"])
    perform(one)
    assert (one.status, one.status_reason) == ("failed", "Task 1 ended with exit code 3")
    assert [task["exitCode"] for task in one.execution["tasks"]] == [0, 3]
    assert (one.stdout(), one.get_output_file("a")) == ("said\n", "kept\n")
    assert "exit code 3" in one.error


@pytest.mark.parametrize(
    ("policies", "said"),
    [
        (JobPolicies(ignore_task_failures=True), "after\n"),
        (JobPolicies(report_job_success_on_task_failure=True), ""),
    ],
)
def test_failures_that_do_not_count(perform: Perform, job: Make, policies: JobPolicies, said: str) -> None:
    one = job("false", "echo after", name="one", policies=policies)
    after = job("echo next", name="after")
    chain = workflow(one, after, dependencies=[Dependency(one, [after])])
    perform(chain)
    first, second = chain.get_jobs()
    assert (chain.status, first.status, first.stdout()) == ("completed", "completed", said)
    assert (second.status, second.stdout()) == ("completed", "next\n")


def test_other_endings(perform: Perform, job: Make) -> None:
    jobs = [
        job("no-such-program", name="missing"),
        job("true", name="left-nothing", output_files=["a"]),
        job("sleep 1000", name="slow", resources=Resources(walltime=0.005)),
        job("true", name="elsewhere", policies=JobPolicies(placement={"requirements": {"sites": ["moon"]}})),
        job("true", name="wide", resources=Resources(nodes=2)),
        job("true", name="large", resources=Resources(cpus=100_000, memory=1)),
        job("true", name="greedy", resources=Resources(memory=1e6)),
        job("echo fits", name="fits"),
    ]
    jobs[0].tasks[0].image = ""
    several = workflow(*jobs)
    perform(several)
    assert {one.name: (one.status, one.status_reason) for one in several.get_jobs()} == {
        "wf/missing": ("failed", "Unable to execute task(s)"),
        "wf/left-nothing": ("failed", "Stageout failed due to no such file or directory"),
        "wf/slow": ("killed", "Walltime limit exceeded"),
        **{f"wf/{name}": ("failed", "No matching resources") for name in ("elsewhere", "wide", "large", "greedy")},
        "wf/fits": ("completed", ""),
    }
    errors = {one.name.removeprefix("wf/"): one.error for one in several.get_jobs()}
    assert errors["missing"].startswith("`no-such-program` ended with exit code 127")
    assert "lacks 2 nodes (it has 1)" in errors["wide"]
    assert "lacks 100000 cores" in errors["large"]
    assert "of memory" in errors["greedy"]
    assert several.progress == {"total": 8, "done": 1, "failed": 7, "queued": 0, "waiting": 0}


def test_an_image_that_is_not_there(perform: Perform, job: Make) -> None:
    one = job("true")
    one.tasks[0].image = "/no-such.sif"
    perform(one)
    assert (one.status, one.status_reason) == ("failed", "Container image pull failed")
    assert "no-such.sif" in one.error


def test_what_waits_for_what_failed_is_not_run(perform: Perform, job: Make, here: Path) -> None:
    jobs = [job("true", name="good"), job("false", name="bad"), job(f"touch {here}/ran", name="after")]
    jobs += [job("true", name="later"), job("echo free", name="free")]
    chain = workflow(*jobs)
    chain.dependencies = [Dependency("good", ["after"]), Dependency("bad", ["after"]), Dependency("after", ["later"])]
    perform(chain)
    found = {one.name.removeprefix("wf/"): one for one in chain.get_jobs()}
    assert {name: one.status for name, one in found.items()} == {
        "good": "completed",
        "bad": "failed",
        "after": "deleted",
        "later": "deleted",
        "free": "completed",
    }
    assert found["later"].status_reason == "A job that it depends on did not complete"
    assert not (here / "ran").exists()
    assert (chain.status, chain.done()) == ("failed", True)
    assert chain.progress == {"total": 5, "done": 2, "failed": 1, "queued": 0, "waiting": 2}


def test_a_job_after_a_sweep_comes_after_all_of_it(perform: Perform, job: Make, here: Path) -> None:
    part = job(f"/bin/sh -c 'echo $x > {here}/part-$x'", name="part", output_files=[])
    total = job(f"/bin/sh -c 'cat {here}/part-*'", name="total")
    sweep = ParameterSweep("s", [part], [ParameterSet("x", 0, 0.3, 0.1)])
    whole = workflow(part, total, factories=[sweep], dependencies=[Dependency(part, [total])])
    perform(whole)
    assert whole.status == "completed"
    assert whole.get_jobs("total")[0].stdout() == "0\n0.1\n0.2\n0.3\n"
    assert [one.parameters for one in whole.get_jobs("part")] == [{"x": x} for x in ("0", "0.1", "0.2", "0.3")]


def test_a_workflow_is_begun_again_as_often_as_it_says(here: Path, job: Make) -> None:
    flaky = job(f"/bin/sh -c 'echo >> {here}/tries; test $(wc -l < {here}/tries) -gt 2'", name="flaky")
    once = job(f"/bin/sh -c 'echo >> {here}/once'", name="once")
    after = job("echo at last", name="after")
    made = workflow(once, flaky, after, policies=WorkflowPolicies(maximum_reruns=3))
    made.dependencies = [Dependency("flaky", ["after"]), Dependency("once", ["flaky"])]
    entry = Entry("workflow", "w")
    entry.write("request", {"document": made.to_dict(), "createTime": 1.0})
    assert reruns(entry) == 3
    main("workflow", "w")
    found = Workflow("w")
    assert (found.status, found.progress["done"]) == ("completed", 3)
    assert (here / "tries").read_text() == "\n" * 3
    assert (here / "once").read_text() == "\n", "what completed is not done again"


def test_retries_of_the_workflow_are_those_of_its_jobs(perform: Perform, job: Make, here: Path) -> None:
    flaky = job(f"/bin/sh -c 'echo >> {here}/tries; test $(wc -l < {here}/tries) -gt 2'", name="flaky")
    made = workflow(flaky, policies=WorkflowPolicies(maximum_retries=2))
    perform(made)
    assert made.status == "completed"


def test_deleted_alone(perform: Perform, job: Make) -> None:
    made = workflow(job("true", name="a"), job("true", name="b"))
    entry = Entry("workflow", "w")
    entry.write("request", {"document": made.to_dict(), "createTime": 1.0})
    Entry("job", "w.1").write("deleted", 1.0)
    main("workflow", "w")
    found = Workflow("w").get_jobs()
    assert [one.status for one in found] == ["completed", "deleted"]
    assert found[1].status_reason == "Job deleted by user"


@pytest.mark.parametrize("kind", ["job", "workflow"])
def test_what_cannot_be_performed_is_told_in_one_line(here: Path, job: Make, kind: Kind) -> None:
    """By what older versions left, and by what was removed before its process began."""
    with pytest.raises(SystemExit, match=f"^There is no {kind} w any more: it was removed"):
        main(kind, "w")
    made: Job | Workflow = job("true") if kind == "job" else workflow(job("true", name="a"))
    document = {"document": made.to_dict(), "createTime": 1.0}
    Entry(kind, "w").write_bytes("request", json.dumps(document).encode())
    with pytest.raises(SystemExit, match=f"^What is asked of the {kind} w is not signed.* Create it again"):
        main(kind, "w")


class _Stuck:
    """A handle of a job that nobody starts."""

    def __init__(self) -> None:
        self.state = JobState.queued
        self.cancelled = False

    def as_job(self) -> _Stuck:
        return self

    def cancel(self) -> None:
        self.cancelled = True


def test_what_waits_for_too_long_is_cancelled(here: Path, job: Make) -> None:
    patient = job("true", name="patient", policies=JobPolicies(maximum_time_in_queue=-1))
    hasty = job("true", name="hasty", policies=JobPolicies(maximum_time_in_queue=1))
    after = job("true", name="after", policies=JobPolicies(maximum_time_in_queue=1))
    made = workflow(patient, hasty, after, dependencies=[Dependency(patient, [after])])
    entry = Entry("workflow", "w")
    entry.write("request", {"document": made.to_dict(), "createTime": 1.0})
    performance = Performance(entry)
    handles: dict[str, Any] = {one.child.of: _Stuck() for one in performance._jobs}
    for one in performance._jobs:
        one.handle = handles[one.child.of]
        one.waits_since -= 61
        performance._look(one)
    assert {name: handle.cancelled for name, handle in handles.items()} == {
        "patient": False,
        "hasty": True,
        "after": False,
    }


def test_whatever_was_asked_and_when_is_seen(here: Path, job: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the process began, between two rounds of it, while a job was not known to run yet."""
    attended = list[tuple[str, str]]()

    def attend(entry: Entry, _: Any, token: str) -> threading.Thread:
        attended.append((entry.id, token))
        return threading.Thread()

    monkeypatch.setattr(driver, "attend", attend)
    entry = Entry("workflow", "w")
    entry.write(
        "request", {"document": workflow(job("true", name="a"), job("true", name="b")).to_dict(), "createTime": 1.0}
    )
    Entry("job", "w.0").note("asked", "before", {})
    performance = Performance(entry)
    first, second = performance._jobs
    for one in (first, second):
        one.handle = _Stuck()  # type: ignore[assignment]  # all that is asked of it is here
    assert performance._obey(), "somebody asks: it is looked again soon"
    assert attended == [], "it does not run yet"
    first.status = "running"
    assert performance._obey()
    assert attended == [("w.0", "before")]
    second.status = "running"
    Entry("job", "w.1").note("asked", "later", {})
    performance._obey()
    performance._obey()
    assert attended == [("w.0", "before"), ("w.1", "later")], "each once"
    Entry("job", "w.0").drop("asked", "before")
    Entry("job", "w.1").drop("asked", "later")
    assert not performance._obey()


def test_what_ends_a_job_is_answered_before_its_end_is_told(
    here: Path, job: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who has asked looks whether the job still runs, and then no more."""
    order = list[str]()

    class Answering(threading.Thread):
        def join(self, timeout: float | None = None) -> None:
            assert timeout
            order.append("answered")

    def attend(entry: Entry, _: Any, token: str) -> threading.Thread:
        (here / "enough").touch()
        entry.drop("asked", token)
        return Answering()

    end = Performance._end

    def end_and_tell(self: Performance, *args: Any, **told: Any) -> None:
        order.append("told")
        end(self, *args, **told)

    monkeypatch.setattr(driver, "attend", attend)
    monkeypatch.setattr(Performance, "_end", end_and_tell)
    entry = Entry("job", "a")
    waits = job(f"/bin/sh -c 'until [ -e {here}/enough ]; do sleep 0.05; done'")
    entry.write("request", {"document": waits.to_dict(), "createTime": 1.0})
    entry.note("asked", "t", {})
    assert performed("job", "a") == "completed"
    assert order == ["answered", "told"]


def test_a_store_that_is_away_for_a_moment_ends_no_job(
    here: Path, job: Make, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    entry = Entry("workflow", "w")
    entry.write("request", {"document": workflow(job("true", name="a")).to_dict(), "createTime": 1.0})
    performance = Performance(entry)
    (one,) = performance._jobs
    one.handle = stuck = _Stuck()  # type: ignore[assignment]
    Entry("job", "w.0").write("deleted", 1.0)
    entry.write("orders", 1.0)

    def away(self: Entry, part: str) -> bool:
        raise ConnectionError("The store is away.")

    with monkeypatch.context() as patch:
        patch.setattr(Entry, "has", away)
        assert not performance._obey()
    assert "The store is away" in capsys.readouterr().out
    assert performance._obey()
    assert stuck.cancelled, "what was ordered meanwhile is not forgotten"


def test_what_a_running_job_writes_is_in_the_log_of_its_process(here: Path) -> None:
    log = io.StringIO()
    made = CommandJob(["printf 'a\\nb'; printf 'c\\n' >&2"])
    # Jobs of a flow have their run, from the beginning; of others the first who waits makes it.
    assert made.exit_codes == (0,)
    for thread in follow(made, log):
        thread.join()
    assert lines_of(log.getvalue(), OUT) == "a\nb\n"
    assert lines_of(log.getvalue() + "noise\n", ERR) == "c\n"


def test_the_flow_can_be_found_again() -> None:
    assert isinstance(performed, Flow)
    assert performed.name == "prominence"
