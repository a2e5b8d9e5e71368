from __future__ import annotations

from daskflow.execution.sending.dispatch import Shipment
from daskflow.execution.sending.flights import Flights
from daskflow.graph.job import Job
from daskflow.model.states import JobState
from daskflow.sites import Node
from tests.execution.handmade import PaperSite, job


def shipment(*groups: list[Job], kept: bool = True, upstream: tuple[str, ...] = ()) -> Shipment:
    keys = ["+".join(one.key for one in group) for group in groups]
    nodes = [Node(key, b"", upstream) for key in keys]
    return Shipment(nodes, keys if kept else [], dict(zip(keys, groups, strict=True)), {})


def land(flights: Flights, one: Job) -> None:
    one.state = JobState.succeeded
    flights.land(one)


def test_a_node_is_released_when_the_last_of_its_jobs_landed() -> None:
    flights, site = Flights(), PaperSite()
    jobs = [job(key) for key in "abc"]
    flights.depart(site, shipment(jobs))
    flights.arrived()
    land(flights, jobs[0])
    land(flights, jobs[2])
    assert site.released == []
    assert flights.performed_now(["a+b+c", "of another run"]) == [jobs[1]]
    land(flights, jobs[1])
    assert site.released == ["a+b+c"]
    land(flights, jobs[1])
    assert site.released == ["a+b+c"], "a second record of a job changes nothing"


def test_later_nodes_may_refer_to_single_kept_nodes_of_their_site() -> None:
    flights, here, there = Flights(), PaperSite("here"), PaperSite("there")
    one, two, three, between = job("a"), job("b"), job("c"), job("d")
    flights.depart(here, shipment([one], [two, three]))
    flights.depart(here, shipment([between], kept=False))
    assert dict(flights.kept) == {"a": "a"}
    assert flights.reaches(one, here, {})
    assert not flights.reaches(one, there, {})
    assert not flights.reaches(two, here, {}), "dask gives only whole nodes"
    assert not flights.reaches(between, here, {}), "dask forgets it as soon as its shipment has used it"
    going = job("going")
    assert flights.reaches(going, here, {"going": here})
    assert not flights.reaches(going, there, {"going": here})
    here.chains = False
    assert not flights.reaches(one, here, {})
    land(flights, one)
    assert "a" not in flights.kept
    assert flights.reaches(one, there, {}), "it is there"


def test_what_a_shipment_refers_to_is_kept_until_it_was_submitted() -> None:
    flights, site = Flights(), PaperSite()
    early, late = job("a"), job("b")
    flights.depart(site, shipment([early]))
    flights.arrived()
    flights.depart(site, shipment([late], upstream=("a",)))
    land(flights, early)
    assert site.released == [], "the scheduler would not know the node that `b` refers to"
    flights.arrived()
    assert site.released == ["a"]


def test_a_lost_node_gives_its_jobs_back() -> None:
    flights, site = Flights(), PaperSite()
    jobs = [job(key) for key in "ab"]
    flights.depart(site, shipment(jobs))
    flights.arrived()
    land(flights, jobs[0])
    assert flights.lose("a+b") == [jobs[1]]
    assert site.released == ["a+b"]
    assert flights.lose("a+b") == []


def test_those_who_are_interrupted_take_back_what_was_not_performed() -> None:
    flights, site = Flights(), PaperSite()
    done, left = job("a"), job("b")
    flights.depart(site, shipment([done], [left]))
    land(flights, done)
    assert flights.recall() == [left]
    flights.arrived()
    assert sorted(site.released) == ["a", "b"]


def test_what_is_submitted_after_all_was_let_go_is_released_too() -> None:
    flights, site = Flights(), PaperSite()
    flights.depart(site, shipment([job("a")]))
    flights.clear()
    assert site.released == ["a"]
    site.released.clear()  # nothing had been submitted yet, so that the site passed over it
    flights.arrived()
    assert site.released == ["a"]
