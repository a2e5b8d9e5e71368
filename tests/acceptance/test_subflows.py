"""Flows in flows: each its own node in the tree of the run, which may end, fail, rest and go on alone."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from daskflow.errors import JobCancelled, RunFailed
from daskflow.execution.run import Run
from daskflow.model.states import RunState
from daskflow.sites import Site
from tests.acceptance.gates import began, gate, let, with_site
from tests.acceptance.shell import daskflow
from tests.conftest import Lab
from tests.execution.counting import count, counted
from tests.execution.patience import until

MANY = 50


def same(x: Any) -> Any:
    return x


@pytest.fixture
def site(lab: Lab, wide: Site) -> str:
    return with_site(lab, wide).project.site("wide").name


def test_fifty_subflows_side_by_side(lab: Lab, site: str) -> None:
    work = lab.task(same)
    together = threading.Barrier(MANY)

    @lab.flow
    def inner(i: int) -> Any:
        together.wait(60)
        return work(i), work(-i)

    @lab.flow(site=site)
    def outer() -> Any:
        runs = [inner.submit(i) for i in range(MANY)]
        return [run.result(60) for run in runs]

    run = outer.submit()
    assert run.result(120) == [(i, -i) for i in range(MANY)]
    records = lab.project.journal.children(run.id)
    assert [child.id for child in run.children] == [record.id for record in records]
    assert [(record.parent, record.ordinal) for record in records] == [(run.id, i) for i in range(MANY)]
    assert {record.state for record in records} == {RunState.succeeded}
    assert {child.parent for child in run.children} == {run.id}


def test_a_subflow_is_an_argument_and_a_condition(lab: Lab, site: str, notes: str) -> None:
    wait, work = lab.task(gate), lab.task(same)

    @lab.flow
    def inner(name: str) -> Any:
        return {"name": wait(notes, name)}

    @lab.flow(site=site)
    def outer() -> Any:
        good, bad = inner.submit("good"), inner.submit("bad")
        taken = work([good, 1])
        then = work("then", when=good.succeeded)
        handled = work("handled", when=bad.failed)
        never = work("never", when=bad.succeeded)
        with pytest.raises(TimeoutError):
            then.result(0.05)
        let(notes, "bad", "bad")
        assert handled.result(60) == "handled"
        assert "can never hold" in str(never.result(raise_on_failure=False))
        assert not then.state.final
        let(notes, "good")
        with pytest.raises(RunFailed):
            bad.result(60)
        return taken, then

    assert outer() == ([{"name": "good"}, 1], "then")


def test_one_subflow_is_cancelled_and_another_rests_alone(lab: Lab, site: str, notes: str) -> None:
    wait = lab.task(gate)
    children: list[Run] = []

    @lab.flow
    def inner(name: str) -> Any:
        first = wait(notes, name).result()
        return first, wait(notes, f"{name}-second")

    @lab.flow(site=site)
    def outer() -> Any:
        children.extend(inner.submit(name) for name in ("a", "b", "c"))
        with pytest.raises(JobCancelled):
            children[1].result(60)
        return [children[0].result(60), children[2].result(60)]

    run = outer.submit()
    until(lambda: all(began(notes, name) for name in ("a", "b", "c")))
    children[1].cancel()
    let(notes, "b")
    children[2].pause()
    for name in ("a", "a-second", "c"):
        let(notes, name)
    assert children[0].result(60) == ("a", "a-second")
    until(lambda: len(children[2].jobs) == 2)
    assert [str(child.state) for child in children] == ["succeeded", "cancelled", "paused"]
    assert not began(notes, "c-second")
    assert run.state is RunState.running
    children[2].resume()
    until(lambda: began(notes, "c-second"))
    let(notes, "c-second")
    assert run.result(60) == [("a", "a-second"), ("c", "c-second")]
    records = lab.project.journal.children(run.id)
    assert [str(record.state) for record in records] == ["succeeded", "cancelled", "succeeded"]


def test_cancelling_the_parent_cancels_all_below(lab: Lab, site: str, notes: str) -> None:
    wait = lab.task(gate)

    @lab.flow
    def lowest(name: str) -> Any:
        return wait(notes, name)

    @lab.flow
    def inner(name: str) -> Any:
        return lowest.submit(name).result()

    @lab.flow(site=site)
    def outer() -> Any:
        return [run.result() for run in [inner.submit("a"), inner.submit("b")]]

    run = outer.submit()
    until(lambda: began(notes, "a") and began(notes, "b"))
    run.cancel()
    let(notes, "a")
    let(notes, "b")
    with pytest.raises(JobCancelled):
        run.result(60)
    below = [*run.children, *(low for child in run.children for low in child.children)]
    assert len(below) == 4
    until(lambda: all(child.ended for child in below))
    assert {child.state for child in below} == {RunState.cancelled}


def test_the_failure_of_a_subflow_fails_the_run_unless_somebody_looks_at_it(lab: Lab) -> None:
    boom, work = lab.task(_fail), lab.task(same)

    @lab.flow
    def inner(i: int) -> Any:
        return boom(i) if i == 1 else work(i)

    @lab.flow
    def careless() -> Any:
        for i in range(3):
            inner.submit(i)
        return "done"

    @lab.flow
    def careful() -> Any:
        runs = [inner.submit(i) for i in range(3)]
        for run in runs:
            run.wait(60)
        found = []
        for run in runs:
            try:
                found.append(run.result())
            except RunFailed as error:
                found.append(type(error.__cause__).__name__)
        return found

    with pytest.raises(RunFailed, match=r"1 runs that .* started did not end well:\n  .*-inner-.*: failed"):
        careless()
    assert careful() == [0, "ValueError", 2]


def test_loops_and_branches_are_plain_python(lab: Lab) -> None:
    @lab.task
    def improve(x: float) -> float:
        return x / 2

    @lab.flow
    def clean(x: float) -> Any:
        return improve(x)

    @lab.flow
    def study(x: float) -> Any:
        runs = []
        while x > 1:
            runs.append(clean.submit(x))
            x = runs[-1].result(60)
        inline = clean(x) if len(runs) % 2 else clean(-x)
        return len(runs), inline

    run = study.submit(20.0)
    assert run.result(60) == (5, 0.3125)
    assert len(run.children) == 5, "the one that was called is no run of its own"
    assert len(run.jobs) == 1


def test_a_parent_that_is_run_again_repeats_only_the_child_that_failed(lab: Lab, notes: str) -> None:
    @lab.task(cache="run")
    def work(i: int) -> int:
        count(notes, f"work-{i}")
        return i

    @lab.task(cache="run")
    def check(i: int) -> int:
        count(notes, f"check-{i}")
        if i == 1 and not Path(notes, "mended").exists():
            raise ValueError(i)
        return i

    @lab.flow
    def inner(i: int) -> Any:
        return check(work(i))

    @lab.flow
    def outer() -> Any:
        runs = [inner.submit(i) for i in range(3)]
        return [run.result(60) for run in runs]

    run = outer.submit()
    with pytest.raises(RunFailed):
        run.result(60)
    until(lambda: all(child.ended for child in run.children))
    before = lab.project.journal.children(run.id)
    Path(notes, "mended").touch()
    again = lab.launcher.resume(outer, lab.project.journal.run(run.id), {}, background=True)
    assert again.result(60) == [0, 1, 2]
    after = lab.project.journal.children(run.id)
    assert [record.id for record in after] == [record.id for record in before]
    performed = counted(notes)
    performed.pop("mended")
    assert performed == {f"{task}-{i}": 1 for i in range(3) for task in ("work", "check")} | {"check-1": 2}


FLOW = """
import os

from daskflow import flow, task


@task(cache="run")
def work(i: int) -> int:
    descriptor = os.open(f"notes/work-{i}", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(descriptor, b"x")
    os.close(descriptor)
    if i == 1 and not os.path.exists("mended"):
        raise ValueError(i)
    return i


@flow
def inner(i: int) -> int:
    return work(i)


@flow
def outer() -> list:
    runs = [inner.submit(i) for i in range(3)]
    for run in runs:
        run.wait()
    return [run.result() for run in runs]
"""


def test_a_child_is_resumed_alone_and_then_its_parent(tmp_path: Path) -> None:
    (tmp_path / "flow.py").write_text(FLOW)
    (tmp_path / "notes").mkdir()
    daskflow(tmp_path, "run", "flow.py:outer", "--site", "synchronous", code=1)
    runs = json.loads(daskflow(tmp_path, "runs", "--json"))
    (parent,) = [run for run in runs if run["flow"] == "outer"]
    (failed,) = [run for run in runs if run["state"] == "failed" and run["flow"] == "inner"]
    assert (failed["parent"], failed["ordinal"]) == (parent["id"], 1)
    (tmp_path / "mended").touch()
    assert json.loads(daskflow(tmp_path, "resume", failed["id"], "--json"))["value"] == 1
    assert counted(tmp_path / "notes") == {"work-0": 1, "work-1": 2, "work-2": 1}
    assert json.loads(daskflow(tmp_path, "resume", parent["id"], "--json"))["value"] == [0, 1, 2]
    assert counted(tmp_path / "notes") == {"work-0": 1, "work-1": 2, "work-2": 1}
    assert len(json.loads(daskflow(tmp_path, "runs", "--json"))) == 4


def _fail(x: Any) -> Any:
    raise ValueError(x)
