import threading
from collections.abc import Callable
from typing import Any

import pytest

from daskflow.errors import StoreError, StoreUnavailable, TokenRefused
from daskflow.execution.agents import settling
from daskflow.execution.agents.holding import Held, now
from daskflow.execution.agents.outage import Outage
from daskflow.execution.agents.settling import Settler, Told
from daskflow.model.work import Work, WorkStatus
from daskflow.stores.buckets import Buckets
from tests.execution.agents.conftest import make
from tests.execution.patience import until

AWAY = StoreUnavailable("The store is away.")


class Case:
    """A work that has succeeded, and who is to write that."""

    def __init__(self, buckets: Buckets, **fields: Any) -> None:
        self.buckets = buckets
        self.told: list[Told] = []
        (self.id,) = buckets.deposit(make("add", **fields))
        work = buckets.withdraw("sample", lease=60.0)
        assert work is not None
        self.held = Held(work, now())
        work.status, work.results = WorkStatus.success, {"dm": 3}
        self.settler = Settler(buckets, Outage(lambda text: self.told.append(Told("outage", text))), self.told.append)

    @property
    def stored(self) -> Work:
        found = self.buckets.get(self.id)
        assert found is not None
        return found

    @property
    def said(self) -> list[tuple[str, str]]:
        return [(each.kind, each.text) for each in self.told]


def failing(method: Callable[..., Any], *errors: Exception) -> Callable[..., Any]:
    """A method that raises these, one after the other, and then works."""
    left = list(errors)

    def called(*arguments: Any) -> Any:
        if left:
            raise left.pop(0)
        return method(*arguments)

    return called


def test_what_cannot_be_written_is_written_when_the_store_is_back(
    buckets: Buckets, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = Case(buckets)
    monkeypatch.setattr(buckets, "update", failing(buckets.update, AWAY, AWAY))
    assert case.settler.write(case.held)
    assert (case.stored.results, case.held.done, case.settler.tally) == ({"dm": 3}, True, {})
    away, back = case.said
    assert away == ("outage", "The store is away. It is tried again.")
    assert back[1].startswith("The store answers again, after ")


@pytest.mark.parametrize(
    ("retries", "fate"),
    [
        (2, "The work is performed again when its lease is over."),
        (1, "That was its last attempt: the work fails when its lease is over."),
    ],
)
def test_what_is_given_up_is_named_and_counted(
    buckets: Buckets, monkeypatch: pytest.MonkeyPatch, retries: int, fate: str
) -> None:
    case = Case(buckets, retries=retries)
    case.held.work.products, case.held.work.plots = ["/archive/fit.h5"], ["/archive/a.png", "/archive/b.png"]
    asked = threading.Event()

    def away(_: Any) -> None:
        asked.set()
        raise AWAY

    monkeypatch.setattr(buckets, "update", away)
    thread = threading.Thread(target=case.settler.write, args=[case.held])
    thread.start()
    assert asked.wait(60)
    case.settler.given_up.set()
    thread.join(60)
    assert not thread.is_alive()
    assert case.settler.tally == {"not written": 1}
    (text,) = [text for kind, text in case.said if kind == "not written"]
    assert text.startswith(f"sample {case.id} attempt 1: success after ")
    assert text.endswith(
        f"could not be written and is lost: The store is away. Its files stay: /archive/fit.h5 and 2 more. {fate}"
    )
    assert case.stored.status is WorkStatus.running


@pytest.mark.parametrize("before", [True, False], ids=["it was tried before", "it is tried from then on"])
def test_who_is_to_stop_tells_once_what_waits_to_be_written(
    buckets: Buckets, monkeypatch: pytest.MonkeyPatch, before: bool
) -> None:
    monkeypatch.setattr(settling, "_SOON", 0.05)
    case = Case(buckets)
    asked, back = threading.Event(), threading.Event()
    update = buckets.update

    def slow(work: Work) -> None:
        asked.set()
        assert back.wait(60)
        update(work)

    monkeypatch.setattr(buckets, "update", slow)
    thread = threading.Thread(target=case.settler.write, args=[case.held])
    if before:
        thread.start()
        assert asked.wait(60)
        assert case.said == []
    case.settler.hasten("for 7 s.")
    if not before:
        thread.start()
    until(lambda: case.said)
    case.settler.hasten("for 7 s.")
    ((kind, text),) = case.said
    assert (kind, text.startswith(f"sample {case.id} attempt 1: success")) == ("trouble", True)
    assert text.endswith("which could not be written yet. That is tried for 7 s.")
    back.set()
    thread.join(60)
    assert case.stored.results == {"dm": 3}
    assert len(case.told) == 1


def test_what_is_written_at_once_is_not_told(buckets: Buckets, monkeypatch: pytest.MonkeyPatch) -> None:
    timers: list[Callable[[], object]] = []

    class Timer(threading.Thread):
        def __init__(self, after: float, act: Callable[[], object]) -> None:
            super().__init__()
            timers.append(act)

    monkeypatch.setattr(threading, "Timer", Timer)
    case = Case(buckets)
    case.settler.hasten("for 7 s.")
    assert case.settler.write(case.held)
    assert len(timers) == 2
    for act in timers:
        act()
    assert case.told == []


def test_what_another_agent_has_is_not_kept(buckets: Buckets) -> None:
    case = Case(buckets)
    buckets.delete(case.id)
    assert not case.settler.write(case.held)
    assert not case.settler.give_back(case.held)
    assert case.settler.tally == {"lost": 2}
    assert "success after " in case.said[0][1]
    assert "which is not kept: The work " in case.said[0][1]
    assert case.said[1][1].startswith(f"sample {case.id} was killed: The work ")


def test_what_cannot_be_given_back_is_named_too(buckets: Buckets, monkeypatch: pytest.MonkeyPatch) -> None:
    case = Case(buckets)
    case.settler.given_up.set()
    monkeypatch.setattr(buckets, "give_back", failing(buckets.give_back, AWAY))
    assert not case.settler.give_back(case.held)
    assert case.settler.tally == {"not given back": 1}
    assert case.said == [
        (
            "not given back",
            f"sample {case.id} attempt 1 was killed, and could not be given back: The store is away. "
            "The work is performed again when its lease is over.",
        )
    ]


def test_who_is_not_let_in_any_more_tells_what_is_lost(buckets: Buckets, monkeypatch: pytest.MonkeyPatch) -> None:
    case = Case(buckets)
    monkeypatch.setattr(buckets, "update", failing(buckets.update, TokenRefused("The token is gone.")))
    with pytest.raises(TokenRefused):
        case.settler.write(case.held)
    assert "could not be written and is lost: The token is gone." in case.said[0][1]
    assert case.settler.tally == {"not written": 1}


def test_a_written_work_that_cannot_be_deleted_counts_once(buckets: Buckets, monkeypatch: pytest.MonkeyPatch) -> None:
    case = Case(buckets)
    assert case.settler.write(case.held)
    case.settler.given_up.set()
    monkeypatch.setattr(buckets, "delete", failing(buckets.delete, AWAY))
    case.settler.delete(case.held)
    assert case.settler.tally == {}
    assert case.said[0][1].endswith("is written, but could not be deleted: The store is away.")


def test_what_the_store_never_takes_is_tried_once_as_a_failure(
    buckets: Buckets, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = Case(buckets)
    monkeypatch.setattr(buckets, "update", failing(buckets.update, StoreError("It is too long.")))
    assert case.settler.write(case.held)
    assert (case.stored.status, case.stored.results) == (WorkStatus.failure, None)
    assert case.stored.error == "What came out of the work cannot be written: It is too long."
