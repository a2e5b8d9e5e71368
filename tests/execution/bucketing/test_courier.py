from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import pytest

from daskflow.errors import DaskflowError, ServerSilent, StoreUnavailable, TokenRefused
from daskflow.execution.bucketing import courier, means, opening, silence, unserved
from daskflow.execution.bucketing.packing import Packing
from daskflow.execution.bucketing.parcel import ROOM
from daskflow.execution.bucketing.performing import perform
from daskflow.model.work import Work, WorkStatus
from daskflow.sites.site import Node
from daskflow.stores.buckets.buckets import Buckets
from daskflow.stores.buckets.freight import Freight
from daskflow.stores.buckets.line import Line
from daskflow.stores.buckets.remote import RemoteShelf
from tests.execution.bucketing.camp import Camp, add
from tests.execution.patience import until


class Moody(Buckets):
    """Buckets that fail as long as they have a reason to, and count what they are asked."""

    def __init__(self, own: Buckets, error: DaskflowError | None = None) -> None:
        super().__init__(own.shelf)
        self.error = error
        self.deposits: list[int] = []
        self.views: list[Any] = []

    def deposit(self, works: Work | Iterable[Work]) -> list[str]:
        if self.error is not None:
            raise self.error
        given = [works] if isinstance(works, Work) else list(works)
        self.deposits.append(len(given))
        return super().deposit(given)

    def view(self, query: Any = None, **how: Any) -> list[Any]:
        self.views.append(query)
        return super().view(query, **how)


def test_buckets_that_do_not_answer_are_asked_again(camp: Camp) -> None:
    moody = Moody(camp.open(), StoreUnavailable("It is away."))
    site = camp.another(buckets=lambda: moody)
    site.submit([camp.node("one", add, 1, 2)], [], camp.ear, {})
    until(lambda: camp.ear.of("site.silent"))
    moody.error = None
    camp.serve()
    until(lambda: camp.ear.states == {"one": "succeeded"})
    (told,) = camp.ear.of("site.silent")
    assert told["reason"] == "StoreUnavailable: It is away."


def test_buckets_that_refuse_lose_their_nodes(camp: Camp) -> None:
    moody = Moody(camp.open(), TokenRefused("Ask for another one."))
    site = camp.another(buckets=lambda: moody)
    site.submit([camp.node("one", add, 1, 2)], [], camp.ear, {})
    until(lambda: camp.ear.losses)
    assert camp.ear.losses == {"one-1": ("TokenRefused: Ask for another one.", "one")}


def test_many_are_deposited_together_and_asked_for_together(camp: Camp, monkeypatch: pytest.MonkeyPatch) -> None:
    moody = Moody(camp.open())
    site = camp.another(buckets=lambda: moody)
    monkeypatch.setattr(courier, "_AT_ONCE", 30)
    site.submit([camp.node(f"job-{number}", add, number, 1) for number in range(40)], [], camp.ear, {})
    until(lambda: sum(moody.deposits) == 40)
    assert moody.deposits == [30, 10]
    camp.serve(40)
    until(lambda: len(camp.ear.states) == 40)
    by_run = [query for query in moody.views if "config.parent" in query]
    assert len(by_run) < 40, "one question for all works of a run"


def test_large_works_are_deposited_in_portions(camp: Camp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(courier, "_PORTION", 10_000)
    moody = Moody(camp.open())
    site = camp.another(buckets=lambda: moody)
    sizes = (100, 6_000, 20_000, 100, 100)
    site.submit([camp.node(f"job-{place}", len, "x" * size) for place, size in enumerate(sizes)], [], camp.ear, {})
    until(lambda: sum(moody.deposits) == len(sizes))
    assert moody.deposits[0] < len(sizes)
    assert 1 in moody.deposits


def test_works_that_are_ready_do_not_wait_for_others(camp: Camp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(courier, "_PATIENCE", -1.0)
    moody = Moody(camp.open())
    site = camp.another(buckets=lambda: moody)
    site.submit([camp.node(f"job-{number}", add, number, 1) for number in range(3)], [], camp.ear, {})
    until(lambda: sum(moody.deposits) == 3)
    assert moody.deposits == [1, 1, 1]


def test_a_job_that_cannot_be_packed_is_lost_alone(camp: Camp) -> None:
    bad = camp.node("bad", add, 1, 2)._replace(package=b"no pickle")
    camp.site.submit([bad, camp.node("good", add, 1, 2)], [], camp.ear, {})
    camp.serve()
    until(lambda: camp.ear.states == {"good": "succeeded"})
    reason, culprit = camp.ear.losses["bad-1"]
    assert (reason.partition(":")[0], culprit) == ("UnpicklingError", "bad")


def test_an_artifact_store_that_is_away_is_waited_for(camp: Camp, monkeypatch: pytest.MonkeyPatch) -> None:
    made, parameters = list[str](), Packing.parameters

    def away(self: Packing, node: Node, foreign: Any) -> dict[str, str]:
        made.append(node.name)
        if len(made) < 3:
            raise ServerSilent("It is away.")
        return parameters(self, node, foreign)

    monkeypatch.setattr(Packing, "parameters", away)
    camp.site.submit([camp.node("one", add, 1, 2)], [], camp.ear, {})
    camp.serve()
    until(lambda: camp.ear.states == {"one": "succeeded"})
    assert made == ["one", "one", "one"]
    assert [told["reason"] for told in camp.ear.of("site.silent")] == ["ServerSilent: It is away."]


def test_large_works_come_and_go_by_way_of_a_server(camp: Camp, at_server: Freight) -> None:
    remote = [Buckets(RemoteShelf(Line(at_server.url, None, patience=5.0))) for _ in range(2)]
    site = camp.another(buckets=lambda: remote[0])
    camp.buckets.close()
    camp.buckets = remote[1]
    site.submit([camp.node("text", str.upper, "x" * ROOM)], [], camp.ear, {})
    camp.serve()
    until(lambda: camp.ear.states == {"text": "succeeded"})
    (outcome,) = camp.ear.outcomes
    assert outcome.value is not None
    assert camp.values.load(outcome.value) == "X" * ROOM
    site.close()


def fail_work(camp: Camp, error: str | None, *, final: bool) -> Work:
    work = camp.next()
    work.status, work.error, work.final, work.host = WorkStatus.failure, error, final, "a-host"
    camp.buckets.update(work)
    return work


def test_a_work_that_fails_for_good_loses_its_node(camp: Camp) -> None:
    camp.site.submit([camp.node("one", add, 1, 2)], [], camp.ear, {})
    work = fail_work(camp, "SignatureWrong: not yours", final=True)
    until(lambda: camp.ear.losses)
    reason = f"WorkFailed: the work {work.id} failed in attempt 1, on a-host: SignatureWrong: not yours"
    assert camp.ear.losses == {"one-1": (reason, "one")}


def test_a_work_whose_process_died_is_lost_as_with_a_worker(camp: Camp) -> None:
    camp.site.submit([camp.node("one", add, 1, 2)], [], camp.ear, {})
    work = fail_work(camp, "WorkerLost: The attempt ended without a result: signal SIGKILL", final=True)
    until(lambda: camp.ear.losses)
    text = f"the work {work.id} failed in attempt 1, on a-host: {work.error}"
    assert camp.ear.losses == {"one-1": (f"WorkerLost: {text}", "one")}


def test_a_work_that_is_refused_waits_on_and_is_told_of(
    camp: Camp, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(unserved, "PATIENCE", 0.5)
    monkeypatch.setattr(courier, "_ORDER", 0.0)
    camp.site.submit([camp.node("one", add, 1, 2)], [], camp.ear, {})
    attempts = 0
    while not camp.ear.of("bucket.unserved"):
        work = camp.next()
        attempts += 1
        work.status, work.error, work.given_back = WorkStatus.failure, "another key", work.given_back + 1
        camp.buckets.update(work)
    assert attempts > means._TIMES
    assert camp.ear.losses == {}
    assert len(camp.ear.of("work.taken")) < attempts
    assert "1 job of a flow waits" in caplog.text or "1 job waits of a flow" in caplog.text
    camp.serve()
    until(lambda: camp.ear.states == {"one": "succeeded"})


def test_buckets_that_are_silent_are_told_to_people(
    camp: Camp, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(silence, "_SOON", 0.05)
    moody = Moody(camp.open(), StoreUnavailable("It is away."))
    site = camp.another(buckets=lambda: moody)
    site.submit([camp.node("one", add, 1, 2)], [], camp.ear, {})
    until(lambda: "The buckets of the site 'camp' have not answered" in caplog.text)
    moody.error = None
    until(lambda: camp.ear.of("site.answers"))
    assert "answer again" in caplog.text
    assert (len(camp.ear.of("site.silent")), caplog.text.count("have not answered")) == (1, 1)


def test_a_work_whose_agents_died_is_tried_again_and_then_lost(camp: Camp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(courier, "_ORDER", 0.0)
    camp.site.submit([camp.node("one", add, 1, 2)], [], camp.ear, {})
    for attempt in range(1, means._TIMES + 1):
        # Whoever put it in order: it is queued again.
        work = camp.next()
        assert work.attempt == attempt
        camp.buckets.heartbeat(work, 0.001)
    until(lambda: camp.ear.losses)
    assert camp.ear.losses["one-1"][0].startswith("WorkerLost: the work")
    assert len(camp.ear.of("work.taken")) >= 1


def test_a_work_that_somebody_deletes_loses_its_node(camp: Camp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(courier, "_ORDER", 0.0)
    camp.site.submit([camp.node("one", add, 1, 2)], [], camp.ear, {})
    work = camp.next()
    camp.buckets.delete(work)
    until(lambda: camp.ear.losses)
    assert camp.ear.losses["one-1"][0] == f"WorkLost: somebody deleted the work {work.id}"


@pytest.mark.parametrize("results", [None, {"answer": "AAAA"}, {"other": 1}])
def test_what_is_no_answer_loses_the_node_and_runs_nothing(camp: Camp, results: Any) -> None:
    camp.site.submit([camp.node("one", add, 1, 2)], [], camp.ear, {})
    work = camp.next()
    work.results, work.status = results, WorkStatus.success
    camp.buckets.update(work)
    until(lambda: camp.ear.losses)
    assert camp.ear.losses["one-1"][0].partition(":")[0] in ("WorkInvalid", "SignatureWrong")


def test_the_answer_of_another_job_is_not_taken(camp: Camp) -> None:
    camp.site.submit([camp.node("one", add, 1, 2)], [], camp.ear, {})
    work = camp.next()
    work.results = perform(**Packing(camp.values).parameters(camp.node("two", add, 40, 2), {}))
    work.status = WorkStatus.success
    camp.buckets.update(work)
    until(lambda: camp.ear.losses)
    assert camp.ear.losses["one-1"][0].startswith("SignatureWrong: This is the answer of the job two")


def test_a_locked_work_stays(camp: Camp) -> None:
    camp.site.submit([camp.node("one", add, 1, 2)], [], camp.ear, {})
    works: Sequence[Work] = camp.serve()
    until(lambda: camp.ear.states)
    camp.buckets.lock(list(works))
    camp.site.release(["one-1"])
    camp.site.close()
    assert camp.buckets.count() == 1


class Deaf(Moody):
    """Buckets that take a deposit, and whose answer is lost once."""

    def __init__(self, own: Buckets) -> None:
        super().__init__(own)
        self.lost = 0
        self.at = 1

    def deposit(self, works: Work | Iterable[Work]) -> list[str]:
        ids = super().deposit(works)
        if len(self.deposits) == self.at:
            self.lost += 1
            raise StoreUnavailable("The connection broke at COMMIT.")
        return ids


def test_a_deposit_whose_answer_was_lost_is_not_repeated(camp: Camp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(courier, "_AT_ONCE", 2)
    deaf = Deaf(camp.open())
    deaf.at = 2
    site = camp.another(buckets=lambda: deaf)
    site.submit([camp.node(f"job-{number}", add, number, 1) for number in range(5)], [], camp.ear, {})
    until(lambda: len(camp.ear.of("work.deposited")) + len(camp.ear.of("work.adopted")) == 5)
    assert deaf.lost == 1
    assert len(camp.ear.of("work.adopted")) == 2
    assert camp.buckets.count() == 5
    camp.serve(5)
    until(lambda: len(camp.ear.states) == 5)


def test_a_node_that_was_killed_before_its_work_was_found_leaves_none(camp: Camp) -> None:
    deaf = Deaf(camp.open())
    site = camp.another(buckets=lambda: deaf)
    opened = site._opened()
    opened._suffer = lambda error, began: site.kill(["unwanted-1"])  # type: ignore[assignment, method-assign]
    site.submit([camp.node("unwanted", add, 1, 2)], [], camp.ear, {})
    until(lambda: deaf.lost and not camp.buckets.count())
    assert camp.ear.losses == {}


def test_what_cannot_be_unpickled_loses_its_node_alone(camp: Camp, monkeypatch: pytest.MonkeyPatch) -> None:
    def answer_of(results: Any, values: Any, run: str, job: str) -> Any:
        if job == "bad":
            raise ModuleNotFoundError("No module named 'lab'")
        return opening.answer_of(results, values, run, job)

    monkeypatch.setattr(courier, "answer_of", answer_of)
    camp.site.submit([camp.node("bad", add, 1, 2), camp.node("good", add, 1, 2)], [], camp.ear, {})
    camp.serve(2)
    until(lambda: camp.ear.losses and camp.ear.states == {"good": "succeeded"})
    assert camp.ear.losses == {"bad-1": ("ModuleNotFoundError: No module named 'lab'", "bad")}


def test_one_locked_work_keeps_no_others(camp: Camp) -> None:
    camp.site.submit([camp.node(name, add, 1, 2) for name in ("one", "two", "three")], [], camp.ear, {})
    works = camp.serve(3)
    until(lambda: len(camp.ear.states) == 3)
    camp.buckets.lock(works[1])
    camp.site.release(["one-1", "two-1", "three-1"])
    camp.site.close()
    assert [work.id for work in camp.buckets.view()] == [works[1].id]


def test_only_works_that_are_followed_are_looked_at(camp: Camp) -> None:
    moody = Moody(camp.open())
    site = camp.another(buckets=lambda: moody)
    site.submit([camp.node("one", add, 1, 2), camp.node("two", add, 1, 2)], [], camp.ear, {})
    work = camp.next()
    camp.perform(work)
    until(lambda: camp.ear.states)
    asked = len(moody.views)
    until(lambda: len(moody.views) > asked + 1)
    looks = [query["id"]["$in"] for query in moody.views[asked:] if "id" in query]
    assert looks
    assert all(work.id not in ids and len(ids) == 1 for ids in looks)
    camp.serve()
    until(lambda: len(camp.ear.states) == 2)
