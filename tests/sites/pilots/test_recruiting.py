from __future__ import annotations

from collections import Counter
from typing import Any

from daskflow.model.needs import Needs
from daskflow.sites.pilots.crew import Post
from daskflow.sites.pilots.pilot import Pilot, Stage
from daskflow.sites.pilots.plan import SitePlan
from daskflow.sites.pilots.recruiting import FIRST_LEAD, Recruiter
from daskflow.sites.pilots.roll import Roll
from daskflow.sites.pools import Pool
from tests.sites.pilots.fleets import pool

NOW = 1e9
LONG = Needs(seconds=3600.0)


class Office:
    def __init__(self, *pools: Pool, **changes: Any) -> None:
        self.plan = SitePlan(pools or (pool(),), "/home")._replace(**changes)
        self.roll = Roll()
        self.recruiter = Recruiter(self.plan, self.roll)
        self.posts: dict[str, Post] = {}

    def add(self, id: str, stage: Stage, name: str = "small", **changes: Any) -> None:
        self.roll.add(Pilot(id, name, NOW, "", stage=stage))
        if stage is Stage.arrived:
            post = Post(id, name, 0, NOW, NOW + 3600, cores=4, memory=0, gpus=0, node="", address="", free_at=NOW)
            self.posts[id] = post._replace(**changes)

    def due(self, *waiting: Needs, now: float = NOW) -> dict[str, int]:
        needs = {"small": Counter(waiting)} if waiting else {}
        return self.recruiter.due(self.plan.pools, needs, self.posts, now)


def test_the_lead_is_learned() -> None:
    office = Office()
    assert office.recruiter.lead("small") == FIRST_LEAD
    for seconds in (100.0, 120.0, 4000.0):
        office.recruiter.arrived("small", seconds)
    assert office.recruiter.lead("small") == 120.0
    assert office.recruiter.lead("large") == FIRST_LEAD


def test_what_is_being_submitted_counts() -> None:
    office = Office()
    assert office.due(*[LONG] * 12) == {"small": 3}
    office.roll.flying["small"] += 2
    assert office.due(*[LONG] * 12) == {}
    assert office.due(*[LONG] * 12, now=NOW + 3) == {"small": 1}


def test_the_minimum_is_kept_full() -> None:
    office = Office(pool(minimum=2))
    office.add("1", Stage.arrived)
    assert office.due() == {"small": 1}
    office.add("2", Stage.submitted)
    assert office.due() == {}
    # Who is about to leave is replaced.
    office.posts["1"] = office.posts["1"]._replace(ends=NOW + 20.0)
    assert office.due() == {"small": 1}
    office.recruiter.rest()
    assert office.due() == {}


def test_at_its_maximum_a_pool_gets_a_replacement_when_a_pilot_takes_nothing_more_before_that_would_come() -> None:
    office = Office(pool(maximum=1, walltime=600.0), margin=10.0)
    office.recruiter.arrived("small", 20.0)
    waiting = [Needs(seconds=30.0)] * 100
    for left, due in ((70.0, {}), (62.0, {"small": 1})):
        # 20 s to come, 10 s in which nothing runs, 30 s for a job, and what it takes to see it.
        office.add("1", Stage.arrived, ends=NOW + left, busy=4, idle_since=None, cores=0)
        office.due(*waiting, now=NOW - 3)
        assert office.due(*waiting) == due


def test_long_jobs_are_no_reason_to_exceed_the_maximum_for_long() -> None:
    office = Office(pool(maximum=1), margin=10.0)
    office.add("1", Stage.arrived, ends=NOW + 3000.0, busy=4, idle_since=None, cores=0)
    office.due(LONG, now=NOW - 3)
    assert office.due(LONG) == {}


def test_what_a_site_allows_is_shared() -> None:
    office = Office(pool(), max_jobs=2)
    office.add("1", Stage.closing)
    assert office.due(*[LONG] * 100) == {"small": 1}


def test_idle_ones_go_those_first_that_end_first() -> None:
    office = Office(pool(minimum=1), idle=60.0)
    office.add("1", Stage.arrived, ends=NOW + 500)
    office.add("2", Stage.arrived, ends=NOW + 300)
    office.add("3", Stage.arrived, ends=NOW + 400, busy=1, idle_since=None)
    office.add("4", Stage.arrived, ends=NOW + 600, idle_since=NOW + 30)
    assert office.recruiter.idle(office.posts, NOW + 59) == []
    assert [one.id for one in office.recruiter.idle(office.posts, NOW + 60)] == ["2", "1"]
    office.recruiter.rest()
    assert [one.id for one in office.recruiter.idle(office.posts, NOW + 31)] == ["2", "1", "4"]


def test_who_has_too_little_time_left_goes_at_once_whatever_the_minimum() -> None:
    office = Office(pool(minimum=5), pool("large"), margin=10.0)
    office.add("1", Stage.arrived, ends=NOW + 300)
    office.add("2", Stage.arrived, ends=NOW + 9)
    office.add("3", Stage.arrived, ends=NOW + 9, busy=1, idle_since=None)
    office.add("4", Stage.closing)
    assert [one.id for one in office.recruiter.spent(office.posts, NOW)] == ["2"]
    # Something waits, which may just be on its way to it; but it is not given to it for a while.
    office.recruiter.see(["small"], NOW + 60)
    assert [one.id for one in office.recruiter.spent(office.posts, NOW + 65)] == ["2"]
    assert [one.id for one in office.recruiter.spent(office.posts, NOW + 66)] == ["1", "2"]
    office.recruiter.see(["large"], NOW + 67)
    assert [one.id for one in office.recruiter.spent(office.posts, NOW + 80)] == ["2"]


def test_the_last_one_stays_while_it_holds_what_another_pool_waits_for() -> None:
    office = Office(pool(), pool("gpu", gpus=1), idle=60.0)
    office.add("1", Stage.arrived, needed=True, ends=NOW + 900)
    office.add("2", Stage.arrived, needed=True, ends=NOW + 800)
    office.add("3", Stage.submitted, "gpu")
    later = NOW + 60
    assert [one.id for one in office.recruiter.idle(office.posts, later)] == ["2"]
    office.add("4", Stage.arrived, "gpu", busy=1, idle_since=None)
    assert [one.id for one in office.recruiter.idle(office.posts, later)] == ["2", "1"], (
        "another one takes what they hold"
    )
    office.add("4", Stage.closing, "gpu")
    assert [one.id for one in office.recruiter.idle(office.posts, later)] == ["2"]
    office.recruiter.rest()
    assert [one.id for one in office.recruiter.idle(office.posts, later)] == ["2", "1"]


def test_the_last_one_goes_if_it_keeps_the_others_out() -> None:
    office = Office(pool(), pool("gpu", gpus=1), idle=60.0, max_jobs=1)
    office.add("1", Stage.arrived, needed=True)
    assert [one.id for one in office.recruiter.idle(office.posts, NOW + 60)] == ["1"]
    office.add("2", Stage.submitted, "gpu")
    assert office.recruiter.idle(office.posts, NOW + 60) == []


def test_of_those_with_too_little_time_left_the_last_one_stays_till_its_end() -> None:
    office = Office(pool(maximum=2), pool("gpu", gpus=1), margin=10.0)
    office.add("1", Stage.arrived, needed=True, ends=NOW + 300)
    office.recruiter.see(["small"], NOW + 10)
    assert office.recruiter.spent(office.posts, NOW + 20) == []
    assert [one.id for one in office.recruiter.spent(office.posts, NOW + 290)] == ["1"]
    office.add("2", Stage.closing)
    assert [one.id for one in office.recruiter.spent(office.posts, NOW + 20)] == ["1"], "its pool holds no other one"
    office.add("2", Stage.submitted)
    assert office.recruiter.spent(office.posts, NOW + 20) == []
    office.add("2", Stage.arrived, needed=True, ends=NOW + 25)
    assert [one.id for one in office.recruiter.spent(office.posts, NOW + 20)] == ["1", "2"]


def test_who_takes_nothing_of_what_waits_is_not_counted_on() -> None:
    office = Office()
    office.add("1", Stage.arrived)
    office.recruiter.see(["small"], NOW + 50)
    assert office.due(Needs(seconds=100.0), now=NOW + 51) == {}
    assert office.due(Needs(seconds=100.0), now=NOW + 55) == {}
    assert office.due(Needs(seconds=100.0), now=NOW + 56) == {}
    assert office.due(Needs(seconds=100.0), now=NOW + 58) == {"small": 1}


def test_the_last_ones_of_a_minimum_stay() -> None:
    office = Office(pool(minimum=1))
    office.add("1", Stage.arrived)
    assert office.recruiter.idle(office.posts, NOW + 1e4) == []


def test_those_in_the_queue_go_when_nothing_has_waited_for_them() -> None:
    office = Office(pool(minimum=1))
    for id in ("1", "2", "3"):
        office.add(id, Stage.submitted)
    office.add("4", Stage.started)
    office.recruiter.see({"small"}, NOW + 100)
    assert office.recruiter.needless(NOW + 100) == []
    assert office.recruiter.needless(NOW + 159) == []
    assert [one.id for one in office.recruiter.needless(NOW + 160)] == ["3", "2", "1"]


def test_each_pool_for_itself() -> None:
    office = Office(pool(), pool("large"))
    office.add("1", Stage.submitted)
    office.add("2", Stage.submitted, "large")
    office.recruiter.see({"large"}, NOW + 100)
    assert [one.id for one in office.recruiter.needless(NOW + 100)] == ["1"]


def test_where_pilots_get_lost_the_last_jobs_are_not_left_to_one() -> None:
    office = Office()
    short = [LONG._replace(seconds=3.0)] * 48
    office.add("1", Stage.arrived)
    assert office.due(*short, now=NOW) == office.due(*short, now=NOW + 3) == {}
    for id in range(100, 130):
        office.add(str(id), Stage.gone)
        lost = office.roll.get(str(id))
        assert lost is not None
        lost.lost = NOW
    assert office.due(*short, now=NOW + 4) == {}, "only what lacks for some time"
    assert office.due(*short, now=NOW + 7) == {"small": 4}
    assert office.due(*short, now=NOW + 1000) == {}
