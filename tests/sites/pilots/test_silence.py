from __future__ import annotations

from typing import Any

import pytest

from daskflow.errors import BatchMissing, BatchRefused, BatchSilent
from daskflow.sites.pilots.silence import Silence, unheard


def test_pauses_get_longer_and_it_is_told_once() -> None:
    told: list[tuple[str, dict[str, Any]]] = []
    silence, now, pauses = Silence(lambda *event: told.append(event)), 0.0, []
    for _ in range(6):
        assert silence.over(now)
        silence.began(BatchSilent("no answer"), now)
        pauses.append(next(wait for wait in range(1, 100) if silence.over(now + wait)))
        now += pauses[-1]
    assert pauses == [5, 10, 20, 40, 60, 60]
    assert told == [("site.silent", {"error": "no answer"})]
    silence.ended(now)
    assert silence.over(now)
    assert told[1:] == [("site.answers", {"after": now})]
    silence.began(BatchSilent("again"), now)
    assert not silence.over(now + 4)
    assert silence.over(now + 5)


def test_who_hears_of_it_from_others_waits_a_little_and_no_longer() -> None:
    silence = Silence(lambda *_: None)
    for now in range(4):
        silence.began(BatchSilent("no answer"), float(now), own=False)
    assert not silence.over(4.0)
    assert silence.over(5.0)


def test_who_answers_all_the_time_is_not_told_of() -> None:
    told: list[Any] = []
    silence = Silence(lambda *event: told.append(event))
    silence.ended(1.0)
    assert told == []


@pytest.mark.parametrize(
    ("error", "is_unheard"),
    [
        (BatchSilent("no answer"), True),
        (BlockingIOError(11, "Resource temporarily unavailable"), True),
        (BatchRefused("no such queue"), False),
        (BatchMissing("there is no sbatch"), False),
    ],
)
def test_who_said_no_has_heard_it(error: Exception, is_unheard: bool) -> None:
    assert unheard(error) is is_unheard
