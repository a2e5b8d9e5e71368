"""Records are frozen, refuse what they do not know, and survive JSON."""

import pytest
from pydantic import ValidationError

from daskflow.model.records import (
    AttemptRecord,
    ContextRecord,
    EventRecord,
    JobRecord,
    QuestionRecord,
    Record,
    ReportRecord,
    RunRecord,
)
from daskflow.model.states import JobState, RunState

RUN = RunRecord(id="20260314-101502-study-7f3a", flow="study", arguments={"n": 10}, created=1.5)
RECORDS: list[Record] = [
    RUN,
    JobRecord(run=RUN.id, number=1, key="k", task="fit", fingerprint="f", recipe="order=2", upstream=(0,)),
    AttemptRecord(run=RUN.id, number=1, attempt=1, state="succeeded", start=2.0, stop=3.0, place="12_0", cores=2),
    ReportRecord(key="k", ordinal=0, kind="metric", title="chisq", data={"value": 1.1}),
    EventRecord(run=RUN.id, kind="qa.import.low", time=2.5, data={"fraction": 0.1}),
    QuestionRecord(id="q", run=RUN.id, prompt="Go on?", form='{"type": "boolean"}', deadline=9.5),
    ContextRecord(run=RUN.id, name="image", stage="clean", version=2, format="npy", inline=b"\x93NUM"),
]


def name_of(record: Record) -> str:
    return type(record).__name__


@pytest.mark.parametrize("record", RECORDS, ids=name_of)
def test_a_record_survives_json(record: Record) -> None:
    assert type(record).model_validate_json(record.model_dump_json()) == record


@pytest.mark.parametrize("record", RECORDS, ids=name_of)
def test_a_record_refuses_unknown_fields(record: Record) -> None:
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        type(record).model_validate(record.model_dump() | {"colour": "red"})


@pytest.mark.parametrize("record", RECORDS, ids=name_of)
def test_a_record_is_frozen(record: Record) -> None:
    field = next(iter(type(record).model_fields))
    with pytest.raises(ValidationError, match="frozen"):
        setattr(record, field, "other")


def test_a_change_is_a_copy() -> None:
    running = RUN.model_copy(update={"state": RunState.running})
    assert (RUN.state, running.state) == (RunState.created, RunState.running)


def test_defaults_are_not_shared() -> None:
    one, two = (EventRecord(run=RUN.id, kind="a.b", time=0.0) for _ in range(2))
    one.data["seen"] = True
    assert two.data == {}


def test_states_are_checked() -> None:
    assert JobRecord.model_validate(RECORDS[1].model_dump() | {"state": "cached"}).state is JobState.cached
    with pytest.raises(ValidationError):
        RunRecord(id="a", flow="b", state="asleep")  # type: ignore[arg-type]


def test_bytes_that_are_no_text_survive_json() -> None:
    run = RUN.model_copy(update={"payload": b"\x80\x05\xff"})
    assert RunRecord.model_validate_json(run.model_dump_json()) == run


def test_how_well_an_attempt_used_its_cores() -> None:
    attempt = AttemptRecord(run="r", number=1, attempt=1, state="succeeded", start=2.0, stop=12.0, cpu=15.0, cores=2)
    assert attempt.seconds == 10.0
    assert attempt.efficiency == 0.75
    assert attempt.model_copy(update={"cores": 0}).efficiency is None
    assert attempt.model_copy(update={"stop": 2.0}).efficiency is None
