from __future__ import annotations

import datetime
import enum
import json
import math
import pickle
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from daskflow.errors import UsageError
from daskflow.execution.worker import live as module
from daskflow.execution.worker.live import Teller, checked_kind, plain
from daskflow.model.outcome import Live
from tests.execution.patience import until


class Ear:
    def __init__(self) -> None:
        self.heard: list[Live] = []

    def __call__(self, record: bytes) -> None:
        self.heard.extend(pickle.loads(record))


@pytest.fixture
def ear() -> Ear:
    return Ear()


@pytest.fixture
def teller(ear: Ear) -> Iterator[Teller]:
    made = Teller("fit-1", ear)
    yield made
    made.close()


def test_events_are_told_at_once(teller: Teller, ear: Ear) -> None:
    teller.event("qa.import.low", {"score": np.float64(0.4), "spw": [np.int32(3)]})
    teller.event("done", {})
    assert [(item.key, item.kind, item.name) for item in ear.heard] == [
        ("fit-1", "event", "qa.import.low"),
        ("fit-1", "event", "done"),
    ]
    assert json.loads(ear.heard[0].data) == {"score": 0.4, "spw": [3]}
    assert ear.heard[0].time <= ear.heard[1].time


def test_where_nobody_listens_nothing_happens() -> None:
    teller = Teller("fit-1", None)
    teller.event("qa.low", {})
    for value in ("1", "2"):
        teller.metric("chisq", value)
    assert teller._timer is None


def test_metrics_are_told_at_once_but_not_too_often_and_the_latest_in_the_end(
    teller: Teller, ear: Ear, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PAUSE", 0.5)
    for value in range(1000):
        teller.metric("chisq", str(value))
    teller.metric("rms", "7")
    assert (ear.heard[0].name, ear.heard[0].data) == ("chisq", "0")
    until(lambda: ear.heard[-1].data == "999")
    assert len(ear.heard) < 50
    assert [item.data for item in ear.heard if item.name == "rms"] == ["7"]


def test_after_the_end_nothing_is_told(teller: Teller, ear: Ear, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PAUSE", 1000.0)
    teller.metric("chisq", "1")
    teller.metric("chisq", "2")
    timer = teller._timer
    assert timer is not None
    teller.close()
    timer.join(30)
    assert not timer.is_alive()
    teller._flush()
    assert [item.data for item in ear.heard] == ["1"]


def test_many_threads_may_tell(teller: Teller, ear: Ear) -> None:
    def work(name: str) -> None:
        for value in range(100):
            teller.event(name, {"value": value})

    threads = [threading.Thread(target=work, args=(name,)) for name in ("one", "two", "three")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(ear.heard) == 300


@pytest.mark.parametrize("kind", ["", "QA.low", "qa..low", ".qa", "qa.", "qa low", "qa-low", "ä", 7, "qa.low\n"])
def test_what_is_no_kind(kind: Any) -> None:
    with pytest.raises(UsageError, match="no kind of event"):
        checked_kind(kind)


@pytest.mark.parametrize("kind", ["job", "job.failed", "run.paused", "attempt.killed"])
def test_kinds_of_daskflows_own(kind: str) -> None:
    with pytest.raises(UsageError, match=r"are daskflow's own.*'qa\." + kind):
        checked_kind(kind)


def test_words_that_only_begin_alike_are_free() -> None:
    assert checked_kind("jobs.done_2.x") == "jobs.done_2.x"


class Colour(enum.StrEnum):
    red = "red"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (np.True_, "true"),
        (np.int64(3), "3"),
        (np.float32(0.5), "0.5"),
        (np.array(2.5), "2.5"),
        (math.nan, '"nan"'),
        (np.float64(-math.inf), '"-inf"'),
        ((1, "a"), '[1, "a"]'),
        ({"a": {"b": [np.uint8(1)]}}, '{"a": {"b": [1]}}'),
        (Colour.red, '"red"'),
        (np.str_("text"), '"text"'),
    ],
)
def test_values_as_json_has_them(value: Any, text: str) -> None:
    assert json.dumps(plain(value, "x")) == text


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (object(), "x of an event has the type object"),
        (np.zeros(2), "x of an event has the type ndarray"),
        ({"a": [1, {1, 2}]}, r"x\['a'\]\[1\] of an event has the type set"),
        ({"a": {3: 4}}, r"x\['a'\] of an event has the key 3"),
        (datetime.datetime.now(), "has the type datetime"),
        (b"bytes", "has the type bytes"),
        (1j, "has the type complex"),
    ],
)
def test_what_has_no_json_is_named(value: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        plain(value, "x")
