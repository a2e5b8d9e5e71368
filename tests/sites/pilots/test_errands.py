from __future__ import annotations

import threading
from typing import Any

from daskflow.sites.pilots.errands import Errands


def test_what_was_done_is_news() -> None:
    errands = Errands("test")
    found: list[Any] = []
    errands.do(lambda: 1 + 1, found.append)
    assert errands.nudged.wait(60)
    assert found == []
    errands.listen()
    assert found == [2]
    errands.close(60)


def test_an_error_is_news_too() -> None:
    errands = Errands("test")
    found: list[Any] = []

    def fail() -> None:
        raise OSError("no")

    errands.do(fail, found.append)
    assert errands.nudged.wait(60)
    errands.listen()
    assert isinstance(found[0], OSError)
    errands.close(60)


def test_who_closes_waits_for_what_has_begun_and_begins_nothing_more() -> None:
    errands = Errands("test")
    began, go = threading.Event(), threading.Event()
    found: list[Any] = []

    def slow() -> str:
        began.set()
        assert go.wait(60)
        return "slow"

    errands.do(slow, found.append)
    errands.do(lambda: "never", found.append)
    assert began.wait(60)
    closing = threading.Thread(target=errands.close, args=(60,))
    closing.start()
    go.set()
    closing.join(60)
    errands.do(lambda: "late", found.append)
    errands.listen()
    assert found in (["slow"], ["slow", "never"])
    assert "late" not in found


def test_one_that_was_never_used_is_closed_at_once() -> None:
    Errands("test").close(0)
