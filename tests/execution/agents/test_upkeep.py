"""Agents that are batch jobs are replaced where they are lost while works wait."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from daskflow.errors import AgentsLost, BatchRefused, StoreUnavailable
from daskflow.execution.agents import upkeep
from daskflow.execution.agents.upkeep import Tally, Upkeep
from daskflow.model.work import WorkStatus
from daskflow.settings.places import services_of
from daskflow.sites.batch.service import ServiceStanding, ServiceState
from daskflow.sites.batch.services import Services
from daskflow.stores.buckets import Buckets
from daskflow.stores.buckets.shelf import Wanted
from tests.conftest import settings_in
from tests.execution.agents.conftest import make
from tests.execution.patience import until

WANTED = Wanted(("sample",), "local")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "_EVERY", 0.05)
    monkeypatch.setattr(upkeep, "_FIRST_PAUSE", 0.0)


@pytest.fixture
def services(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Services:
    """Those of this machine: real processes, which outlive who spawned them."""
    monkeypatch.chdir(tmp_path)
    return services_of("local", settings_in(tmp_path))


class Fleet:
    """Agents that are lines of the shell."""

    def __init__(self, services: Services, buckets: Buckets, line: str) -> None:
        self.told: list[str] = []
        self.stop = threading.Event()
        self._services, self._line = services, line
        self.upkeep = Upkeep(services, self._spawn, buckets, WANTED, self.told.append)

    def _spawn(self, name: str) -> None:
        self._services.spawn(self._line, name=name)

    def keep(self, count: int = 1) -> Tally:
        self._services.spawn(self._line, name="agent", count=count)
        return self.upkeep.keep("agent", count, self.stop)


def test_an_agent_that_is_killed_while_works_wait_is_replaced(services: Services, buckets: Buckets) -> None:
    buckets.deposit(make("add"))
    fleet = Fleet(services, buckets, "if mkdir first 2>/dev/null; then kill -9 $$; fi; echo served")
    assert fleet.keep() == Tally(ended=1, lost=1, replaced=1)
    assert services.logs("agent-1") == "served\n"
    assert fleet.told[0].startswith("The agent agent-0 was lost on ")
    assert fleet.told[1:] == [
        "The agent agent-1 is started in place of one that was lost: 1 work waits.",
        "The agent agent-1 has ended as it was told to.",
    ]


def test_agents_that_die_at_once_are_given_up_with_the_end_of_their_log(services: Services, buckets: Buckets) -> None:
    buckets.deposit([make("add"), make("add")])
    fleet = Fleet(services, buckets, "echo There is no such function.; exit 2")
    with pytest.raises(AgentsLost) as caught:
        fleet.keep()
    said = str(caught.value)
    assert said.startswith("3 agents of the site 'local' ended one after another; 2 works wait.")
    assert "exit code 2" in said
    assert "Its log ended with:\nThere is no such function.\n" in said
    assert fleet.upkeep.tally == Tally(lost=3, replaced=2)


def test_what_died_is_told_of_even_where_nothing_waits(services: Services, buckets: Buckets) -> None:
    fleet = Fleet(services, buckets, "exit 2")
    with pytest.raises(AgentsLost, match=r"1 agents .* 0 works wait.*Nothing was written to its log"):
        fleet.keep()


def test_one_that_was_lost_is_no_failure_where_another_did_all(services: Services, buckets: Buckets) -> None:
    """Whichever of both ends last."""

    def serve(services: Scripted, started: list[str]) -> None:
        services.put("agent-1", "completed")

    for steps in ((serve, lose("agent-0")), (lose("agent-0"), serve)):
        made, started = scripted(buckets, 2, *steps)
        assert (started, made.tally) == ([], Tally(ended=1, lost=1))
    # Real processes: the first dies, the other one ends as it was told to.
    fleet = Fleet(services, buckets, "if mkdir first 2>/dev/null; then exit 2; fi; echo served")
    assert fleet.keep(2) == Tally(ended=1, lost=1)


def test_agents_go_on_when_nobody_looks_after_them_any_more(
    services: Services, buckets: Buckets, tmp_path: Path
) -> None:
    fleet = Fleet(services, buckets, "until [ -e go ]; do sleep 0.05; done")
    fleet.stop.set()
    assert fleet.keep() == Tally()
    until(lambda: services.states() == {"agent-0": "running"})
    (tmp_path / "go").touch()
    assert services.get("agent-0").wait(60).state == "completed"


def test_what_fails_again_and_again_is_tried_more_and_more_seldom(
    buckets: Buckets, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "_FIRST_PAUSE", 3600.0)
    monkeypatch.setattr(upkeep, "_LONGEST_PAUSE", 7200.0)
    buckets.deposit(make("add"))
    made, started = scripted(buckets, 2, lose("agent-0"), *[lambda *_: None] * 3)
    assert (started, made.tally.lost) == ([], 1), "not before the pause is over"


class Scripted:
    """Services whose standings are written by the test: what takes minutes, or a batch system, else."""

    site = "cedar"

    def __init__(self) -> None:
        self.found: dict[str, ServiceStanding] = {}
        self.killed: list[str] = []

    def put(self, name: str, state: str, **fields: Any) -> None:
        self.found[name] = ServiceStanding(name, ServiceState(state), **fields)

    def ls(self, pattern: str) -> list[ServiceStanding]:
        return list(self.found.values())

    def logs(self, name: str, tail: int) -> str:
        return f"the log of {name}\n"

    def kill(self, name: str) -> bool:
        self.killed.append(name)
        return True


class Play:
    """What happens between two looks, until there is nothing left to happen."""

    def __init__(self, *steps: Callable[[], object]) -> None:
        self._steps = list(steps)
        self._over = False

    def is_set(self) -> bool:
        return self._over

    def wait(self, timeout: float) -> bool:
        if self._steps:
            self._steps.pop(0)()
        else:
            self._over = True
        return self._over


def scripted(buckets: Buckets, count: int, *steps: Callable[[Scripted, list[str]], object]) -> tuple[Upkeep, list[str]]:
    """Keep agents while a play goes on; gives the names of those that were started."""
    services, started = Scripted(), list[str]()

    def spawn(name: str) -> None:
        started.append(name)
        services.put(name, "running", started=time.time())

    for place in range(count):
        services.put(f"agent-{place}", "running", started=time.time())
    made = Upkeep(services, spawn, buckets, WANTED)  # type: ignore[arg-type]
    play: Any = Play(*[lambda step=step: step(services, started) for step in steps])
    made.keep("agent", count, play)
    return made, started


def lose(name: str, **fields: Any) -> Callable[[Scripted, list[str]], None]:
    return lambda services, started: services.put(name, "failed", **{"reason": "it broke", **fields})


def test_pauses_are_longer_and_longer(buckets: Buckets, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr(upkeep, "time", SimpleNamespace(monotonic=lambda: clock[0], time=time.time))
    monkeypatch.setattr(upkeep, "_FIRST_PAUSE", 10.0)
    buckets.deposit(make("add"))
    seen: list[list[str]] = []

    def at(moment: float) -> Callable[[Scripted, list[str]], None]:
        def step(services: Scripted, started: list[str]) -> None:
            seen.append(list(started))
            clock[0] = moment

        return step

    scripted(buckets, 1, lose("agent-0"), at(109.0), at(110.0), lose("agent-1"), at(129.0), at(130.0), at(131.0))
    first, second = ["agent-1"], ["agent-1", "agent-2"]
    assert seen == [[], [], first, first, second]


def test_no_more_agents_are_started_than_works_wait_and_those_are_given_up_after_twice_as_many_ends(
    buckets: Buckets,
) -> None:
    buckets.deposit(make("add"))

    def lose_both(services: Scripted, started: list[str]) -> None:
        for name in ("agent-0", "agent-1"):
            lose(name)(services, started)

    made, started = scripted(buckets, 2, lose_both, lose("agent-2"))
    assert (started, made.tally) == (["agent-2", "agent-3"], Tally(lost=3, replaced=2))
    with pytest.raises(AgentsLost, match=r"4 agents .* 1 work waits"):
        scripted(buckets, 2, lose_both, lose("agent-2"), lose("agent-3"))


def test_what_a_batch_system_ended_is_replaced_however_often(buckets: Buckets) -> None:
    buckets.deposit(make("add"))
    ends = [lose(f"agent-{place}", error="Preempted") for place in range(10)]
    made, started = scripted(buckets, 1, *ends)
    assert started == [f"agent-{place}" for place in range(1, 11)]
    assert made.tally == Tally(lost=10, replaced=10)


def test_one_that_was_there_for_a_minute_has_shown_that_it_can(buckets: Buckets) -> None:
    buckets.deposit(make("add"))
    ends = [lose(f"agent-{place}", started=1000.0, ended=1061.0) for place in range(6)]

    made, _ = scripted(buckets, 1, *ends)
    assert made.tally == Tally(lost=6, replaced=6)


def test_who_ends_as_told_or_is_killed_by_name_is_not_replaced(buckets: Buckets) -> None:
    buckets.deposit(make("add"))
    made, started = scripted(
        buckets,
        2,
        lambda services, started: services.put("agent-0", "killed"),
        lambda services, started: services.put("agent-1", "completed"),
    )
    assert (started, made.tally) == ([], Tally(ended=1, killed=1))


def test_as_long_as_one_serves_nothing_is_given_up(buckets: Buckets) -> None:
    buckets.deposit([make("add") for _ in range(3)])
    ends = [lose(f"agent-{place}") for place in range(1, 9)]
    made, _ = scripted(buckets, 2, *ends)
    assert made.tally == Tally(lost=8, replaced=8)

    def lose_all(services: Scripted, started: list[str]) -> None:
        for name in ("agent-0", "agent-9"):
            lose(name)(services, started)

    with pytest.raises(AgentsLost, match=r"(?s)10 agents .*the log of agent-9"):
        scripted(buckets, 2, *ends, lose_all)


def test_what_waits_for_what_will_never_be_is_lost_too(buckets: Buckets) -> None:
    buckets.deposit(make("add"))
    seen: list[Scripted] = []

    def hopeless(services: Scripted, started: list[str]) -> None:
        seen.append(services)
        services.put("agent-0", "pending", hopeless=True, reason="PartitionTimeLimit")

    made, started = scripted(buckets, 1, hopeless)
    assert (started, seen[0].killed, made.tally.lost) == (["agent-1"], ["agent-0"], 1)


def test_a_batch_system_that_takes_no_more_is_asked_again_and_then_given_up(buckets: Buckets) -> None:
    buckets.deposit(make("add"))
    services, asked = Scripted(), list[str]()
    services.put("agent-0", "failed", reason="it broke")

    def spawn(name: str) -> None:
        asked.append(name)
        raise BatchRefused("Invalid account.")

    made = Upkeep(services, spawn, buckets, WANTED)  # type: ignore[arg-type]
    with pytest.raises(AgentsLost, match=r"(?s)3 agents .*the log of agent-0"):
        made.keep("agent", 1, threading.Event())
    assert len(asked) == 2


def test_works_of_others_start_no_agents_and_a_store_that_is_away_ends_nothing(
    buckets: Buckets, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = make("add")
    other.site = "elsewhere"
    buckets.deposit(other)
    with pytest.raises(AgentsLost, match="0 works wait"):
        scripted(buckets, 1, lose("agent-0"))
    asked = threading.Event()

    def away(query: object) -> int:
        if asked.is_set():
            return 1
        asked.set()
        raise StoreUnavailable("The store is away.")

    monkeypatch.setattr(buckets, "count", away)
    made, started = scripted(
        buckets, 1, lose("agent-0", error="NodeFailure"), lambda *_: None, lambda *_: None, lambda *_: None
    )
    assert (started, made.tally) == (["agent-1"], Tally(lost=1, replaced=1))


def test_works_that_dead_agents_held_are_put_in_order(buckets: Buckets) -> None:
    buckets.deposit(make("add"))
    held = buckets.withdraw("sample", lease=0.001)
    assert held is not None
    time.sleep(0.01)
    services = Scripted()
    services.put("agent-0", "failed", reason="it was killed", error="NodeFailure")

    def spawn(name: str) -> None:
        services.put(name, "completed")

    made = Upkeep(services, spawn, buckets, WANTED)  # type: ignore[arg-type]
    assert made.keep("agent", 1, threading.Event()) == Tally(ended=1, lost=1, replaced=1)
    found = buckets.get(str(held.id))
    assert found is not None
    assert found.status == "queued"


def test_what_a_lost_agent_had_in_hand_is_waited_for_until_its_lease_is_over(
    buckets: Buckets, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the agent that was started in its place has ended long since."""
    clock = [100.0]
    monkeypatch.setattr(upkeep, "time", SimpleNamespace(monotonic=lambda: clock[0], time=time.time))
    buckets.deposit(make("add"))
    held = buckets.withdraw("sample", lease=3600.0)
    assert held is not None
    services, started, told = Scripted(), list[str](), list[str]()
    services.put("agent-0", "failed", reason="it was killed", started=time.time())
    services.put("agent-1", "completed", started=time.time())

    def expire() -> None:
        assert (started, made.tally) == ([], Tally(ended=1, lost=1)), "nothing is there to be taken"
        buckets.heartbeat(held, lease=0.001)
        time.sleep(0.01)

    def spawn(name: str) -> None:
        started.append(name)
        work = buckets.withdraw("sample")
        assert work is not None
        work.status = WorkStatus.success
        buckets.update(work)
        services.put(name, "completed")

    made = Upkeep(services, spawn, buckets, WANTED, told.append, lease=60.0)  # type: ignore[arg-type]
    play: Any = Play(lambda: None, lambda: None, expire, lambda: None)
    assert made.keep("agent", 2, play) == Tally(ended=2, lost=1, replaced=1)
    assert started == ["agent-2"]
    assert made.left() == (0, 0)
    assert [line for line in told if "in hand" in line] == [
        "1 work is in hand. What a lost agent had comes back when its lease is over, within 60 s; that is waited for."
    ]


def test_an_agent_that_ends_while_works_of_a_lost_one_may_come_back_is_not_the_last(buckets: Buckets) -> None:
    (first, other) = (make("add"), make("add"))
    buckets.deposit([first, other])
    held = buckets.withdraw("sample", lease=3600.0)
    assert held is not None

    def perform(services: Scripted, started: list[str]) -> None:
        """The one that was started for the other work performs that, and ends."""
        work = buckets.withdraw("sample")
        assert work is not None
        work.status = WorkStatus.success
        buckets.update(work)
        services.put(started[-1], "completed")

    def expire(services: Scripted, started: list[str]) -> None:
        buckets.heartbeat(held, lease=0.001)
        time.sleep(0.01)

    made, started = scripted(
        buckets, 1, lose("agent-0"), perform, lambda *_: None, expire, lambda *_: None, perform, lambda *_: None
    )
    assert (started, made.tally) == (["agent-1", "agent-2"], Tally(ended=2, lost=1, replaced=2))
    assert made.left() == (0, 0)


def test_what_others_have_in_hand_is_not_waited_for(buckets: Buckets, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr(upkeep, "time", SimpleNamespace(monotonic=lambda: clock[0], time=time.time))
    buckets.deposit([make("add") for _ in range(3)])
    assert buckets.withdraw("sample", lease=3600.0) is not None
    ended = [lambda services, started, name=name: services.put(name, "completed") for name in ("agent-0", "agent-1")]
    waited = list[Tally]()

    def late(services: Scripted, started: list[str]) -> None:
        clock[0] = 200.0

    def never(services: Scripted, started: list[str]) -> None:
        waited.append(made.tally)

    # Those that end as they were told to are done, whatever waits.
    made, _ = scripted(buckets, 2, *ended, never)
    assert (made.tally, waited) == (Tally(ended=2), [])
    assert made.left() == (2, 1)
    for work in (buckets.withdraw("sample", lease=3600.0), buckets.withdraw("sample", lease=3600.0)):
        assert work is not None
    # When the lease is over that a lost agent may have had, what is still in hand is that of others.
    made, started = scripted(buckets, 2, ended[1], lose("agent-0"), lambda *_: None, late, never)
    assert (started, made.tally, waited) == ([], Tally(ended=1, lost=1), [])
