from __future__ import annotations

import pytest

from daskflow.errors import StoreUnavailable
from daskflow.execution.bucketing import silence
from daskflow.execution.bucketing.silence import FIRST_PAUSE, LONGEST_PAUSE, Silence
from tests.execution.bucketing.clock import Clock

AWAY = StoreUnavailable("It is away.")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(silence, "time", made)
    return made


def test_what_lasts_is_told_once_and_so_is_its_end(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    kept, told = Silence("cedar"), []
    for _ in range(6):
        began = clock.now
        kept.note(AWAY, began)
        told.append(len(caplog.messages))
        clock.now += kept.pause
    assert told == [0, 0, 1, 1, 1, 1], "at once, 1 s and 3 s after it began, and later"
    assert "The buckets of the site 'cedar' have not answered for 3 s" in caplog.messages[0]
    assert "It is away." in caplog.messages[0]
    assert kept.end() == 61.0
    assert caplog.messages[1:] == ["The buckets of the site 'cedar' answer again, after 61 s."]
    assert kept.end() is None
    kept.note(AWAY, clock.now - 30.0)
    assert len(caplog.messages) == 3, "one question that was repeated for long is enough"


def test_what_is_over_soon_is_not_told(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    kept = Silence("cedar")
    assert kept.note(AWAY, clock.now)
    clock.now += kept.pause
    assert not kept.note(AWAY, clock.now)
    assert kept.end() == 1.0
    assert kept.note(AWAY, clock.now)
    assert caplog.messages == []


def test_pauses_become_longer_up_to_a_point(clock: Clock) -> None:
    kept = Silence("cedar")
    assert kept.pause == 0.0
    pauses = []
    for _ in range(8):
        kept.note(AWAY, clock.now)
        pauses.append(kept.pause)
    assert pauses == [FIRST_PAUSE, 2.0, 4.0, 8.0, 16.0, LONGEST_PAUSE, LONGEST_PAUSE, LONGEST_PAUSE]
    kept.end()
    assert kept.pause == 0.0
