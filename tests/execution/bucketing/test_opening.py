from __future__ import annotations

import base64
import pickle
from pathlib import Path
from typing import Any

import pytest

from daskflow.artifacts.values import Values
from daskflow.errors import SignatureWrong, WorkInvalid
from daskflow.execution.bucketing.opening import accept, answer_of, succeeded
from daskflow.execution.bucketing.parcel import Answer, seal
from daskflow.model.outcome import LogSlice, Outcome, Stored
from tests.execution.bucketing.camp import KEY, Camp

OUTCOME = Outcome("fit", "succeeded", 1, 0.0, 1.0, value=Stored("0" * 32, 1, "npy", b"x"))


def answer(*outcomes: Outcome, **fields: Any) -> Answer:
    made = Answer("a-run", "fit", (), pickle.dumps(list(outcomes)), {}, {}, {})
    return made._replace(**fields)


def results(camp: Camp, found: Answer) -> dict[str, str]:
    return {"answer": base64.b64encode(seal(found, camp.values.signer)).decode()}


def test_an_answer_is_read_if_it_is_that_of_the_job(camp: Camp) -> None:
    given = results(camp, answer(OUTCOME))
    found = answer_of(given, camp.values, "a-run", "fit")
    assert found == answer(OUTCOME)
    assert succeeded(found)
    for run, job in (("other-run", "fit"), ("a-run", "other")):
        with pytest.raises(SignatureWrong, match="of the job fit of the run a-run"):
            answer_of(given, camp.values, run, job)


@pytest.mark.parametrize("given", [None, [], {}, {"answer": None}, {"answer": ""}, {"answer": "?"}, {"answer": 3}])
def test_what_another_function_gave_is_no_answer(camp: Camp, given: Any) -> None:
    with pytest.raises(WorkInvalid, match="no answer of an agent"):
        answer_of(given, camp.values, "a-run", "fit")


def test_an_answer_needs_the_key(camp: Camp) -> None:
    other = results(camp, answer(OUTCOME))
    with pytest.raises(SignatureWrong):
        answer_of(other, Values(None, key=b"z" * 32), "a-run", "fit")


def test_whether_it_succeeded_is_what_the_last_attempt_says() -> None:
    failed = OUTCOME._replace(state="failed", value=None)
    assert succeeded(answer(failed, OUTCOME))
    assert not succeeded(answer(failed))
    assert not succeeded(answer())


def test_objects_and_logs_are_kept_and_found(camp: Camp, tmp_path: Path) -> None:
    data = b"d" * 100
    outcomes = [
        OUTCOME._replace(log=LogSlice("host-1-2.log", 4, 9)),
        OUTCOME._replace(log=LogSlice("host-1-2.log", 9, 14)),
        OUTCOME,
        OUTCOME._replace(log=LogSlice("unknown.log", 0, 3)),
    ]
    found = answer(
        *outcomes,
        told=(b"live",),
        logs={"host-1-2.log": b"3456789abcde"},
        cuts={"host-1-2.log": 3},
        objects={"whatever": data},
    )
    told, records = accept(found, camp.values, tmp_path / "a-run", "work-1")
    assert told == b"live"
    assert (tmp_path / "a-run" / "work-1-0.log").read_bytes() == b"3456789abcde"
    logs = [outcome.log for outcome in pickle.loads(records)]
    assert logs == [LogSlice("work-1-0.log", 1, 6), LogSlice("work-1-0.log", 6, 11), None, None]
    assert bytes(camp.store.get(camp.store.put(data))) == data
    assert [bytes(camp.store.get(digest)) for digest, _, _ in camp.store.objects()] == [data], "by its own digest"


def test_objects_need_a_store(tmp_path: Path) -> None:
    with pytest.raises(WorkInvalid, match="there is no artifact store here"):
        accept(answer(OUTCOME, objects={"d": b"x"}), Values(None, key=KEY), tmp_path, "work-1")
