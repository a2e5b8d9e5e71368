from __future__ import annotations

import base64
import os
import pickle
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from daskflow.artifacts.store import ObjectStore, here, known
from daskflow.errors import ArtifactMissing, SignatureWrong
from daskflow.execution.bucketing import performing
from daskflow.execution.bucketing.opening import accept
from daskflow.execution.bucketing.packing import Packing
from daskflow.execution.bucketing.parcel import ROOM, Answer, open_answer
from daskflow.execution.bucketing.performing import perform
from daskflow.execution.worker.attempt import current
from daskflow.model.outcome import Outcome
from daskflow.sites.grip import condemn, pardon
from daskflow.sites.site import Node
from daskflow.stores.buckets.freight import Freight
from tests.execution.bucketing.camp import Camp, add


def shout(text: str) -> None:
    current().report.metric("loudness", 3.0)
    print(text)


def fail() -> None:
    raise ValueError("no good")


def text_of(size: int) -> str:
    return "x" * size


def twice(text: str) -> str:
    return 2 * text


def sleep() -> None:
    time.sleep(1000)


@pytest.fixture(params=["near", "far"])
def distance(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Whether the artifact store of the driver can be reached."""
    if request.param == "far":
        monkeypatch.setattr(performing, "_reached", lambda parcel: None)
    return str(request.param)


def answer(camp: Camp, node: Node, foreign: dict[str, Any] | None = None) -> Answer:
    results = perform(**Packing(camp.values).parameters(node, foreign or {}))
    return open_answer(base64.b64decode(results["answer"]), camp.values.signer)


def outcomes(found: Answer) -> list[Outcome]:
    made: list[Outcome] = pickle.loads(found.records)
    return made


def test_a_job_is_performed_wherever_its_parcel_is(camp: Camp, distance: str) -> None:
    found = answer(camp, camp.node("sum", add, 1, 2))
    (outcome,) = outcomes(found)
    assert (found.run, found.job, outcome.key, outcome.state) == ("a-run", "sum", "sum", "succeeded")
    assert outcome.value is not None
    assert camp.values.load(outcome.value) == 3
    assert found.objects == {}


def test_what_it_prints_and_tells_comes_back(camp: Camp, distance: str, capfd: pytest.CaptureFixture[str]) -> None:
    found = answer(camp, camp.node("shout", shout, "HEY"))
    (outcome,) = outcomes(found)
    assert outcome.log is not None
    assert found.logs[outcome.log.file][outcome.log.start : outcome.log.stop] == b"HEY\n"
    assert [live.name for record in found.told for live in pickle.loads(record)] == ["loudness"]
    assert "HEY" in capfd.readouterr().out, "it is in the log of the work, too"


def test_of_a_long_log_the_end_comes_back(camp: Camp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(performing, "_LOG_ROOM", 10)
    found = answer(camp, camp.node("shout", shout, "a long text"))
    ((name, text),) = found.logs.items()
    assert (text, found.cuts[name]) == (b"long text\n", 2)


def test_a_job_that_fails_has_an_answer_too(camp: Camp, distance: str) -> None:
    first, last = outcomes(answer(camp, camp.node("fail", fail, retries=1, pauses=(0.0,))))
    assert (first.state, first.final, last.state, last.final) == ("failed", False, "failed", True)
    assert last.failure is not None
    assert (last.failure.type, last.failure.message) == ("ValueError", "no good")
    assert "in fail" in last.failure.traceback


def test_a_job_that_is_killed_has_an_answer_without_outcomes(camp: Camp, distance: str) -> None:
    node = camp.node("sum", add, 1, 2)
    condemn([node.key])
    try:
        assert outcomes(answer(camp, node)) == []
    finally:
        pardon([node.key])


def test_the_limits_of_a_job_hold(camp: Camp, distance: str) -> None:
    (outcome,) = outcomes(answer(camp, camp.node("sleep", sleep, timeout=0.2)))
    assert outcome.failure is not None
    assert outcome.failure.type == "daskflow.errors.JobTimeout"


def test_large_results_go_to_the_store_or_along(camp: Camp, distance: str) -> None:
    before = here()
    found = answer(camp, camp.node("text", text_of, 100_000))
    (outcome,) = outcomes(found)
    assert outcome.value is not None
    assert outcome.value.inline is None
    assert camp.store.exists(outcome.value.digest) is (distance == "near")
    assert set(found.objects) == ({outcome.value.digest} if distance == "far" else set())
    assert known(camp.store.url) is not None
    assert here() is before, "nothing is left of it in this process"
    for data in found.objects.values():
        camp.store.put(data)
    assert len(camp.values.load(outcome.value)) == 100_000


def test_a_result_without_room_fails_with_what_would_help(camp: Camp, monkeypatch: pytest.MonkeyPatch) -> None:
    node = camp.node("text", text_of, ROOM)
    (outcome,) = outcomes(answer(camp, node))
    assert outcome.state == "succeeded"
    monkeypatch.setattr(performing, "_reached", lambda parcel: None)
    found = answer(camp, node)
    (outcome,) = outcomes(found)
    assert (outcome.state, outcome.value, found.objects) == ("failed", None, {})
    assert outcome.failure is not None
    assert outcome.failure.type == "daskflow.errors.WorkFailed"
    assert "object storage that the agents reach too" in outcome.failure.message


def test_another_store_at_the_same_place_is_not_that_of_the_driver(camp: Camp) -> None:
    node = camp.node("text", text_of, 100_000)
    parameters = Packing(camp.values).parameters(node, {})
    camp.store.remove_note("owners/a-project")
    found = open_answer(base64.b64decode(perform(**parameters)["answer"]), camp.values.signer)
    assert len(found.objects) == 1


def test_values_of_dask_collections_are_computed_there(camp: Camp, distance: str) -> None:
    node = camp.deeds.after("sum", "b")._replace(name="sum", run="a-run")
    (outcome,) = outcomes(answer(camp, node, {"a": 20, "b": (add, "a", 1)}))
    assert outcome.value is not None
    assert camp.values.load(outcome.value) == 21


def test_what_is_laid_out_for_a_job_goes_with_its_attempt(
    camp: Camp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its process may be killed at any time; the directory of the attempt is removed by the agent."""
    scratch, elsewhere, made = tmp_path / "attempt", tmp_path / "tmp", list[Path]()
    for each in (scratch, elsewhere):
        each.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(elsewhere))
    parameters = Packing(camp.values).parameters(camp.node("sum", add, 1, 2), {})

    def killed(self: performing._Performance) -> Answer:
        made.append(self._logs.parent)
        raise SystemExit

    monkeypatch.setattr(performing._Performance, "answer", killed)
    for told in (scratch, scratch / "gone"):
        monkeypatch.setenv("DASKFLOW_SCRATCH_DIR", str(told))
        with pytest.raises(SystemExit):
            perform(**parameters)
    assert [each.parent for each in made] == [scratch, elsewhere]


@pytest.mark.parametrize(
    "forge",
    [
        lambda data: data[:-1] + bytes([data[-1] ^ 1]),
        lambda data: data[:8] + pickle.dumps(os.getcwd),
        lambda data: b"",
        lambda data: data[8:],
    ],
)
def test_what_is_not_signed_is_not_performed(camp: Camp, forge: Callable[[bytes], bytes]) -> None:
    parameters = Packing(camp.values).parameters(camp.node("sum", add, 1, 2), {})
    forged = forge(base64.b64decode(parameters["parcel"]))
    with pytest.raises(SignatureWrong):
        perform(parcel=base64.b64encode(forged).decode() or "====")


def test_a_parcel_in_a_store_that_is_out_of_reach_says_so(camp: Camp, tmp_path: Path) -> None:
    parameters = Packing(camp.values).parameters(camp.node("text", len, "x" * ROOM), {})
    assert outcomes(open_answer(base64.b64decode(perform(**parameters)["answer"]), camp.values.signer))
    with pytest.raises(ArtifactMissing, match=r"too large for a work.*cannot be reached"):
        perform(stored=parameters["stored"], store=(tmp_path / "elsewhere").as_uri())


def test_what_a_job_takes_and_gives_goes_by_way_of_the_server(
    camp: Camp, at_server: Freight, inside: ObjectStore, tmp_path: Path
) -> None:
    parameters = Packing(camp.values, at_server).parameters(camp.node("twice", twice, "x" * ROOM), {})
    assert inside.exists(parameters["stored"])
    found = open_answer(base64.b64decode(perform(**parameters)["answer"]), camp.values.signer)
    (outcome,) = outcomes(found)
    assert (outcome.state, outcome.failure) == ("succeeded", None)
    assert outcome.value is not None
    assert (found.objects, found.served) == ({}, (outcome.value.digest,))
    assert not camp.store.exists(outcome.value.digest)
    accept(found, camp.values, tmp_path / "logs", "work-1", at_server)
    assert camp.values.load(outcome.value) == "x" * 2 * ROOM


def test_what_fits_does_not_trouble_the_server(camp: Camp, at_server: Freight, inside: ObjectStore) -> None:
    parameters = Packing(camp.values, at_server).parameters(camp.node("text", text_of, 100_000), {})
    found = open_answer(base64.b64decode(perform(**parameters)["answer"]), camp.values.signer)
    assert (len(found.objects), found.served) == (1, ())
    assert list(inside.objects()) == []


def test_a_driver_that_has_another_store_than_the_server_is_told_so(
    camp: Camp, at_server: Freight, tmp_path: Path
) -> None:
    """It keeps the works itself, and cannot know what the server has that its agents reach."""
    large = Packing(camp.values).parameters(camp.node("text", len, "x" * ROOM), {})
    with pytest.raises(ArtifactMissing, match=f"is not that of the server {at_server.url}"):
        perform(**large)
    found = answer(camp, camp.node("text", text_of, ROOM))
    assert len(found.served) == 1
    with pytest.raises(ArtifactMissing, match="Let `artifacts` name the same store here and where the server runs"):
        accept(found, camp.values, tmp_path / "logs", "work-1")
