"""States of jobs that the next attempt goes on from."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from daskflow.artifacts.store import ObjectStore
from daskflow.artifacts.values import Values
from daskflow.errors import ArtifactError, NotSerialisable, UsageError
from daskflow.execution.worker import saving
from daskflow.execution.worker.saving import STATES, State, forget_old

KEY = bytes(range(32))
LARGE = np.arange(100_000.0)


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    return ObjectStore(tmp_path / "store")


def state_of(store: ObjectStore | None, key: str = "fit-1", signed: bytes = KEY) -> State:
    return State(Values(store, key=signed), key)


def objects(store: ObjectStore) -> list[str]:
    return [digest for digest, _, _ in store.objects()]


@pytest.mark.parametrize("state", [None, 7, {"step": 3, "chain": [1.5, 2.5]}, LARGE], ids=repr)
def test_a_state_comes_back(store: ObjectStore, state: Any) -> None:
    state_of(store).save(state)
    np.testing.assert_equal(state_of(store).restore("nothing"), state)


def test_where_there_is_none_the_default_is_given(store: ObjectStore) -> None:
    found = state_of(store)
    assert found.restore() is None
    assert found.restore({"step": 0}) == {"step": 0}
    assert not found.known


def test_states_belong_to_their_jobs(store: ObjectStore) -> None:
    state_of(store, "fit-1").save(1)
    state_of(store, "fit-2").save(2)
    assert [state_of(store, key).restore() for key in ("fit-1", "fit-2", "fit-3")] == [1, 2, None]


def test_a_later_state_takes_the_place_of_the_one_before(store: ObjectStore) -> None:
    own = state_of(store)
    for step in range(5):
        own.save(LARGE + step)
    np.testing.assert_array_equal(own.restore(), LARGE + 4)
    assert len(objects(store)) == 1, "the others are gone"


def test_when_it_is_forgotten_nothing_is_left(store: ObjectStore) -> None:
    own = state_of(store)
    own.save(LARGE)
    own.forget()
    assert (objects(store), list(store.notes())) == ([], [])
    assert own.restore() is None
    own.forget()


def test_a_result_that_equals_the_state_stays(store: ObjectStore) -> None:
    values = Values(store, key=KEY)
    own = state_of(store)
    own.save(LARGE)
    result = values.dump(LARGE)
    own.forget()
    np.testing.assert_array_equal(values.load(result), LARGE)


def test_what_others_signed_is_not_loaded(store: ObjectStore, capsys: pytest.CaptureFixture[str]) -> None:
    state_of(store, signed=bytes(32)).save({"step": 1})
    assert state_of(store).restore("anew") == "anew"
    assert "cannot be read, so that it begins anew" in capsys.readouterr().out


def test_a_state_of_another_job_is_none(store: ObjectStore, capsys: pytest.CaptureFixture[str]) -> None:
    state_of(store, "fit-1").save(1)
    [(note, _)] = store.notes(STATES)
    other = State(Values(store, key=KEY), "fit-2")
    store.write_note(other._note, store.read_note(note) or b"")
    assert other.restore("anew") == "anew"
    assert "It belongs to 'fit-1'" in capsys.readouterr().out


@pytest.mark.parametrize("note", [b"", b"{}", b"[1]", b'{"digest": 1, "size": 1, "format": 1, "inline": 5}'])
def test_a_note_without_sense_is_no_state(store: ObjectStore, note: bytes) -> None:
    own = state_of(store)
    store.write_note(own._note, note)
    assert own.restore("anew") == "anew"
    own.save(1)
    assert own.restore() == 1


def test_bytes_that_are_gone_are_told(store: ObjectStore, capsys: pytest.CaptureFixture[str]) -> None:
    own = state_of(store)
    own.save(LARGE)
    store.remove(objects(store)[0])
    assert own.restore("anew") == "anew"
    assert "begins anew" in capsys.readouterr().out


def test_who_reads_while_another_saves_gets_a_whole_state(store: ObjectStore) -> None:
    own, stop = state_of(store), threading.Event()
    own.save((0, LARGE))

    def write() -> None:
        for step in range(1, 30):
            own.save((step, LARGE + step))
        stop.set()

    thread = threading.Thread(target=write)
    thread.start()
    seen = 0
    while not stop.is_set():
        found = state_of(store).restore()
        if found is not None:  # it was replaced twice meanwhile
            step, array = found
            np.testing.assert_array_equal(array, LARGE + step)
            seen += 1
    thread.join(60)
    assert seen
    assert state_of(store).restore()[0] == 29


def test_what_cannot_be_stored_leaves_the_state_before(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    own = state_of(store)
    own.save({"step": 1})
    with pytest.raises(NotSerialisable):
        own.save(threading.Lock())
    monkeypatch.setattr(ObjectStore, "put", _full)
    with pytest.raises(ArtifactError, match="full"):
        own.save(LARGE)
    assert own.restore() == {"step": 1}


def _full(*_: object) -> str:
    raise ArtifactError("The store is full.")


def test_without_a_store_or_a_job_nothing_can_be_saved(store: ObjectStore) -> None:
    for own in (state_of(None), state_of(store, ""), State(None, "fit-1")):
        with pytest.raises(UsageError):
            own.save(1)
        with pytest.raises(UsageError):
            own.restore()
        own.forget()


def test_states_that_nobody_came_back_for_go(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    state_of(store, "old").save(LARGE)
    old = time.time() - 100
    for note in (Path(store.url.removeprefix("file://")) / "notes").rglob("*.json*"):
        os.utime(note, (old, old))
    state_of(store, "new").save(LARGE)
    assert forget_old(store, time.time() - 50) == 1
    assert state_of(store, "old").restore() is None
    np.testing.assert_array_equal(state_of(store, "new").restore(), LARGE)
    assert len(objects(store)) == 1
    assert saving.KEPT > 0
