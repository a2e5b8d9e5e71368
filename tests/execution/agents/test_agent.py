import errno
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from daskflow.errors import StoreError, StoreUnavailable, TokenRefused
from daskflow.execution.agents import agent as agents
from daskflow.execution.agents import holding
from daskflow.execution.agents.agent import Agent
from daskflow.execution.agents.archive import Archivist
from daskflow.execution.agents.attempt import Attempt
from daskflow.execution.agents.holding import Holder
from daskflow.execution.agents.settling import Told
from daskflow.execution.agents.terms import Allowed
from daskflow.model.work import Work, WorkStatus
from daskflow.stores.buckets import Buckets
from daskflow.stores.buckets.shelf import Wanted
from tests.execution.agents import performed
from tests.execution.agents.conftest import make, terms
from tests.execution.patience import alive, until


def found(buckets: Buckets, id: str) -> Work:
    work = buckets.get(id)
    assert work is not None
    return work


@contextmanager
def serving(agent: Agent) -> Iterator[threading.Thread]:
    """An agent that serves within the block; it is stopped at the end."""
    thread = threading.Thread(target=agent.run)
    thread.start()
    try:
        yield thread
    finally:
        agent.stop(at_once=True)
        thread.join(60)
        assert not thread.is_alive()


def test_works_are_performed_by_priority_until_the_lives_are_used_up(buckets: Buckets, there: Path) -> None:
    ids = buckets.deposit([make("add", parameters={"x": number}, priority=number) for number in (1, 3, 5)])
    assert Agent(buckets, terms(lives=2)).run() == {"success": 2}
    assert [found(buckets, id).status for id in ids] == ["queued", "success", "success"]
    assert found(buckets, ids[2]).results == 6


def test_who_was_stopped_for_longer_than_the_lease_keeps_nothing_of_what_came_out(
    buckets: Buckets, there: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (id,) = buckets.deposit(make("add", parameters={"x": 1}))
    made: list[str] = []

    def make_late(attempt: Attempt) -> None:
        make_at_all(attempt)
        # The process was stopped just now, all of its threads; this one is the first that goes on.
        monkeypatch.setattr(holding, "now", lambda: holding_now() + 60.0)

    def keep(*_: object) -> None:
        made.append("archive")

    holding_now, make_at_all = holding.now, Attempt.make
    monkeypatch.setattr(Holder, "_watch", lambda holder: None)
    monkeypatch.setattr(Holder, "_renew", lambda holder: None)
    monkeypatch.setattr(Attempt, "make", make_late)
    monkeypatch.setattr(Archivist, "keep", keep)
    assert Agent(buckets, terms(lives=1)).run() == {"given back": 1}
    assert made == []
    assert (found(buckets, id).status, found(buckets, id).results) == ("queued", None)


def test_only_wanted_works_are_taken(buckets: Buckets) -> None:
    other = make("add", parameters={"x": 1})
    other.site = "elsewhere"
    ids = buckets.deposit(
        [other, make("add", parameters={"x": 1}, tags=["a"]), make("add", parameters={"x": 1}, event=[7], tags=["b"])]
    )
    agent = Agent(buckets, terms(wanted=Wanted(("sample",), "local", "ada", (7,), ("b", "c")), lives=1))
    assert agent.run() == {"success": 1}
    assert [found(buckets, id).status for id in ids] == ["queued", "queued", "success"]


def test_an_empty_bucket_costs_no_life_and_new_works_are_noticed(buckets: Buckets) -> None:
    agent = Agent(buckets, terms(lives=1))
    with serving(agent) as thread:
        until(lambda: agent._reached)
        buckets.deposit(make("add", parameters={"x": 1}))
        thread.join(60)
        assert agent.tally == {"success": 1}


def test_it_ends_where_nothing_comes_for_a_while(buckets: Buckets) -> None:
    buckets.deposit(make("add", parameters={"x": 1}))
    assert Agent(buckets, terms(idle=0.2)).run() == {"success": 1}


def test_what_failed_is_tried_again_after_what_waits_as_often_as_it_may(buckets: Buckets) -> None:
    told: list[Told] = []
    failing, other = buckets.deposit([make("raising", retries=3), make("add", parameters={"x": 1})])
    assert Agent(buckets, terms(idle=0.2), tell=told.append).run() == {"failure": 3, "success": 1}
    begun = [(each.work.id, each.work.attempt) for each in told if each.kind == "begun" and each.work is not None]
    assert begun == [(failing, 1), (other, 1), (failing, 2), (failing, 3)]
    work = found(buckets, failing)
    assert (work.status, work.attempt, work.ended) == (WorkStatus.failure, 3, True)
    assert str(work.error).startswith("ValueError: no peak was found")


def test_a_failure_for_good_is_not_tried_again(buckets: Buckets) -> None:
    (id,) = buckets.deposit([make("add", parameters={"z": 1}, retries=5)])
    assert Agent(buckets, terms(idle=0.2)).run() == {"failure": 1}
    assert found(buckets, id).attempt == 1


def test_what_an_agent_may_not_perform_is_left_to_one_that_may(buckets: Buckets) -> None:
    told: list[Told] = []
    ids = buckets.deposit([make("add", parameters={"x": number}, retries=1) for number in range(3)])
    other = make(command=["true", "x"], priority=1)
    (allowed,) = buckets.deposit([other])
    narrow = terms(idle=0.2, allowed=Allowed((), ("true",)))
    # Twice: not even the second refusal costs the only attempt.
    assert Agent(buckets, narrow, tell=told.append).run() == {"refused": 3, "success": 1}
    assert {(each.status, each.final, each.ended) for each in map(partial(found, buckets), ids)} == {
        ("failure", False, False)
    }
    assert "works: functions:" in str(found(buckets, ids[0]).error)
    # Each function is told of once.
    (refused,) = [each.text for each in told if each.kind == "refused"]
    assert "may not import" in refused
    assert found(buckets, allowed).status is WorkStatus.success
    assert buckets.audit(None)["failed"] == 3
    assert Agent(buckets, narrow).run() == {"refused": 3}
    assert Agent(buckets, terms(idle=0.2)).run() == {"success": 3}
    assert [found(buckets, id).results for id in ids] == [1, 2, 3]


def test_who_refused_a_work_looks_seldom_after_works_but_at_once_after_what_failed_before(
    buckets: Buckets, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agents, "_LOOK", 0.05)
    buckets.deposit(make(command=["false", "x"], priority=5))
    buckets.deposit(make("add", parameters={"x": 1}))
    agent = Agent(buckets, terms(idle=0.5, allowed=Allowed((), ("false",))))
    # The look for what failed queued what was refused again as well; no other look came after that.
    assert agent.run() == {"failure": 2, "refused": 2}


def test_a_refused_work_costs_a_life(buckets: Buckets) -> None:
    buckets.deposit([make("add", parameters={"x": 1})])
    assert Agent(buckets, terms(lives=1, allowed=Allowed())).run() == {"refused": 1}


def test_the_line_about_a_command_that_failed_has_the_reason(buckets: Buckets) -> None:
    told: list[Told] = []
    buckets.deposit([make(command=["sh", "-c", "echo; echo the disk is full >&2; exit 2"], retries=1)])
    assert Agent(buckets, terms(lives=1), tell=told.append).run() == {"failure": 1}
    assert told[-1].text.endswith("exit code 2. Its standard error ended with: the disk is full")


def test_after_a_timeout_the_next_work_is_performed(buckets: Buckets) -> None:
    endless, other = buckets.deposit([make("endless", timeout=1, retries=1), make("add", parameters={"x": 1})])
    assert Agent(buckets, terms(lives=2)).run() == {"failure": 1, "success": 1}
    assert "timeout of 1 s" in str(found(buckets, endless).error)
    assert found(buckets, other).results == 2


def test_several_works_are_performed_at_a_time(buckets: Buckets, tmp_path: Path) -> None:
    places = [str(tmp_path / name) for name in "abc"]
    # Each waits for the next one to begin.
    buckets.deposit(
        [
            make("waiting", parameters={"started": here, "until": there})
            for here, there in zip(places, [*places[1:], places[0]], strict=True)
        ]
    )
    assert Agent(buckets, terms(lives=3, workers=3)).run() == {"success": 3}


def test_a_given_function_performs_all(buckets: Buckets) -> None:
    (id,) = buckets.deposit([make("raising", parameters={"x": 1})])
    Agent(buckets, terms(lives=1), function=performed.add).run()
    assert found(buckets, id).results == 2


@pytest.mark.parametrize("function", ["measure", "measure_in_short"])
def test_products_are_archived_and_moved_ones_deleted(
    buckets: Buckets, there: Path, tmp_path: Path, function: str
) -> None:
    (id,) = buckets.deposit([make(function, config={"archive": {"products": "move"}})])
    Agent(buckets, terms(lives=1), archivist=Archivist(tmp_path / "archive")).run()
    work = found(buckets, id)
    assert work.results == {"dm": 332.7}
    assert work.products is not None
    assert Path(work.products[0]).is_relative_to(tmp_path / "archive")
    assert (there / "fit.png").exists()
    assert not (there / "fit.h5").exists()


def test_a_work_whose_results_are_not_kept_is_deleted_when_it_has_succeeded(buckets: Buckets) -> None:
    config: dict[str, Any] = {"archive": {"results": False}}
    good, bad = buckets.deposit([make("add", parameters={"x": 1}, config=config), make("raising", config=config)])
    Agent(buckets, terms(idle=0.2)).run()
    assert buckets.get(good) is None
    assert found(buckets, bad).status is WorkStatus.failure


def begun(buckets: Buckets, tmp_path: Path) -> tuple[str, Path]:
    """A work that waits, and the file that ends it."""
    parameters = {"started": str(tmp_path / "started"), "until": str(tmp_path / "until")}
    (id,) = buckets.deposit([make("waiting", parameters=parameters)])
    return id, tmp_path / "started"


def test_a_deleted_work_is_killed_and_the_next_one_performed(buckets: Buckets, tmp_path: Path) -> None:
    id, started = begun(buckets, tmp_path)
    agent = Agent(buckets, terms(lease=4.0, lives=2))
    with serving(agent) as thread:
        until(started.exists)
        pid = int(started.read_text())
        buckets.delete(id)
        until(lambda: not alive(pid))
        buckets.deposit(make("add", parameters={"x": 1}))
        thread.join(60)
    assert agent.tally == {"lost": 1, "success": 1}


def test_who_is_stopped_finishes_what_is_in_hand(buckets: Buckets, tmp_path: Path) -> None:
    id, started = begun(buckets, tmp_path)
    (waiting,) = buckets.deposit([make("add", parameters={"x": 1})])
    agent = Agent(buckets, terms())
    with serving(agent) as thread:
        until(started.exists)
        agent.stop()
        (tmp_path / "until").touch()
        thread.join(60)
        assert not thread.is_alive()
    assert found(buckets, id).results == "seen"
    assert found(buckets, waiting).status is WorkStatus.queued


def test_who_is_stopped_at_once_gives_back_what_is_in_hand(buckets: Buckets, tmp_path: Path) -> None:
    id, started = begun(buckets, tmp_path)
    agent = Agent(buckets, terms())
    with serving(agent) as thread:
        until(started.exists)
        agent.stop(at_once=True)
        thread.join(60)
    assert agent.tally == {"given back": 1}
    assert not alive(int(started.read_text()))
    work = found(buckets, id)
    assert (work.status, work.attempt, work.given_back) == (WorkStatus.queued, 1, 1)


def test_what_does_not_end_within_the_grace_is_given_back(buckets: Buckets, tmp_path: Path) -> None:
    id, started = begun(buckets, tmp_path)
    agent = Agent(buckets, terms(grace=0.2))
    with serving(agent) as thread:
        until(started.exists)
        agent.stop()
        thread.join(60)
        assert not thread.is_alive()
    assert found(buckets, id).status is WorkStatus.queued


def test_who_waits_is_stopped_at_once(buckets: Buckets) -> None:
    agent = Agent(buckets, terms(sleep=300.0, lease=300.0))
    with serving(agent) as thread:
        until(lambda: agent._reached)
        agent.stop()
        thread.join(60)
        assert not thread.is_alive()


class Failing:
    """Lets a method fail some times, then work."""

    def __init__(self, method: Callable[..., Any], *errors: Exception) -> None:
        self.method = method
        self.errors = list(errors)

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        if self.errors:
            raise self.errors.pop(0)
        return self.method(*arguments, **options)


def test_who_is_stopped_while_the_store_is_away_looks_after_nothing_more(
    buckets: Buckets, monkeypatch: pytest.MonkeyPatch
) -> None:
    (id,) = buckets.deposit(make("add", parameters={"x": 1}))
    told: list[Told] = []
    audits: list[object] = []
    agent = Agent(buckets, terms(), tell=told.append)

    def away(work: Work) -> None:
        monkeypatch.setattr(buckets, "audit", audits.append)
        # It is time to look after works.
        agent._looked -= 3600.0
        agent.stop()
        agent.stop(at_once=True)
        raise StoreUnavailable("The store is away.")

    monkeypatch.setattr(buckets, "update", away)
    assert agent.run() == {"not written": 1}
    assert [each.kind for each in told if each.work is not None] == ["begun", "not written"]
    assert audits == []
    assert found(buckets, id).status is WorkStatus.running


def test_an_attempt_that_cannot_be_given_back_is_told_as_such(
    buckets: Buckets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, started = begun(buckets, tmp_path)
    told: list[Told] = []
    agent = Agent(buckets, terms(), tell=told.append)
    monkeypatch.setattr(buckets, "give_back", Failing(buckets.give_back, StoreUnavailable("The store is away.")))
    with serving(agent) as thread:
        until(started.exists)
        agent.stop(at_once=True)
        thread.join(60)
    assert agent.tally == {"not given back": 1}
    assert [each.kind for each in told] == ["begun", "not given back"]
    assert not alive(int(started.read_text()))


def test_a_store_that_is_away_at_the_start_is_told(buckets: Buckets, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buckets, "withdraw", Failing(buckets.withdraw, StoreUnavailable("The store is away.")))
    with pytest.raises(StoreUnavailable, match="away"):
        Agent(buckets, terms()).run()


def test_a_store_that_is_away_later_is_waited_for(buckets: Buckets, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    buckets.deposit([make("add", parameters={"x": number}) for number in range(2)])
    away = StoreUnavailable("The store is away.")
    monkeypatch.setattr(buckets, "update", Failing(buckets.update, away, away))
    agent = Agent(buckets, terms(lives=2), tell=lambda each: told.append(each.text))
    withdraw = buckets.withdraw

    def away_after_the_first(*arguments: Any, **options: Any) -> Any:
        taken = withdraw(*arguments, **options)
        monkeypatch.setattr(buckets, "withdraw", Failing(withdraw, away, away))
        return taken

    monkeypatch.setattr(buckets, "withdraw", away_after_the_first)
    assert agent.run() == {"success": 2}
    assert "The store is away. It is tried again." in told
    assert any(text.startswith("The store answers again") for text in told)


def test_where_it_is_known_that_nothing_came_nothing_is_asked(
    buckets: Buckets, monkeypatch: pytest.MonkeyPatch
) -> None:
    happened: list[str] = []
    answers, withdraw = [False, False, True, False], buckets.withdraw
    agent = Agent(buckets, terms(sleep=600.0, lease=3600.0))

    def withdrawn(*arguments: Any, **options: Any) -> Any:
        happened.append("withdraw")
        return withdraw(*arguments, **options)

    def awaited(pipelines: Sequence[str], timeout: float) -> bool:
        if not answers:
            agent.stop()
            return False
        happened.append(str(answers[0]))
        return answers.pop(0)

    monkeypatch.setattr(buckets, "withdraw", withdrawn)
    monkeypatch.setattr(buckets.shelf, "await_deposit", awaited)
    # Others are not looked after meanwhile.
    monkeypatch.setattr(agents, "_LOOK", 600.0)
    assert agent.run() == {}
    assert happened == ["withdraw", "False", "False", "True", "withdraw", "False"]


def test_who_is_not_let_in_any_more_ends(buckets: Buckets, monkeypatch: pytest.MonkeyPatch) -> None:
    agent = Agent(buckets, terms())
    monkeypatch.setattr(buckets.shelf, "await_deposit", Failing(buckets.shelf.await_deposit, TokenRefused()))
    with pytest.raises(TokenRefused):
        agent.run()


def test_what_the_store_does_not_take_fails_the_work(buckets: Buckets, monkeypatch: pytest.MonkeyPatch) -> None:
    (id,) = buckets.deposit([make("add", parameters={"x": 1})])
    monkeypatch.setattr(buckets, "update", Failing(buckets.update, StoreError("It is too long.")))
    assert Agent(buckets, terms(lives=1)).run() == {"failure": 1}
    work = found(buckets, id)
    assert (work.results, work.final) == (None, True)
    assert work.error == "What came out of the work cannot be written: It is too long."


def test_a_lease_that_cannot_be_renewed_ends_the_attempt_and_the_work_waits_again(
    buckets: Buckets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    id, started = begun(buckets, tmp_path)
    monkeypatch.setattr(buckets, "heartbeat", Failing(buckets.heartbeat, *[StoreUnavailable() for _ in range(100)]))
    agent = Agent(buckets, terms(lease=4.0, lives=1))
    with serving(agent) as thread:
        until(started.exists)
        thread.join(60)
    assert agent.tally == {"given back": 1}
    assert not alive(int(started.read_text()))
    assert found(buckets, id).status is WorkStatus.queued


def test_what_another_agent_has_lost_is_performed(buckets: Buckets) -> None:
    (id,) = buckets.deposit([make("add", parameters={"x": 1})])
    assert buckets.withdraw("sample", lease=0.001) is not None
    assert Agent(buckets, terms(lives=1, lease=4.0)).run() == {"success": 1}
    assert found(buckets, id).attempt == 2


def test_where_no_process_can_be_made_the_work_is_given_back(
    buckets: Buckets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    buckets.deposit(make("add", parameters={"x": 1}))
    (tmp_path / "full").write_text("no directory can be made here")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "full"))
    told: list[Told] = []
    agent = Agent(buckets, terms(), tell=told.append)
    with serving(agent):
        until(lambda: agent.tally.get("given back"))
        monkeypatch.undo()
        until(lambda: agent.tally.get("success"))
    assert any("cannot be performed here" in each.text for each in told)


def test_an_end_that_the_store_does_not_take_at_all_costs_only_that_work(
    buckets: Buckets, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    buckets.deposit([make("add", parameters={"x": number}) for number in range(2)])
    wrong = StoreError("It does not fit.")
    monkeypatch.setattr(buckets, "update", Failing(buckets.update, wrong, wrong))
    assert Agent(buckets, terms(lives=2), tell=lambda each: told.append(each.text)).run() == {
        "not written": 1,
        "success": 1,
    }
    assert any("could not be written and is lost: It does not fit." in text for text in told)


def test_pauses_grow_while_no_work_can_be_begun(buckets: Buckets, monkeypatch: pytest.MonkeyPatch) -> None:
    (id,) = buckets.deposit([make("add", parameters={"x": 1}, retries=1)])
    told: list[Told] = []
    pauses: list[float] = []
    fork = os.fork

    def refused() -> int:
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    class Impatient(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            pauses.append(timeout or 0.0)
            if len(pauses) == 4:
                monkeypatch.setattr(os, "fork", fork)
            return super().wait(0.0)

    monkeypatch.setattr(os, "fork", refused)
    agent = Agent(buckets, terms(idle=0.2), tell=told.append)
    agent._stopped = Impatient()
    assert agent.run() == {"given back": 4, "success": 1}
    assert pauses == sorted(pauses)
    assert pauses[3] > pauses[0]
    work = found(buckets, id)
    assert (work.results, work.attempt, work.given_back) == (2, 5, 4)
    assert [each.text for each in told if each.text.startswith("Works can be performed here again")]


def test_who_interrupts_an_agent_ends_it(buckets: Buckets, tmp_path: Path) -> None:
    id, started = begun(buckets, tmp_path)
    script = (
        "import sys, threading\n"
        "from daskflow.execution.agents.agent import Agent\n"
        "from daskflow.stores.buckets import Buckets\n"
        "from daskflow.stores.buckets.table import WorkTable\n"
        "from daskflow.stores.database import Database\n"
        "from tests.execution.agents.conftest import terms\n"
        "agent = Agent(Buckets(WorkTable(Database(sys.argv[1]))), terms())\n"
        "try:\n"
        "    agent.run()\n"
        "except KeyboardInterrupt:\n"
        "    left = [each.name for each in threading.enumerate() if each.name.startswith('daskflow-agent')]\n"
        "    print(agent.tally, left)\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "works.db")]
    root = Path(__file__).parents[3]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root)
    until(started.exists)
    child = int(started.read_text())
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=60)
    assert said == "{'given back': 1} []\n"
    assert not alive(child)
    work = found(buckets, id)
    assert (work.status, work.given_back) == (WorkStatus.queued, 1)


def test_a_damaged_record_fails_for_good_and_the_next_work_is_performed(buckets: Buckets, tmp_path: Path) -> None:
    broken, good = buckets.deposit([make("add", parameters={"x": 1}, priority=5), make("add", parameters={"x": 1})])
    with sqlite3.connect(tmp_path / "works.db") as connection:
        connection.execute("UPDATE works SET payload = json_set(payload, '$.tags', 7) WHERE id = ?", [broken])
    connection.close()
    assert Agent(buckets, terms(idle=0.2)).run() == {"success": 1}
    assert found(buckets, good).status is WorkStatus.success
    ((status, error),) = [
        (each["status"], each["error"]) for each in buckets.view({"id": broken}, projection={"status": 1, "error": 1})
    ]
    assert (status, "tags" in error) == ("failure", True)
