"""The contract of shelves, on each kind: a file of SQLite, PostgreSQL, a server."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from daskflow.errors import WorkInvalid, WorkLocked, WorkLost
from daskflow.model.jsons import json_ready
from daskflow.model.work import LIMIT, Work, WorkStatus
from daskflow.stores.buckets import Buckets
from daskflow.stores.buckets.query import matches
from daskflow.stores.buckets.remote import remote_shelf
from daskflow.stores.buckets.shelf import Shelf, View, Wanted
from daskflow.stores.buckets.table import WorkTable
from daskflow.stores.database import Database
from tests.services.servers import serving

HOSTILE = [
    "'; DROP TABLE works; --",
    '" OR 1=1 --',
    "%s %(id)s :id {ids} $1",
    "a\\'b",
    "näïve 🚀",
    "NUL \0 here",
    "\ud800",
]
LONG = 3600.0
"""A lease that does not end within a test [s]."""


@pytest.fixture(params=["sqlite", "postgres", "http"])
def shelf(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shelf]:
    if request.param == "http":
        with serving(tmp_path, works={"sites": ["*"]}) as service:
            remote = remote_shelf(service.url, None)
            yield remote
            remote.close()
        return
    url = request.getfixturevalue("postgres") if request.param == "postgres" else str(tmp_path / "works.db")
    made = WorkTable(Database(url))
    yield made
    made.close()


@pytest.fixture
def buckets(shelf: Shelf) -> Buckets:
    return Buckets(shelf)


def make(number: int = 0, /, **fields: Any) -> Work:
    usual = {"pipeline": "sample", "site": "local", "user": "ada", "function": "math.sqrt", "parameters": {"x": number}}
    return Work(**{**usual, **fields})


def take(buckets: Buckets, pipeline: str | list[str] = "sample", **filters: Any) -> Work:
    found = buckets.withdraw(pipeline, lease=LONG, **filters)
    assert found is not None
    return found


def stored(buckets: Buckets, work: Work) -> Work:
    found = buckets.get(str(work.id))
    assert found is not None
    return found


def numbers(works: list[Work]) -> list[int]:
    return [(work.parameters or {})["x"] for work in works]


class TestDeposit:
    def test_many_come_back_as_they_were(self, buckets: Buckets) -> None:
        works = [make(number, tags=["a", f"t{number}"], event=[number, 7], group="burst") for number in range(50)]
        ids = buckets.deposit(iter(works))
        assert ids == [work.id for work in works]
        assert len(set(ids)) == 50
        found = {work.id: work for work in buckets.view(limit=-1)}
        assert [found[id].payload for id in ids] == [work.payload for work in works]

    def test_every_field_is_kept(self, buckets: Buckets) -> None:
        work = make(
            command=["echo", "x y"],
            function=None,
            group=["g"],
            timeout=7,
            retries=5,
            priority=1,
            creation=12.25,
            config={
                "archive": {"products": "move", "logs": "delete"},
                "parent": "p",
                "teams": "t",
                "strategy": "relaxed",
            },
            notify={"slack": {"channel_id": "C1", "member_ids": ["U1"], "blocks": {"a": [1]}}},
        )
        buckets.deposit(work)
        assert stored(buckets, work) == work

    @pytest.mark.parametrize(
        "value",
        [0, False, "", [], {}, 1.5, 1e300, 5e-324, -0.0, 2**63 - 1, -(2**63), 1e16, "NaN", [None, {"a": [1.0, 1]}]],
    )
    def test_any_json_value_is_kept_to_the_letter(self, buckets: Buckets, value: Any) -> None:
        buckets.deposit(make(parameters={"x": value, "z": 1, "a": 2}))
        work = take(buckets)
        assert repr(work.parameters) == repr({"x": value, "z": 1, "a": 2})
        work.results, work.status = value, WorkStatus.success
        buckets.update(work)
        assert repr(stored(buckets, work).results) == repr(value)

    def test_the_largest_are_kept(self, buckets: Buckets) -> None:
        work = make(parameters={"x": "y" * (LIMIT - 8)})
        buckets.deposit(work)
        assert stored(buckets, work).parameters == work.parameters

    @pytest.mark.parametrize("text", HOSTILE)
    def test_text_is_nothing_but_text(self, buckets: Buckets, text: str) -> None:
        plain = json_ready(text)
        line = "".join(letter if letter.isprintable() else "?" for letter in plain)
        work = make(
            **{"site": line, "user": line, "function": line, "tags": [text], "group": text, "products": [text]},
            parameters={text: text},
            config={"orgs": [text], "parent": line},
            notify={"slack": {"message": text, "blocks": {text: text}}},
        )
        buckets.deposit(work)
        found = take(buckets, site=line, user=line, tags=text, parent=line)
        assert found.id == work.id
        assert (found.parameters, found.tags, found.group) == ({plain: plain}, [plain], [plain])
        found.results, found.error, found.log, found.host = {text: text}, text, text, line
        found.status = WorkStatus.failure
        buckets.update(found)
        asked = {
            "site": line,
            "user": line,
            "tags": text,
            "error": {"$in": [text]},
            "config.parent": line,
            "host": line,
        }
        assert [work.results for work in buckets.view(asked)] == [{plain: plain}]
        assert buckets.view({"id": text}) == []
        assert buckets.delete(text) == 0
        assert buckets.count() == 1

    def test_what_has_ended_is_kept_as_it_is_and_never_performed(self, buckets: Buckets) -> None:
        told: dict[str, Any] = {"attempt": 1, "given_back": 0, "start": 1.5, "stop": 2.5, "creation": 1.0, "host": "h"}
        works = [
            make(1, status="success", results={"dm": 1}, products=["a"], event=[7], **told),
            make(2, status="failure", error="no signal", log="text", **told),
            make(3, status="success"),
            make(4),
        ]
        buckets.deposit(works)
        for work in works:
            assert stored(buckets, work) == work
        assert works[1].final
        assert buckets.audit(None) == {"failed": 0, "expired": 0, "stale": 0}
        assert numbers([take(buckets)]) == [4]
        assert buckets.withdraw("sample") is None
        assert numbers(buckets.view({"event": 7, "results.dm": 1})) == [1]

    def test_all_or_none(self, buckets: Buckets) -> None:
        works = [make(1), make(2)]
        works[1].parameters = {"x": 1}
        works[1].parameters["x"] = object()
        with pytest.raises(WorkInvalid, match="object"):
            buckets.deposit(works)
        assert buckets.count() == 0

    def test_none(self, buckets: Buckets) -> None:
        assert buckets.deposit([]) == []


class TestWithdraw:
    def test_takes_one_and_starts_an_attempt(self, buckets: Buckets) -> None:
        buckets.deposit(make(4))
        work = take(buckets)
        assert (work.status, work.attempt, work.parameters) == (WorkStatus.running, 1, {"x": 4})
        assert work.start is not None
        assert work.stop is None
        assert work.host
        assert buckets.withdraw("sample") is None
        assert stored(buckets, work) == work

    def test_highest_priority_first_then_oldest(self, buckets: Buckets) -> None:
        buckets.deposit([make(number, priority=1 + number % 5) for number in range(15)])
        taken = numbers([take(buckets) for _ in range(15)])
        assert taken == [4, 9, 14, 3, 8, 13, 2, 7, 12, 1, 6, 11, 0, 5, 10]

    def test_of_several_buckets_as_of_one(self, buckets: Buckets) -> None:
        buckets.deposit([make(number, priority=1 + number % 3, pipeline=f"p{number % 2}") for number in range(12)])
        assert numbers([take(buckets, ["p1", "p0"]) for _ in range(12)]) == [2, 5, 8, 11, 1, 4, 7, 10, 0, 3, 6, 9]
        assert buckets.withdraw(["p0", "p1"]) is None

    @pytest.mark.parametrize(
        "filters",
        [
            {"event": 42},
            {"event": [1, 42]},
            {"site": "cedar"},
            {"priority": 5},
            {"user": "bob"},
            {"tags": "wanted"},
            {"tags": ["other", "wanted"]},
            {"parent": "run-1"},
            {"parent": ["run-1", "run-2"]},
            {"event": 42, "site": "cedar", "priority": 5, "user": "bob", "tags": "wanted", "parent": "run-1"},
        ],
    )
    @pytest.mark.parametrize("pipelines", ["sample", ["sample", "another"]])
    def test_filters(self, buckets: Buckets, filters: dict[str, Any], pipelines: Any) -> None:
        wanted = make(
            1, event=[42, 43], site="cedar", priority=5, user="bob", tags=["wanted", "x"], config={"parent": "run-1"}
        )
        buckets.deposit([make(0, event=[4], tags=["wanted-not"], config={"parent": "run"}), wanted, make(2)])
        assert take(buckets, pipelines, **filters).id == wanted.id
        assert buckets.withdraw(pipelines, **filters) is None
        assert buckets.count({"status": "queued"}) == 2

    def test_a_mark_of_many_works(self, buckets: Buckets, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("daskflow.stores.buckets.table._FEW", 5)
        buckets.deposit([make(number, tags=["all"], event=[1], priority=1 + number % 2) for number in range(12)])
        assert numbers([take(buckets, tags="all", event=1) for _ in range(12)]) == [*range(1, 12, 2), *range(0, 12, 2)]

    def test_a_locked_work_is_not_taken(self, buckets: Buckets) -> None:
        first, second = buckets.deposit([make(1), make(2)])
        assert buckets.lock(first) == 1
        assert take(buckets).id == second
        assert buckets.withdraw("sample") is None
        buckets.unlock([first])
        assert take(buckets).id == first

    def test_each_work_goes_to_one_of_many_threads(self, buckets: Buckets) -> None:
        ids = buckets.deposit([make(number, pipeline=f"p{number % 3}") for number in range(90)])
        taken: list[str] = []
        together = threading.Barrier(6)

        def agent() -> None:
            together.wait()
            while (work := buckets.withdraw(["p0", "p1", "p2"], lease=LONG)) is not None:
                taken.append(str(work.id))

        threads = [threading.Thread(target=agent) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(taken) == sorted(ids)


class TestUpdate:
    def test_ends_an_attempt(self, buckets: Buckets) -> None:
        buckets.deposit(make(4, tags=["a"]))
        work = take(buckets)
        work.results, work.products, work.plots = {"dm": 332.7}, ["a.npz"], ["a.png"]
        work.status, work.stop, work.log = WorkStatus.success, (work.start or 0) + 1, "done"
        buckets.update(work)
        assert stored(buckets, work) == work
        assert buckets.withdraw("sample") is None

    @pytest.mark.parametrize("status", ["success", "failure"])
    def test_who_does_not_say_when_a_work_ended_ends_it_now(self, buckets: Buckets, status: str) -> None:
        buckets.deposit(make())
        work = take(buckets)
        buckets.update(work)
        assert stored(buckets, work).stop is None
        work.status = WorkStatus(status)
        buckets.update(work)
        stop = stored(buckets, work).stop
        assert stop is not None
        assert work.start is not None
        assert stop >= work.start
        # Who writes it again does not take that away, nor does time pass for it.
        work.results = 3
        buckets.update(work)
        assert (stored(buckets, work).stop, stored(buckets, work).results) == (stop, 3)
        work.stop = work.start
        buckets.update(work)
        assert stored(buckets, work).stop == work.start

    def test_a_later_attempt_has_the_work(self, buckets: Buckets) -> None:
        buckets.deposit(make())
        early = buckets.withdraw("sample", lease=1e-6)
        assert early is not None
        _expire(buckets)
        assert buckets.audit()["failed"] == 1
        late = take(buckets)
        assert late.attempt == 2
        early.status, early.results = WorkStatus.success, "of the early one"
        with pytest.raises(WorkLost, match="attempt 2; this was attempt 1"):
            buckets.update(early)
        with pytest.raises(WorkLost):
            buckets.heartbeat(early, LONG)
        with pytest.raises(WorkLost):
            buckets.give_back(early)
        assert stored(buckets, late) == late

    def test_who_seemed_lost_may_end_what_nobody_else_has(self, buckets: Buckets) -> None:
        buckets.deposit(make())
        work = buckets.withdraw("sample", lease=1e-6)
        assert work is not None
        _expire(buckets)
        work.status, work.results = WorkStatus.success, 3
        buckets.update(work)
        assert stored(buckets, work).results == 3
        assert buckets.audit() == {"failed": 0, "expired": 0, "stale": 0}

    def test_a_deleted_one_is_lost(self, buckets: Buckets) -> None:
        buckets.deposit(make())
        work = take(buckets)
        assert buckets.delete(work) == 1
        with pytest.raises(WorkLost, match="deleted"):
            buckets.heartbeat(work, LONG)
        with pytest.raises(WorkLost, match="deleted"):
            buckets.update(work)

    def test_what_it_is_found_by_changes(self, buckets: Buckets) -> None:
        work = make(tags=["old", "both"], event=[1])
        buckets.deposit([work, make(1, tags=["old"])])
        work.tags, work.event, work.site, work.user = ["both", "new"], [2, 3], "cedar", "bob"
        work.pipeline, work.priority = "another", 5
        buckets.update(work)
        for query in ({"tags": "new"}, {"tags": "both"}, {"event": 3}, {"site": "cedar"}, {"user": "bob"}):
            assert [each.id for each in buckets.view(query)] == [work.id], query
        assert [each.id for each in buckets.view({"tags": "old"})] != [work.id]
        assert buckets.count({"event": 1}) == 0
        assert buckets.pipelines() == ["another", "sample"]
        assert take(buckets, "another", tags="new", event=2).id == work.id

    @pytest.mark.parametrize(
        ("before", "after"),
        [
            ("queued", "created"),
            ("success", "running"),
            ("failure", "running"),
            ("queued", "running"),
            ("running", "queued"),
        ],
    )
    def test_a_status_that_may_not_follow(self, buckets: Buckets, before: str, after: str) -> None:
        work = make()
        buckets.deposit(work)
        if before != "queued":
            work = take(buckets)
            work.status = WorkStatus(before)
            buckets.update(work)
        seen = buckets.view({"id": work.id})
        work.status = WorkStatus(after)
        with pytest.raises(WorkInvalid, match=f"is {before}; {after} cannot follow"):
            buckets.update(work)
        assert buckets.view({"id": work.id}) == seen

    def test_who_holds_a_work_may_write_it_meanwhile(self, buckets: Buckets) -> None:
        buckets.deposit(make(tags=["a"]))
        work = take(buckets)
        for tags in (["a"], ["b"]):
            work.log, work.tags = f"as far as {tags}", tags
            buckets.update(work)
            assert stored(buckets, work) == work
        buckets.heartbeat(work, LONG)
        buckets.give_back(work)
        waiting = buckets.get(str(work.id))
        assert waiting is not None
        waiting.priority = 5
        buckets.update(waiting)
        assert take(buckets).priority == 5

    def test_a_held_work_that_cannot_be_read_fails_for_good(self, buckets: Buckets) -> None:
        buckets.deposit(make(retries=5))
        work = take(buckets)
        buckets.shelf.fail(work.payload, "nobody can read it")
        found = stored(buckets, work)
        assert (found.status, found.final, found.error) == (WorkStatus.failure, True, "nobody can read it")
        with pytest.raises(WorkLost):
            buckets.heartbeat(work, LONG)

    def test_people_may_queue_again_what_has_ended(self, buckets: Buckets) -> None:
        buckets.deposit(make(retries=1))
        work = take(buckets)
        work.status, work.results, work.final = WorkStatus.failure, 1, True
        buckets.update(work)
        assert buckets.audit()["failed"] == 0
        work.status = WorkStatus.queued
        buckets.update(work)
        again = take(buckets)
        assert (again.attempt, again.results, again.final) == (2, None, False)
        with pytest.raises(WorkLost):
            buckets.heartbeat(work, LONG)

    def test_several_all_or_none(self, buckets: Buckets) -> None:
        works = [make(1), make(2), make(3)]
        buckets.deposit(works)
        buckets.delete(works[2])
        for work in works:
            work.tags = ["changed"]
        with pytest.raises(WorkLost):
            buckets.update(works)
        assert buckets.count({"tags": "changed"}) == 0
        buckets.update(works[:2])
        assert buckets.count({"tags": "changed"}) == 2

    def test_each_attempt_begins_clean(self, buckets: Buckets) -> None:
        buckets.deposit(make())
        work = take(buckets)
        work.results, work.products, work.plots, work.error, work.log = {"a": 1}, ["p"], ["q"], "e", "l"
        work.status, work.stop = WorkStatus.failure, 5.0
        buckets.update(work)
        buckets.audit()
        again = take(buckets)
        assert (again.results, again.products, again.plots, again.error, again.log) == (None,) * 5
        assert (again.attempt, again.stop, again.parameters) == (2, None, {"x": 0})


class TestLease:
    def test_a_heartbeat_holds_it(self, buckets: Buckets) -> None:
        buckets.deposit(make())
        work = buckets.withdraw("sample", lease=1e-6)
        assert work is not None
        buckets.heartbeat(work, LONG)
        assert buckets.audit() == {"failed": 0, "expired": 0, "stale": 0}
        assert stored(buckets, work).status is WorkStatus.running

    @pytest.mark.parametrize("audits", [1, 2])
    def test_a_heartbeat_takes_back_what_nobody_else_has(self, buckets: Buckets, audits: int) -> None:
        buckets.deposit(make())
        work = buckets.withdraw("sample", lease=1e-6)
        assert work is not None
        _expire(buckets)
        if audits == 2:
            assert buckets.audit() == {"failed": 1, "expired": 0, "stale": 0}
        buckets.heartbeat(work, LONG)
        assert stored(buckets, work) == work
        assert buckets.withdraw("sample") is None

    def test_an_ended_one_is_not_held(self, buckets: Buckets) -> None:
        buckets.deposit(make())
        work = take(buckets)
        work.status = WorkStatus.failure
        buckets.update(work)
        with pytest.raises(WorkLost, match="is failure: attempt 1 is over"):
            buckets.heartbeat(work, LONG)
        with pytest.raises(WorkLost, match="attempt 1 is over"):
            buckets.give_back(work)

    def test_what_was_given_back_does_not_count(self, buckets: Buckets) -> None:
        buckets.deposit(make(retries=1))
        work = take(buckets)
        buckets.give_back(work)
        with pytest.raises(WorkLost):
            buckets.heartbeat(work, LONG)
        found = stored(buckets, work)
        assert (found.status, found.given_back, found.start, found.host) == (WorkStatus.queued, 1, None, None)
        again = take(buckets)
        assert (again.attempt, again.given_back, again.ended) == (2, 1, False)
        # The number of the attempt proves who holds it: who gave it back cannot do so again.
        with pytest.raises(WorkLost):
            buckets.give_back(work)
        again.status = WorkStatus.failure
        buckets.update(again)
        assert again.ended
        assert buckets.audit()["failed"] == 0

    def test_a_failure_that_is_no_fault_of_the_work_does_not_count(self, buckets: Buckets) -> None:
        buckets.deposit(make(retries=1))
        # Who performs a work may say that of its own attempt, and of no more.
        for told, ended in ((1, False), (5, True)):
            work = take(buckets)
            work.given_back, work.status = told, WorkStatus.failure
            buckets.update(work)
            found = stored(buckets, work)
            assert (found.status, found.given_back, found.ended) == (WorkStatus.failure, 1, ended)
            buckets.update(work)
            assert stored(buckets, work).given_back == 1
            assert buckets.audit()["failed"] == (not ended)

    def test_without_a_lease_the_timeout_counts(self, buckets: Buckets) -> None:
        buckets.deposit([make(1, timeout=86400)])
        assert buckets.withdraw("sample") is not None
        assert buckets.audit()["expired"] == 0


def _expire(buckets: Buckets) -> None:
    """Audit until one has expired: its lease was over at once, but clocks have a resolution."""
    while not buckets.audit()["expired"]:
        pass


class TestAudit:
    def test_failed_then_expired_then_stale(self, buckets: Buckets) -> None:
        buckets.deposit([make(1, priority=5), make(2, priority=4), make(3, creation=1.0)])
        failed, lost = take(buckets), buckets.withdraw("sample", lease=1e-6)
        assert lost is not None
        failed.status = WorkStatus.failure
        buckets.update(failed)
        assert buckets.count({"status": "failure"}) == 1
        sums = {"failed": 0, "expired": 0, "stale": 0}
        while not sums["expired"]:
            sums = {name: sums[name] + count for name, count in buckets.audit().items()}
        # What has expired in one audit is queued again by the next.
        assert sums == {"failed": 1, "expired": 1, "stale": 1}
        assert buckets.audit() == {"failed": 1, "expired": 0, "stale": 0}
        assert buckets.status() == {"total": 3, "queued": 2, "running": 0, "success": 0, "failure": 1}
        ended = buckets.view({"status": "failure"})[0]
        assert ended.ended
        assert "waited for too long" in ended.error

    def test_an_expired_one_says_so(self, buckets: Buckets) -> None:
        buckets.deposit(make(retries=0))
        work = buckets.withdraw("sample", lease=1e-6)
        assert work is not None
        _expire(buckets)
        found = stored(buckets, work)
        assert found.ended
        assert found.stop is not None
        assert "lease" in str(found.error)

    @pytest.mark.parametrize("retries", [0, 1, 2, 5])
    def test_attempts_are_used_up(self, buckets: Buckets, retries: int) -> None:
        buckets.deposit(make(retries=retries))
        attempts = 0
        while (work := buckets.withdraw("sample", lease=LONG)) is not None:
            attempts += 1
            work.status = WorkStatus.failure
            buckets.update(work)
            buckets.audit()
        assert attempts == max(retries, 1)
        assert buckets.view()[0].ended

    def test_final_and_locked_ones_stay(self, buckets: Buckets) -> None:
        buckets.deposit([make(1), make(2)])
        final, locked = take(buckets), take(buckets)
        for work in (final, locked):
            work.status = WorkStatus.failure
        final.final = True
        buckets.update([final, locked])
        buckets.lock(locked)
        assert buckets.audit() == {"failed": 0, "expired": 0, "stale": 0}

    def test_none_is_stale(self, buckets: Buckets) -> None:
        buckets.deposit(make(creation=1.0))
        assert buckets.audit(None)["stale"] == 0
        assert buckets.audit()["stale"] == 1

    def test_a_clock_ahead_makes_nothing_stale(self, buckets: Buckets) -> None:
        buckets.deposit(make(creation=1e11))
        assert buckets.audit(60)["stale"] == 0


class TestDeleting:
    def test_works_and_ids(self, buckets: Buckets) -> None:
        works = [make(number, tags=["a"]) for number in range(4)]
        buckets.deposit(works)
        assert buckets.delete([works[0], str(works[1].id), "unknown"]) == 2
        assert buckets.delete(works[0]) == 0
        assert buckets.delete([]) == 0
        assert numbers(buckets.view({"tags": "a"})) == [3, 2]

    def test_a_new_work_has_no_mark_of_a_deleted_one(self, buckets: Buckets) -> None:
        work = make(tags=["a"], event=[1])
        buckets.deposit(work)
        buckets.delete(work)
        buckets.deposit(make(2))
        assert buckets.view({"tags": "a"}) == []
        assert buckets.withdraw("sample", event=1) is None

    def test_locked_ones_neither_change_nor_go(self, buckets: Buckets) -> None:
        works = [make(number) for number in range(3)]
        buckets.deposit(works)
        ended = take(buckets)
        ended.status = WorkStatus.success
        buckets.update(ended)
        assert buckets.lock([ended, "unknown"]) == 1
        assert stored(buckets, ended).locked
        with pytest.raises(WorkLocked, match=str(ended.id)):
            buckets.delete(works)
        assert buckets.count() == 3
        ended.results = "other"
        with pytest.raises(WorkLocked):
            buckets.update(ended)
        assert buckets.unlock(ended) == 1
        buckets.update(ended)
        assert buckets.delete(works) == 3

    def test_who_holds_a_locked_work_may_end_it(self, buckets: Buckets) -> None:
        buckets.deposit(make())
        work = take(buckets)
        buckets.lock(work)
        work.status = WorkStatus.success
        buckets.update(work)
        found = stored(buckets, work)
        assert (found.status, found.locked) == (WorkStatus.success, True)


class TestView:
    def test_newest_first_by_parts(self, buckets: Buckets) -> None:
        buckets.deposit([make(number) for number in range(10)])
        assert numbers(buckets.view()) == list(range(9, -1, -1))
        assert numbers(buckets.view(skip=5, limit=1)) == [4]
        assert numbers(buckets.view({"parameters.x": {"$lt": 8}}, skip=2, limit=3)) == [5, 4, 3]
        assert buckets.view(limit=0) == []
        assert len(buckets.view(limit=-1)) == 10
        assert buckets.view(skip=100) == []

    def test_many_pages(self, buckets: Buckets, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("daskflow.stores.buckets.finding._FIRST", 3)
        monkeypatch.setattr("daskflow.stores.buckets.finding._MOST", 7)
        buckets.deposit([make(number, tags=["even"] if number % 2 == 0 else None) for number in range(60)])
        assert numbers(buckets.view(limit=-1)) == list(range(59, -1, -1))
        assert numbers(buckets.view({"tags": "even", "parameters.x": {"$gt": 3}}, limit=50)) == list(range(58, 3, -2))
        assert numbers(buckets.view(sort={"parameters.x": 1}, skip=1, limit=2)) == [1, 2]
        assert buckets.count({"parameters.x": {"$lt": 31}}) == 31

    def test_in_an_order(self, buckets: Buckets) -> None:
        buckets.deposit([make(number, parameters={"x": number, "y": number % 3}) for number in range(9)])
        assert numbers(buckets.view(sort={"parameters.y": -1, "parameters.x": 1}, limit=4)) == [2, 5, 8, 1]
        assert numbers(buckets.view(sort=[("parameters.y", 1)], skip=1, limit=3)) == [3, 0, 7]

    def test_projections(self, buckets: Buckets) -> None:
        (id,) = buckets.deposit(make(parameters={"x": 1, "y": {"z": 2, "w": 3}}))
        assert buckets.view(projection={"parameters.y.z": 1}) == [{"id": id, "parameters": {"y": {"z": 2}}}]
        assert buckets.view(projection={"user": 1, "id": 0}) == [{"user": "ada"}]
        (rest,) = buckets.view(projection={"parameters.y": 0, "log": 0})
        assert rest["parameters"] == {"x": 1}
        assert "log" not in rest
        assert rest["id"] == id

    def test_status_and_pipelines(self, buckets: Buckets) -> None:
        assert buckets.status() == {"total": 0, "queued": 0, "running": 0, "success": 0, "failure": 0}
        buckets.deposit([make(1), make(2), make(3, pipeline="other")])
        take(buckets)
        assert buckets.status("sample") == {"total": 2, "queued": 1, "running": 1, "success": 0, "failure": 0}
        assert buckets.statuses() == {"other": {"queued": 1}, "sample": {"queued": 1, "running": 1}}
        assert buckets.status("none")["total"] == 0
        assert buckets.pipelines() == ["other", "sample"]

    def test_infinity_is_found_and_no_bound(self, buckets: Buckets) -> None:
        buckets.deposit([make(parameters={"x": x}) for x in (1, 50.0, 1e6, math.inf, math.nan)])
        assert buckets.count({"parameters.x": {"$gte": 10}}) == 2
        assert buckets.count({"parameters.x": math.inf}) == 1
        assert buckets.count({"parameters.x": {"$in": [math.inf, math.nan, 1]}}) == 3
        for bounds in ({"$lt": math.inf}, {"$gte": 10, "$lt": math.inf}, {"$gt": -math.inf}, {"$lte": "Infinity"}):
            with pytest.raises(WorkInvalid, match="is none: leave it out"):
                buckets.count({"parameters.x": bounds})

    @pytest.mark.parametrize(
        "query",
        [
            {"$where": "1"},
            {"event": {"$near": 1}},
            {"evnt": 1},
            {"config.parnet": "x"},
            {"creation": {"$lt": math.inf}},
            {"results.a": {"$in": 1}},
        ],
    )
    def test_malformed_queries(self, buckets: Buckets, shelf: Shelf, query: dict[str, Any]) -> None:
        for ask in (buckets.view, buckets.count, lambda query: shelf.view(View(query)), shelf.count):
            with pytest.raises(WorkInvalid):
                ask(query)


class TestWaiting:
    def test_a_deposit_wakes_who_waits(self, shelf: Shelf) -> None:
        buckets, woken = Buckets(shelf), threading.Event()
        shelf.await_deposit(["sample"], 0)
        looked = threading.Event()

        def agent() -> None:
            shelf.await_deposit(["sample"], 0)
            while True:
                found = shelf.withdraw(Wanted(("sample",)), lease=LONG, holder="me")
                looked.set()
                if found:
                    break
                shelf.await_deposit(["sample"], 60)
            woken.set()

        thread = threading.Thread(target=agent)
        thread.start()
        assert looked.wait(30)
        buckets.deposit(make())
        assert woken.wait(30)
        thread.join()


_SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.floats(-3, 3).map(lambda x: round(x * 2) / 2),
    st.sampled_from("ab"),
)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("pq"), inner, max_size=2),
    max_leaves=6,
)
_NUMBERED = st.integers(-3, 3) | st.sampled_from("ab")
_ORDERED = st.sampled_from(["$gt", "$gte", "$lt", "$lte"])
_PATHS = st.sampled_from(
    ["results", "results.p", "results.q.p", "results.0", "results.p.1", "parameters.p", "parameters.q.q"]
)


def _operators(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        st.builds(lambda name, value: {name: value}, st.sampled_from(["$eq", "$ne"]), _VALUES),
        st.builds(lambda name, value: {name: value}, _ORDERED, _NUMBERED),
        st.builds(
            lambda name, value: {name: value}, st.sampled_from(["$in", "$nin", "$all"]), st.lists(_VALUES, max_size=3)
        ),
        st.builds(lambda value: {"$exists": value}, st.booleans()),
        st.builds(lambda value: {"$size": value}, st.integers(0, 3)),
        st.builds(lambda value: {"$regex": value, "$options": "i"}, st.sampled_from(["a", "^B$", "[ab]"])),
        st.builds(lambda value: {"$not": value}, inner),
        st.builds(lambda value: {"$elemMatch": value}, inner),
    )


_CONDITIONS = _VALUES | st.recursive(
    st.builds(lambda name, value: {name: value}, _ORDERED, _NUMBERED), _operators, max_leaves=3
)
_FIELDS = st.one_of(
    st.builds(lambda path, wanted: {path: wanted}, _PATHS, _CONDITIONS),
    st.builds(lambda tag: {"tags": tag}, st.sampled_from(["t0", "t1", None]) | st.just({"$in": ["t0", "t2"]})),
    st.builds(lambda event: {"event": event}, st.integers(0, 3) | st.booleans() | st.just({"$in": [1, "1", 2.0]})),
    st.builds(lambda status: {"status": status}, st.sampled_from(["queued", "running", "success", "failure"])),
    st.builds(lambda name: {"pipeline": name}, st.sampled_from(["p0", "p1"]) | st.just({"$in": ["p0", "p1"]})),
    st.builds(lambda name: {"config.parent": name}, st.sampled_from(["run", "", None])),
)
_QUERIES = st.recursive(
    st.lists(_FIELDS, min_size=1, max_size=3).map(lambda parts: {k: v for part in parts for k, v in part.items()}),
    lambda inner: st.builds(
        lambda name, parts: {name: parts},
        st.sampled_from(["$and", "$or", "$nor"]),
        st.lists(inner, min_size=1, max_size=2),
    ),
    max_leaves=3,
)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    values=st.lists(st.tuples(_VALUES, _VALUES), min_size=4, max_size=8),
    queries=st.lists(_QUERIES, min_size=8, max_size=12),
)
def test_what_is_found_is_what_matches(buckets: Buckets, values: list[tuple[Any, Any]], queries: list[Any]) -> None:
    buckets.delete([work.id for work in buckets.view(limit=-1)])
    works = [
        make(
            parameters=first if isinstance(first, dict) else {"p": first},
            tags=[f"t{number % 3}"] if number % 2 else None,
            event=[number % 4] if number % 3 else None,
            pipeline=f"p{number % 2}",
            config={"parent": "run" if number % 4 == 0 else None},
        )
        for number, (first, _) in enumerate(values)
    ]
    buckets.deposit(works)
    for work, (_, second) in zip(works, values, strict=True):
        work.results, work.status = second, WorkStatus.success
    buckets.update(works)
    known = [work.payload for work in reversed(works)]
    for query in queries:
        expected = [work["id"] for work in known if matches(work, query)]
        assert [work.id for work in buckets.view(query)] == expected, query
        assert buckets.count(query) == len(expected)
        assert [work.id for work in buckets.view(query, skip=1, limit=2)] == expected[1:3]
