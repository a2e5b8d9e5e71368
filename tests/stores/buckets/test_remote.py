"""Works on a server: no answer that is lost leaves a work behind. What shelves do is in the contract of shelves."""

from __future__ import annotations

import pickle
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from daskflow.errors import ServerSilent, WorkLost
from daskflow.execution.gateway import bell as bells
from daskflow.model.work import Work
from daskflow.stores.buckets import Buckets, remote
from daskflow.stores.buckets.line import Line, Reply
from daskflow.stores.buckets.remote import RemoteShelf, remote_shelf
from daskflow.stores.buckets.shelf import Wanted
from daskflow.views.server.service import Service
from tests.services.servers import serving

WANTED = Wanted(("sample",))


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with serving(tmp_path_factory.mktemp("server")) as made:
        yield made


@pytest.fixture
def shelf(service: Service) -> Iterator[RemoteShelf]:
    made = RemoteShelf(Line(service.url, None))
    Buckets(made).delete([work.id for work in Buckets(made).view(limit=-1)])
    yield made
    made.close()


class Deaf(Line):
    """Sends requests, and does not hear the first answers."""

    def __init__(self, url: str, lost: int, patience: float = 30.0) -> None:
        super().__init__(url, None, patience=patience)
        self.lost = lost

    def _once(self, *request: Any) -> Reply:
        reply = super()._once(*request)
        if self.lost:
            self.lost -= 1
            raise self._silence(TimeoutError("nothing was heard"))
        return reply


def work(**fields: Any) -> Work:
    usual = {"pipeline": "sample", "site": "local", "user": "ada", "function": "math.sqrt"}
    return Work(**usual | fields)


def test_a_deposit_whose_answer_is_lost_is_made_once(service: Service, shelf: RemoteShelf) -> None:
    ids = Buckets(RemoteShelf(Deaf(service.url, 2))).deposit([work(), work()])
    assert sorted(found.id for found in Buckets(shelf).view()) == sorted(ids)


def test_a_withdrawal_whose_answer_is_lost_holds_one_work(service: Service, shelf: RemoteShelf) -> None:
    Buckets(shelf).deposit([work(), work(), work()])
    found = Buckets(RemoteShelf(Deaf(service.url, 2))).withdraw("sample")
    assert found is not None
    assert Buckets(shelf).status()["running"] == 1
    Buckets(shelf).heartbeat(found, 60)


def test_what_was_given_unheard_is_taken_by_the_next_withdrawal(service: Service, shelf: RemoteShelf) -> None:
    Buckets(shelf).deposit([work(), work()])
    agent = Buckets(RemoteShelf(Deaf(service.url, 1, patience=0.0)))
    with pytest.raises(ServerSilent):
        agent.withdraw("sample")
    assert Buckets(shelf).status()["running"] == 1
    found = agent.withdraw("sample")
    assert found is not None
    assert (found.attempt, Buckets(shelf).status()["running"]) == (1, 1)
    another = agent.withdraw("sample")
    assert another is not None
    assert another.id != found.id


class Interrupted(Deaf):
    """Is interrupted before the answer comes."""

    def _silence(self, error: Exception) -> Exception:
        raise KeyboardInterrupt


def test_what_was_given_while_somebody_interrupted_is_taken_too(service: Service, shelf: RemoteShelf) -> None:
    Buckets(shelf).deposit([work(), work()])
    agent = Buckets(RemoteShelf(Interrupted(service.url, 1)))
    with pytest.raises(KeyboardInterrupt):
        agent.withdraw("sample")
    assert agent.withdraw("sample") is not None
    assert Buckets(shelf).status()["running"] == 1


def test_all_works_come_in_parts(service: Service, shelf: RemoteShelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "_PAGE", 3)
    ids = Buckets(shelf).deposit([work(priority=1 + number % 5) for number in range(8)])
    asked: list[Any] = []
    once = shelf.line._once

    def counted(*given: Any) -> Reply:
        asked.append(given)
        return once(*given)

    monkeypatch.setattr(shelf.line, "_once", counted)
    assert [each.id for each in Buckets(shelf).view(limit=-1)] == ids[::-1]
    assert len(asked) == 4
    by = Buckets(shelf).view({"priority": {"$gt": 1}}, sort={"priority": 1}, skip=1, limit=-1)
    assert [each.priority for each in by] == [2, 3, 3, 4, 5]


def test_another_filter_does_not_take_it(service: Service, shelf: RemoteShelf) -> None:
    Buckets(shelf).deposit([work(), work(user="bob")])
    agent = Buckets(RemoteShelf(Deaf(service.url, 1, patience=0.0)))
    with pytest.raises(ServerSilent):
        agent.withdraw("sample", user="ada")
    found = agent.withdraw("sample", user="bob")
    assert found is not None
    assert found.user == "bob"


def test_an_update_whose_answer_is_lost_is_written_once(service: Service, shelf: RemoteShelf) -> None:
    Buckets(shelf).deposit(work())
    agent = Buckets(RemoteShelf(Deaf(service.url, 0)))
    found = agent.withdraw("sample")
    assert found is not None
    found.status, found.results = "success", {"y": 2}  # type: ignore[assignment]
    agent.shelf.line.lost = 2  # type: ignore[attr-defined]
    agent.update(found)
    assert [each.results for each in Buckets(shelf).view()] == [{"y": 2}]


def test_a_giving_back_whose_answer_is_lost_takes_nothing_from_others(service: Service, shelf: RemoteShelf) -> None:
    Buckets(shelf).deposit(work())
    agent = Buckets(RemoteShelf(Deaf(service.url, 0)))
    found = agent.withdraw("sample")
    assert found is not None
    agent.shelf.line.lost = 1  # type: ignore[attr-defined]
    agent.give_back(found)
    other = Buckets(shelf).withdraw("sample")
    assert other is not None
    with pytest.raises(WorkLost):
        agent.heartbeat(found, 60)
    Buckets(shelf).heartbeat(other, 60)


def test_what_is_deposited_between_looking_and_waiting_is_not_missed(shelf: RemoteShelf) -> None:
    assert shelf.withdraw(WANTED, lease=None, holder="me") is None
    Buckets(shelf).deposit(work())
    assert shelf.await_deposit(["sample"], 3600)
    assert shelf.withdraw(WANTED, lease=None, holder="me") is not None


def test_a_deposit_wakes_who_waits(shelf: RemoteShelf, service: Service) -> None:
    def bring() -> None:
        while not service._gateway.bell.waiting:
            time.sleep(0.001)
        Buckets(shelf).deposit(work())

    thread = threading.Thread(target=bring)
    thread.start()
    # Now and then everybody is woken, whatever came.
    while shelf.withdraw(WANTED, lease=None, holder="me") is None:
        shelf.await_deposit(["sample"], 3600)
    thread.join()


def test_waiting_ends_in_time(shelf: RemoteShelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bells, "_ANYWAY", 3600.0)
    assert not shelf.await_deposit(["sample"], 0.0)

    def is_quiet() -> bool:
        assert shelf.withdraw(WANTED, lease=None, holder="me") is None
        return not shelf.await_deposit(["sample"], 1.0)

    # What was brought before this test may be told late. Then it is known that nothing came, until something does.
    assert any(is_quiet() for _ in range(100))
    Buckets(shelf).deposit(work())
    assert shelf.await_deposit(["sample"], 3600)


def test_of_a_silent_server_nothing_is_known() -> None:
    assert remote_shelf("http://127.0.0.1:9", None).await_deposit(["sample"], 0.05)


def test_it_pickles(shelf: RemoteShelf) -> None:
    Buckets(shelf).deposit(work())
    other = pickle.loads(pickle.dumps(shelf))
    assert other.count({}) == 1
    other.close()


def test_many_threads_use_one(shelf: RemoteShelf) -> None:
    buckets = Buckets(shelf)
    buckets.deposit([work() for _ in range(24)])
    found: list[str | None] = []

    def agent() -> None:
        while (taken := buckets.withdraw("sample")) is not None:
            found.append(taken.id)

    threads = [threading.Thread(target=agent) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == len(set(found)) == 24
