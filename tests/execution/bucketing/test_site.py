from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from daskflow.errors import StoreUnavailable, WorkLost
from daskflow.execution.bucketing.parcel import PERFORM
from daskflow.execution.bucketing.site import BucketSite
from daskflow.model.needs import Needs
from daskflow.model.work import Work, WorkStatus
from daskflow.stores.buckets.buckets import Buckets
from tests.execution.bucketing.camp import Camp, Ear, add
from tests.execution.patience import until


def shout(text: str) -> None:
    print(text)


def fail() -> None:
    raise ValueError("no good")


def works(camp: Camp) -> dict[str, str]:
    """Status of each work by the job that it is of."""
    return {work.tags[1]: str(work.status) for work in camp.buckets.view(limit=-1)}


def test_each_node_is_a_work_that_an_agent_performs(camp: Camp) -> None:
    camp.site.submit([camp.node("one", add, 1, 2), camp.node("two", shout, "HEY")], [], camp.ear, {})
    first, _ = camp.serve(2)
    assert (first.pipeline, first.site, first.user, first.function) == ("some-work", "camp", "ada", PERFORM)
    assert (first.tags, first.config.parent) == (["a-run", "one"], "a-run")
    until(lambda: len(camp.ear.states) == 2)
    assert camp.ear.states == {"one": "succeeded", "two": "succeeded"}
    outcomes = {outcome.key: outcome for outcome in camp.ear.outcomes}
    log = outcomes["two"].log
    assert log is not None
    assert (camp.directory / "logs" / "a-run" / log.file).read_text()[log.start : log.stop] == "HEY\n"
    ids = {data["job"]: data["id"] for data in camp.ear.of("work.deposited")}
    assert ids["one"] == first.id
    assert [data["attempt"] for data in camp.ear.of("work.taken")] == [1, 1]
    assert list(camp.site.running()) == []
    camp.site.release(["one-1", "two-1"])
    camp.site.close()
    assert works(camp) == {}, "what was told of is deleted"


def test_what_is_being_performed_runs(camp: Camp) -> None:
    camp.site.submit([camp.node("one", add, 1, 2)], [], camp.ear, {})
    work = camp.next()
    until(lambda: list(camp.site.running()) == ["one-1"])
    camp.perform(work)
    until(lambda: camp.ear.states)


def test_one_bucket_may_hold_all(camp: Camp) -> None:
    camp.another(pipeline="of-flows").submit([camp.node("one", add, 1, 2)], [], camp.ear, {})
    until(lambda: camp.buckets.status("of-flows")["queued"] == 1)


def test_a_killed_node_is_lost_to_its_agent(camp: Camp) -> None:
    camp.site.submit([camp.node("killed", add, 1, 2)], [], camp.ear, {})
    work = camp.next()
    camp.site.submit([camp.node("never", add, 1, 2)], [], camp.ear, {})
    until(lambda: len(works(camp)) == 2)
    assert camp.site.kill(["killed-1", "never-1"]) == {"killed-1", "never-1"}
    assert works(camp) == {}
    with pytest.raises(WorkLost):
        camp.buckets.heartbeat(work, 60)
    with pytest.raises(WorkLost):
        camp.perform(work)
    camp.site.submit([camp.node("killed", add, 1, 2)], [], camp.ear, {})
    assert camp.site._deposits == {}, "what was killed before it came is not deposited"
    assert (camp.ear.outcomes, camp.ear.losses) == ([], {})


def test_only_what_has_not_begun_is_taken_back(camp: Camp) -> None:
    camp.site.submit([camp.node("begun", add, 1, 2)], [], camp.ear, {})
    work = camp.next()
    camp.site.submit([camp.node("queued", add, 1, 2)], [], camp.ear, {})
    until(lambda: len(works(camp)) == 2)
    assert camp.site.recall(["begun-1", "queued-1", "unknown"]) == {"queued-1"}
    assert works(camp) == {"begun": "running"}
    camp.perform(work)
    until(lambda: camp.ear.states == {"begun": "succeeded"})


def test_what_nobody_needs_any_more_is_not_begun(camp: Camp) -> None:
    camp.site.submit([camp.node("queued", add, 1, 2)], [], camp.ear, {})
    until(lambda: works(camp))
    camp.site.release(["queued-1"])
    until(lambda: not works(camp))


def test_who_resumes_a_run_takes_its_works_over(camp: Camp) -> None:
    names = ("done", "begun", "queued", "failed")
    nodes = [camp.node(name, fail) if name == "failed" else camp.node(name, add, 1, 2) for name in names]
    camp.site.submit(nodes, [], camp.ear, {})
    until(lambda: len(works(camp)) == len(nodes))
    taken = {}
    for _ in names[:2]:
        work = camp.next()
        taken[str((work.tags or [])[1])] = work
    failed = camp.buckets.withdraw("some-work", tags=["failed"])
    assert failed is not None
    camp.site.leave(camp.ear)
    camp.site.close()
    camp.perform(taken["done"])
    camp.perform(failed)
    before = {work.id for work in camp.buckets.view(limit=-1) if work.tags[1] != "failed"}
    ear, site = Ear(), camp.another()
    site.submit([node._replace(key=f"{node.name}-2") for node in nodes], [], ear, {})
    until(lambda: ear.states.get("done") == "succeeded" and list(site.running()) == ["begun-2"])
    camp.perform(taken["begun"])
    camp.serve(2)
    until(lambda: len(ear.states) == 4)
    assert ear.states == {"done": "succeeded", "begun": "succeeded", "queued": "succeeded", "failed": "failed"}
    assert {data["id"] for data in ear.of("work.adopted")} == before
    assert [data["job"] for data in ear.of("work.deposited")] == ["failed"], "what has failed is performed again"
    assert camp.ear.states == {}


def test_a_node_that_spans_machines_does_not_fit(camp: Camp) -> None:
    assert "one agent, on one machine" in camp.site.fit(Needs(nodes=2))
    assert camp.site.fit(Needs(cores=1000)) == ""
    assert camp.site.larger(Needs()) is None
    assert camp.site.address() == ""
    camp.site.rest()


class Shut(Buckets):
    """Buckets that cannot be written."""

    def __init__(self, own: Buckets) -> None:
        super().__init__(own.shelf)
        self.shut = True

    def delete(self, works: object) -> int:
        if self.shut:
            raise StoreUnavailable("It is away.")
        return super().delete(works)  # type: ignore[arg-type]


def test_what_cannot_be_deleted_now_is_deleted_later(camp: Camp) -> None:
    shut = Shut(camp.open())
    site = camp.another(buckets=lambda: shut)
    site.submit([camp.node("late", add, 1, 2)], [], camp.ear, {})
    until(lambda: works(camp))
    assert site.kill(["late-1"]) == {"late-1"}
    assert works(camp) == {"late": "queued"}
    shut.shut = False
    until(lambda: not works(camp))


def test_a_site_may_be_closed_and_used_again(camp: Camp, tmp_path: Path) -> None:
    site: BucketSite = camp.site
    site.close()
    for number in (1, 2):
        site.submit([camp.node(f"job-{number}", add, 1, 2)], [], camp.ear, {})
        (work,) = camp.serve()
        until(lambda: len(camp.ear.states) == number)  # noqa: B023, asked within the loop
        assert camp.buckets.get(str(work.id)).status is WorkStatus.success  # type: ignore[union-attr]
        site.close()


def test_what_cannot_be_taken_back_stays_for_agents(camp: Camp) -> None:
    leases: list[float | None] = []

    class Noted(Shut):
        def withdraw(self, pipeline: Any, *, lease: float | None = None, **filters: Any) -> Work | None:
            leases.append(lease)
            return super().withdraw(pipeline, lease=lease, **filters)

    shut = Noted(camp.open())
    site = camp.another(buckets=lambda: shut)
    site.submit([camp.node("queued", add, 1, 2)], [], camp.ear, {})
    until(lambda: works(camp) == {"queued": "queued"})
    assert site.recall(["queued-1"]) == set()
    assert works(camp) == {"queued": "queued"}
    assert leases == [60.0], "who dies with it in hand gives it back so"
    (work,) = camp.serve()
    assert (work.attempt, work.given_back) == (2, 1)
    until(lambda: camp.ear.states == {"queued": "succeeded"})
    shut.shut = False
