"""States that jobs save far away."""

from __future__ import annotations

import base64
import os
import pickle
from typing import Any

import pytest

from daskflow.execution.bucketing import performing
from daskflow.execution.bucketing.opening import accept
from daskflow.execution.bucketing.packing import Packing
from daskflow.execution.bucketing.parcel import ROOM, Answer, open_answer, open_parcel
from daskflow.execution.bucketing.performing import perform
from daskflow.execution.bucketing.states import notes_in
from daskflow.execution.worker.attempt import current
from daskflow.execution.worker.saving import State
from daskflow.model.outcome import Outcome
from daskflow.sites.site import Node
from daskflow.stores.buckets.freight import Freight
from tests.execution.bucketing.camp import Camp
from tests.execution.patience import until


def sample(steps: int, size: int = 0) -> int:
    """Makes three steps in each attempt, and hands over."""
    made, _ = current().restore((0, b""))
    if made + 3 < steps:
        current().hand_over((made + 3, os.urandom(size)))
    return int(made)


def stumble(size: int) -> int:
    """Fails, but for the attempt that finds a state."""
    found = current().restore(b"")
    if not found:
        current().save(os.urandom(size))
        raise ValueError("no good")
    return len(found)


@pytest.fixture(autouse=True)
def _far(monkeypatch: pytest.MonkeyPatch) -> None:
    """Agents do not reach the artifact store of the driver."""
    monkeypatch.setattr(performing, "_reached", lambda parcel: None)


def attempt(camp: Camp, node: Node, freight: Freight | None = None) -> tuple[Outcome, Answer]:
    """One work for a node, and what the driver makes of it."""
    results = perform(**Packing(camp.values, freight).parameters(node, {}))
    found = open_answer(base64.b64decode(results["answer"]), camp.values.signer)
    accept(found, camp.values, camp.directory / "logs" / "a-run", "work-1", freight)
    outcomes: list[Outcome] = pickle.loads(found.records)
    return outcomes[-1], found


def value(camp: Camp, outcome: Outcome) -> Any:
    assert outcome.value is not None
    return camp.values.load(outcome.value)


@pytest.mark.parametrize("size", [10, 100_000])
def test_a_job_that_is_handed_over_goes_on_in_another_work(camp: Camp, size: int) -> None:
    node = camp.node("sample", sample, 8, size)
    handed = [attempt(camp, node)[0] for _ in range(2)]
    assert [outcome.value for outcome in handed] == [None, None]
    assert len(notes_in(camp.store, ["sample"])) == 1
    last, answer = attempt(camp, node)
    assert value(camp, last) == 6
    assert answer.states == {"sample": b""}
    assert notes_in(camp.store, ["sample"]) == {}, "nobody comes back for it"


@pytest.mark.parametrize("size", [10, 100_000])
def test_what_a_job_saved_that_failed_is_there_when_it_is_performed_again(camp: Camp, size: int) -> None:
    node = camp.node("stumble", stumble, size)
    first, _ = attempt(camp, node)
    assert first.state == "failed"
    again, _ = attempt(camp, node)
    assert value(camp, again) == size


def test_a_state_without_room_is_lost_and_that_is_said(camp: Camp, caplog: pytest.LogCaptureFixture) -> None:
    node = camp.node("stumble", stumble, ROOM)
    first, found = attempt(camp, node)
    assert first.state == "failed"
    assert (found.states, found.objects) == ({"stumble": None}, {})
    (said,) = [record.getMessage() for record in caplog.records if "stumble" in record.getMessage()]
    assert "too large for a work" in said
    assert "goes on from the one before, if there is any" in said
    again, _ = attempt(camp, node)
    assert again.state == "failed"


def test_a_state_without_room_that_is_handed_over_ends_the_job(camp: Camp) -> None:
    last, _ = attempt(camp, camp.node("sample", sample, 8, ROOM))
    assert (last.state, last.final) == ("failed", True)
    assert last.failure is not None
    assert last.failure.type == "daskflow.errors.WorkFailed"
    assert last.failure.message.startswith("sample hands over a state that is too large for a work")


def test_a_large_state_goes_by_way_of_the_server_and_comes_back(camp: Camp, at_server: Freight) -> None:
    node = camp.node("stumble", stumble, ROOM)
    first, found = attempt(camp, node, at_server)
    assert (first.state, found.objects, len(found.served)) == ("failed", {}, 1)
    assert len(notes_in(camp.store, ["stumble"])) == 1
    again, _ = attempt(camp, node, at_server)
    assert value(camp, again) == ROOM
    handed = [attempt(camp, camp.node("sample", sample, 6, ROOM), at_server)[0] for _ in range(2)]
    assert [outcome.state for outcome in handed] == ["waiting", "succeeded"]


def test_a_state_that_is_not_whole_does_not_go_along(camp: Camp) -> None:
    node = camp.node("stumble", stumble, 100_000)
    attempt(camp, node)
    parcel, _ = open_parcel(base64.b64decode(Packing(camp.values).parameters(node, {})["parcel"]))
    assert set(parcel.states) == {"stumble"}
    assert len(parcel.objects) == 1
    for digest in parcel.objects:
        camp.store.remove(digest)
    parcel, _ = open_parcel(base64.b64decode(Packing(camp.values).parameters(node, {})["parcel"]))
    assert (parcel.states, parcel.objects) == ({}, {})


def test_jobs_without_a_state_are_not_asked_for_one_by_one(camp: Camp, monkeypatch: pytest.MonkeyPatch) -> None:
    packing, asked, read = Packing(camp.values), list[str](), camp.store.read_note

    def counted(path: str) -> bytes | None:
        asked.append(path)
        return read(path)

    node = camp.node("stumble", stumble, 10)
    packing.parameters(node, {})
    attempt(camp, node)
    monkeypatch.setattr(camp.store, "read_note", counted)
    for number in range(20):
        packing.parameters(camp.node(f"job-{number}", stumble, 10), {})
    assert asked == []
    # What came meanwhile is known: by an answer, or in another run.
    packing.saved.add("stumble")
    for one in (node, camp.node("stumble", stumble, 10)._replace(run="another-run")):
        parcel, _ = open_parcel(base64.b64decode(packing.parameters(one, {})["parcel"]))
        assert set(parcel.states) == {"stumble"}
        packing.saved.clear()


def test_a_job_hands_over_from_work_to_work(camp: Camp) -> None:
    for _ in range(2):
        camp.site.submit([camp.node("sample", sample, 6)], [], camp.ear, {})
        camp.serve()
        until(lambda: camp.ear.outcomes)
        camp.site.release(["sample-1"])
        if camp.ear.states.get("sample") != "succeeded":
            camp.ear.outcomes.clear()
    assert [value(camp, outcome) for outcome in camp.ear.outcomes] == [3]


def test_where_nothing_was_saved_nothing_travels(camp: Camp) -> None:
    last, answer = attempt(camp, camp.node("sample", sample, 1))
    assert value(camp, last) == 0
    assert answer.states == {}
    assert State(camp.values, "sample").restore("none") == "none"
