from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from daskflow.errors import JobCancelled
from daskflow.execution.family import Family
from daskflow.graph.gate import Awaited, Gatekeeper
from daskflow.model.records import RunRecord
from daskflow.model.states import RunState
from tests.graph.projects import FakeLauncher, task


class Parent:
    def __init__(self) -> None:
        self.id = "a-run"
        self.failure: Exception | None = None
        self.jobs: dict[str, Any] = {}
        self.paused = False


class Child:
    def __init__(self, ordinal: int) -> None:
        self.ordinal = ordinal
        self.lasting = True
        self.told: list[str] = []

    def pause(self) -> None:
        self.told.append("pause")

    def cancel(self) -> None:
        self.told.append("cancel")


class Starter:
    """Starts children; what happens to the parent meanwhile can be given."""

    def __init__(self, meanwhile: Any = None) -> None:
        self.meanwhile = meanwhile
        self.started: list[Child] = []

    def start_below(self, parent: Any, flow: Any, arguments: Any, ordinal: int) -> Child:
        if self.meanwhile is not None:
            self.meanwhile(parent)
        self.started.append(Child(ordinal))
        return self.started[-1]


def test_children_stand_in_the_order_of_the_calls() -> None:
    family, starter = Family(Parent(), list), Starter()
    assert [family.start("flow", {}, starter).ordinal for _ in range(3)] == [0, 1, 2]
    assert family.children == starter.started


def test_a_child_of_a_paused_run_is_paused() -> None:
    parent, starter = Parent(), Starter()
    parent.paused = True
    assert Family(parent, list).start("flow", {}, starter).told == ["pause"]


def test_a_run_that_was_stopped_starts_none() -> None:
    def stop(parent: Any) -> None:
        parent.failure = JobCancelled()

    parent, starter = Parent(), Starter(stop)
    family = Family(parent, list)
    for _ in range(2):
        with pytest.raises(JobCancelled):
            family.start("flow", {}, starter)
    assert [child.told for child in starter.started] == [["cancel"]], "it was stopped while the first one started"


def test_runs_from_before_are_found_by_flow_and_arguments() -> None:
    def record(ident: str, payload: bytes | None) -> RunRecord:
        return RunRecord(id=ident, flow="study", target="", state=RunState.interrupted, site="", payload=payload)

    family = Family(Parent(), lambda: [record("a", b"1"), record("b", b"2"), record("c", b"1")])
    found = [family.former("study", payload) for payload in (b"2", b"1", b"1", b"1", b"3")]
    assert [run.id if run is not None else None for run in found] == ["b", "a", "c", None, None]
    assert family.former("other", b"1") is None


def test_what_others_would_get_as_well_is_lasting() -> None:
    def work(x: int) -> int:
        return x

    parent, starter = Parent(), Starter()
    family = Family(parent, list)
    child = family.start("flow", {}, starter)
    gate = Gatekeeper(FakeLauncher())(Awaited(SimpleNamespace(id="below"), "text"))
    parent.jobs = {"1": task(work)(1), "2": gate}
    found = [family.lasting]
    child.lasting = False
    found.append(family.lasting)
    child.lasting = True
    parent.jobs["3"] = task(work, cache="run")(1)
    assert [*found, family.lasting] == [True, False, False]
