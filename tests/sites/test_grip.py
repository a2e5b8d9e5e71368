from __future__ import annotations

import contextlib
import subprocess
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from daskflow.sites import grip as module
from daskflow.sites.grip import CURRENT_GRIP, Grip, Killed, condemn, doomed, gripping, kill_here, pardon
from daskflow.sites.processes import BOOTTIME
from tests.execution.patience import alive, until


class Performer:
    """Performs one node in a thread of its own."""

    def __init__(self, key: str, act: Callable[[Grip], object], *, sweep: bool = False) -> None:
        self.end: BaseException | None = None
        self.value: Any = None
        self._begun = threading.Event()
        self.thread = threading.Thread(target=self._perform, args=(key, act, sweep), daemon=True)
        self.thread.start()
        assert self._begun.wait(30)

    def _perform(self, key: str, act: Callable[[Grip], object], sweep: bool) -> None:
        try:
            with gripping(key, lambda record: None, sweep=sweep) as grip:
                self._begun.set()
                self.value = act(grip)
        except BaseException as error:
            self.end = error

    def ended(self) -> BaseException | None:
        self.thread.join(30)
        assert not self.thread.is_alive()
        return self.end


def spin() -> None:
    while True:
        pass


def test_nothing_is_held_where_nothing_is_performed() -> None:
    assert CURRENT_GRIP.get() is None
    assert module._grips == {}
    assert kill_here(["unheard-of"]) == set()


def test_a_call_gives_its_value_or_its_error() -> None:
    grip = Grip("node")
    assert grip.call(divmod, 7, 2) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        grip.call(divmod, 7, 0)
    assert not grip.exposed


def test_python_code_ends_at_its_next_line() -> None:
    performer = Performer("node", lambda grip: grip.call(spin))
    assert kill_here(["node"]) == set()
    assert isinstance(performer.ended(), Killed)
    assert module._grips == {}


def test_code_that_catches_everything_is_killed_again() -> None:
    def immortal() -> None:
        for _ in range(2):
            with contextlib.suppress(BaseException):
                spin()
        spin()

    performer = Performer("node", lambda grip: grip.call(immortal))
    assert kill_here(["node"]) == set()
    assert isinstance(performer.ended(), Killed)


def test_a_value_that_comes_after_the_kill_does_not_count() -> None:
    gate = threading.Event()
    performer = Performer("node", lambda grip: grip.call(gate.wait))
    until(lambda: [grip for grip in list(module._grips.values()) if grip.exposed])
    assert kill_here(["node"]) == {"node"}, "what waits in compiled code does not listen"
    gate.set()
    assert isinstance(performer.ended(), Killed)


def test_pauses_end_at_once() -> None:
    performer = Performer("node", lambda grip: grip.pause(1000.0))
    assert kill_here(["node"]) == set()
    assert isinstance(performer.ended(), Killed)


def test_whoever_waits_elsewhere_is_woken() -> None:
    bell = threading.Event()

    def wait(grip: Grip) -> bool:
        with grip.alarm(bell.set):
            return bell.wait(30)

    performer = Performer("node", wait)
    assert kill_here(["node"]) == set()
    assert performer.ended() is None
    assert performer.value is True


def test_what_begins_after_it_was_killed_ends_as_it_begins() -> None:
    condemn(["late"])
    assert doomed("late")
    assert isinstance(Performer("late", lambda grip: grip.call(spin)).ended(), Killed)
    assert isinstance(Performer("late", lambda grip: grip.alarm(spin).__enter__()).ended(), Killed)


def test_old_kills_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_REMEMBERED", 2)
    condemn(["one", "two"])
    condemn(["three"])
    assert [key for key in ("one", "two", "three") if doomed(key)] == ["two", "three"]


def test_a_thread_does_not_wait_for_its_own_end() -> None:
    performer = Performer("node", lambda grip: kill_here(["node"]))
    assert performer.ended() is None
    assert performer.value == {"node"}


def test_a_kill_hits_nobody_who_comes_after() -> None:
    """The error that is raised from outside never lands beyond the call, whenever it comes."""
    stray: list[BaseException] = []

    def short_calls(grip: Grip) -> None:
        try:
            for _ in range(10**9):
                grip.call(abs, -1)
        except Killed:
            pass
        try:
            for _ in range(1000):
                abs(-1)
        except BaseException as error:
            stray.append(error)

    for turn in range(100):
        performer = Performer(f"node-{turn}", short_calls)
        assert kill_here([f"node-{turn}"]) == set()
        assert performer.ended() is None
    assert stray == []


def next_tick() -> None:
    """Starts of processes are known by ticks."""
    begin = time.clock_gettime(BOOTTIME)
    until(lambda: time.clock_gettime(BOOTTIME) - begin > 0.05)


def test_programs_of_a_killed_node_are_swept_where_the_process_is_the_sites_own() -> None:
    older = subprocess.Popen(["sleep", "1000"])
    programs: list[subprocess.Popen[bytes]] = []

    def leave(grip: Grip) -> None:
        programs.append(subprocess.Popen(["sleep", "1000"], start_new_session=True))
        grip.call(spin)

    for sweep in (False, True):
        next_tick()
        Performer(f"node-{sweep}", leave, sweep=sweep)
        until(lambda: len(programs) == 1 + sweep)  # noqa: B023
        assert kill_here([f"node-{sweep}"]) == set()
    assert [alive(program.pid) for program in (older, *programs)] == [True, True, False]
    for program in (older, *programs):
        program.kill()
        program.wait()


def test_what_was_pardoned_begins() -> None:
    condemn(["pardoned", "not"])
    pardon(["pardoned", "unknown"])
    assert (doomed("pardoned"), doomed("not")) == (False, True)
    with gripping("pardoned", lambda record: None) as grip:
        grip.check()
