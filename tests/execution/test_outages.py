from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from daskflow.errors import BatchMissing, SiteError
from daskflow.execution import outages
from daskflow.execution.outages import FIRST, LIMIT, LONGEST, Outages, SiteEar
from daskflow.graph.facts import available
from daskflow.graph.question import Asker
from daskflow.graph.race import Racer
from daskflow.model.states import RunState
from daskflow.sites import SynchronousSite
from tests.conftest import Lab
from tests.execution.patience import until

A: Any = SynchronousSite("a", lambda *_: (None, b"", b""))
B: Any = SynchronousSite("b", lambda *_: (None, b"", b""))
DOWN = SiteError("no route")


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_site_that_is_down_is_tried_after_longer_and_longer_times(clock: Clock) -> None:
    found = Outages(clock)
    delays = []
    for _ in range(6):
        delay = found.down(A, DOWN)
        assert delay is not None
        delays.append(delay)
        assert found.patience == delay
        assert found.barred(A)
        assert not found.barred(B), "others are not concerned"
        clock.now += delay
        assert not found.barred(A)
        found.try_out(A)
        assert found.barred(A), "until it is known whether it is up"
        assert Outages(clock).patience is found.patience is None, "nothing is to be tried again"
    assert delays == [FIRST, 10.0, 20.0, 40.0, LONGEST, LONGEST]
    assert found.up(A) == sum(delays)
    assert not found.barred(A)
    assert found.down(A, DOWN) == FIRST, "that was another outage"


def test_a_site_that_is_due_and_has_nothing_to_be_tried_with_is_looked_at_now_and_then(clock: Clock) -> None:
    found = Outages(clock)
    found.down(A, DOWN)
    clock.now += LONGEST
    assert found.patience is not None
    assert found.patience >= 1.0


def test_what_was_never_used_is_strange_and_tried_out(clock: Clock) -> None:
    found = Outages(clock)
    assert found.strange(A)
    found.try_out(A)
    assert found.barred(A)
    assert found.up(A) is None, "it was not down"
    assert not found.strange(A)
    assert not found.barred(A)


def test_a_run_ends_when_nothing_is_left_but_sites_that_are_down_for_long(clock: Clock) -> None:
    found = Outages(clock)
    found.up(A)
    found.down(A, DOWN)
    assert found.end([A], alone=True) is None, "it was up before"
    clock.now += LIMIT
    assert found.end([A, B], alone=False) is None, "something is left at the other"
    assert found.end([A], alone=False) is DOWN
    found.try_out(A)
    assert found.end([A], alone=False) is None


def test_a_run_ends_at_once_where_trying_again_cannot_help(clock: Clock) -> None:
    missing = BatchMissing("no sbatch")
    found = Outages(clock)
    assert found.down(A, missing) is None
    assert found.barred(A)
    clock.now += LONGEST
    assert found.barred(A), "for good"
    assert found.patience is None
    assert found.end([A], alone=False) is missing
    found.down(B, DOWN)
    assert found.end([A, B], alone=False) is None, "the other may come back"
    assert found.end([], alone=False) is None


def test_the_only_site_of_a_run_has_to_open_at_first(clock: Clock) -> None:
    found = Outages(clock)
    found.down(A, DOWN)
    assert found.end([A], alone=True) is DOWN
    assert found.end([A], alone=False) is None


def test_only_errors_of_the_site_concern_the_site_alone() -> None:
    class Heard:
        def __init__(self) -> None:
            self.told: list[Any] = []

        def __getattr__(self, name: str) -> Any:
            return lambda *given: self.told.append((name, *given))

    heard: Any = Heard()
    down: list[Exception] = []
    ear = SiteEar(heard, down.append)
    ear.performed([b""])
    ear.lost("key", "reason", "")
    ear.tell("pilot.ended", "{}")
    ear.fail(DOWN)
    error = ValueError()
    ear.fail(error)
    assert down == [DOWN]
    assert heard.told == [
        ("performed", [b""]),
        ("lost", "key", "reason", ""),
        ("tell", "pilot.ended", "{}"),
        ("fail", error),
    ]


class Shaky:
    """A site that can be switched off and on."""

    def __init__(self, site: Any, name: str) -> None:
        self.site = site
        self.name = name
        self.error: Exception | None = None
        self.tries = 0
        self.listener: Any = None
        self.gate = threading.Event()
        self.gate.set()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.site, name)

    def submit(self, nodes: Any, kept: Any, listener: Any, foreign: Any) -> None:
        self.tries += 1
        self.listener = listener
        self.gate.wait(60)
        if self.error is not None:
            raise self.error
        self.site.submit(nodes, kept, listener, foreign)


@pytest.fixture
def shaky(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shaky]:
    monkeypatch.setattr(outages, "FIRST", 0.05)
    monkeypatch.setattr(outages, "_LOOK", 0.05)
    site = Shaky(lab.project.site("threads"), "shaky")
    lab.project._sites["shaky"] = site
    lab.project._makers = {**lab.project._makers, "shaky": lambda: site}
    yield site
    site.gate.set()


def _kinds(run: Any) -> list[str]:
    return [event.kind for event in run.events("site.*") if event.kind != "site.opened"]


def test_a_site_that_is_down_holds_only_its_own_jobs(lab: Lab, shaky: Shaky) -> None:
    shaky.error = SiteError("no route to the scheduler")

    @lab.task
    def work(x: int) -> int:
        return x

    @lab.task
    def both(x: int, y: int) -> int:
        return x + y

    @lab.flow(site="threads")
    def study() -> Any:
        far = [work(x, site="shaky") for x in range(3)]
        near = [work(x) for x in range(10, 13)]
        return [both(x, y) for x, y in zip(far, near, strict=True)]

    run = study.submit()
    until(lambda: shaky.tries > 2)
    until(lambda: sum(job.state.good for job in run.jobs) == 3)
    assert run.state is RunState.running
    shaky.error = None
    assert run.result(60) == [10, 12, 14]
    kinds = _kinds(run)
    assert kinds[-1] == "site.up"
    assert set(kinds[:-1]) == {"site.down"}
    down = run.events("site.down")[0].data
    assert down["site"] == "shaky"
    assert "no route" in down["error"]


def test_a_site_that_does_not_answer_keeps_no_other_waiting(lab: Lab, shaky: Shaky) -> None:
    shaky.gate.clear()

    @lab.task
    def work(x: int) -> int:
        return x

    @lab.flow(site="threads")
    def study() -> Any:
        return [work(1, site="shaky"), work(2)]

    run = study.submit()
    until(lambda: shaky.tries == 1)
    until(lambda: any(job.state.good for job in run.jobs))
    shaky.gate.set()
    assert run.result(60) == [1, 2]
    assert _kinds(run) == []


def test_what_a_site_performed_when_it_went_down_is_performed_again(lab: Lab, shaky: Shaky, tmp_path: Any) -> None:
    gate = tmp_path / "gate"

    @lab.task
    def work(x: int, gate: str) -> int:
        import os  # noqa: PLC0415
        import time  # noqa: PLC0415

        while not os.path.exists(gate):
            time.sleep(0.01)
        return x

    @lab.flow(site="shaky")
    def study(gate: str) -> Any:
        return [work(x, gate) for x in range(3)]

    run = study.submit(str(gate))
    until(lambda: shaky.listener is not None and shaky.site.running())
    gate.touch()
    shaky.listener.fail(SiteError("its scheduler was stopped"))
    assert run.result(60) == [0, 1, 2]
    assert "site.down" in _kinds(run)


@pytest.mark.parametrize("kind", ["argument", "condition", "race", "returned"])
def test_what_waits_for_a_site_that_never_comes_keeps_no_run_alive(lab: Lab, shaky: Shaky, kind: str) -> None:
    shaky.error = BatchMissing("sbatch is not installed")

    @lab.task
    def work(x: int) -> int:
        return x

    @lab.task
    def more(x: int) -> Any:
        return work.options(site="shaky")(x)

    @lab.flow(site="threads")
    def study() -> Any:
        if kind == "returned":
            return work(more(1))
        far = work(1, site="shaky")
        if kind == "condition":
            return far, work(2, when=far.succeeded)
        return work(Racer(lab.launcher)([far, work(2, site="shaky")]) if kind == "race" else far)

    run = study.submit()
    with pytest.raises(BatchMissing, match="sbatch"):
        run.result(60)
    assert run.state is RunState.failed, "somebody has to mend it first"


class Door:
    """Something that may be there."""

    def __init__(self, path: Any) -> None:
        self.path = path

    def key_text(self) -> str:
        return "door"

    def exists(self) -> bool:
        return bool(self.path.exists())


@pytest.mark.parametrize("timely", [True, False])
def test_what_can_go_on_elsewhere_keeps_a_run_alive(lab: Lab, shaky: Shaky, timely: bool, tmp_path: Any) -> None:
    shaky.error = BatchMissing("sbatch is not installed")
    gate = tmp_path / "gate"

    @lab.task
    def work(x: Any) -> Any:
        return x

    @lab.flow(site="threads")
    def study() -> Any:
        near = work(3, when=available(Door(gate))) if timely else work(Asker(lab.launcher).job("Go on?", schema=int))
        return [work(1, site="shaky"), near]

    run = study.submit()
    until(lambda: run.events("site.down"))
    until(lambda: timely or run.questions())
    run._engine.nudge()
    if timely:
        gate.touch()
    else:
        run.answer(value=3)
    with pytest.raises(BatchMissing, match="sbatch"):
        run.result(60)
    assert [job.state.good for job in run.jobs if job.task.policy.name == "work"] in ([False, True], [True, False])


def test_a_paused_run_tries_no_site_and_does_not_end(lab: Lab, shaky: Shaky) -> None:
    shaky.gate.clear()
    shaky.error = DOWN

    @lab.task
    def work(x: int) -> int:
        return x

    @lab.flow(site="threads")
    def study() -> Any:
        return [work(1, site="shaky"), work(2)]

    run = study.submit()
    until(lambda: shaky.tries == 1)
    run.pause()
    shaky.gate.set()
    until(lambda: run.events("site.down"))
    assert run._engine._dispatcher.patience is None
    shaky.error = None
    run.resume()
    assert run.result(60) == [1, 2]


def test_a_run_whose_last_site_never_comes_ends_and_says_why(lab: Lab, shaky: Shaky) -> None:
    shaky.error = BatchMissing("sbatch is not installed")

    @lab.task
    def work(x: int) -> int:
        return x

    @lab.flow(site="threads")
    def study() -> Any:
        return [work(1, site="shaky"), work(2)]

    run = study.submit()
    with pytest.raises(BatchMissing, match="sbatch"):
        run.result(60)
    assert [job.state.good for job in run.jobs] == [False, True], "the other was performed"
    assert shaky.tries == 1
