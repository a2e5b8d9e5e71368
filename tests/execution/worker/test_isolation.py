from __future__ import annotations

import ctypes
import gc
import itertools
import os
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dask
import pytest

from daskflow.artifacts.store import ObjectStore
from daskflow.artifacts.values import Values
from daskflow.errors import JobTimeout, OutOfMemory
from daskflow.execution.worker.attempt import CURRENT_ATTEMPT, Attempt, current
from daskflow.execution.worker.capture import CURRENT_LOG, Log, capturing, read_log
from daskflow.execution.worker.isolation import FailedInChild, call_apart
from daskflow.execution.worker.package import Attempts
from daskflow.execution.worker.saving import HandedOver
from daskflow.execution.worker.usage import Usage
from daskflow.graph.task import Task
from daskflow.model.policy import Policy
from daskflow.sites import grip
from daskflow.sites.channel import CURRENT_CHANNEL
from daskflow.sites.grip import Killed, gripping, kill_here
from tests.execution.patience import alive, until
from tests.sites import deeds
from tests.sites.deeds import noted


def call(function: Any, *arguments: Any, timeout: float = 60.0, usage: Usage | None = None) -> Any:
    limits = Attempts(timeout=timeout)
    return call_apart(Task(function, Policy(name="work")), list(arguments), limits, usage)


@contextmanager
def attempted(logs: Path) -> Iterator[tuple[Attempt, Log]]:
    """What a worker sets up around a call."""
    made = Attempt("work-1", 1, "a-run", 60.0), Log(str(logs))
    tokens = CURRENT_ATTEMPT.set(made[0]), CURRENT_LOG.set(made[1])
    with capturing():
        yield made
    CURRENT_ATTEMPT.reset(tokens[0])
    CURRENT_LOG.reset(tokens[1])


def test_the_result_comes_back_from_another_process() -> None:
    here, there = call(lambda x: (x, os.getpid()), {"a": [1]})
    assert here == {"a": [1]}
    assert there != os.getpid()
    assert not alive(there)


def test_large_results_come_back() -> None:
    assert len(call(lambda: bytes(50_000_000))) == 50_000_000


def test_functions_come_back() -> None:
    assert call(lambda: lambda x: x + 1)(2) == 3


def test_a_result_that_does_not_pickle_is_named() -> None:
    with pytest.raises(FailedInChild, match="A lock does not pickle") as caught:
        call(lambda: threading.Lock())  # noqa: PLW0108  (a built-in has no signature)
    assert caught.value.failure.type == "daskflow.errors.NotSerialisable"


class Own(Exception):
    def __init__(self, one: str, two: str) -> None:
        super().__init__(one)


def test_errors_come_back_with_the_users_own_lines() -> None:
    def parse(text: str) -> int:
        return int(text)

    with pytest.raises(FailedInChild) as caught:
        call(parse, "one")
    assert isinstance(caught.value.error, ValueError)
    assert "return int(text)" in caught.value.failure.traceback
    assert "in _serve" not in caught.value.failure.traceback

    def fail() -> None:
        raise Own("one", "two")

    with pytest.raises(FailedInChild) as caught:
        call(fail)
    assert caught.value.failure.type.endswith(".Own")
    # It does not unpickle and a plain error stands for it; but dask, once imported, teaches all errors to unpickle.
    assert isinstance(caught.value.error, (RuntimeError, Own))


def test_sys_exit_is_an_error_like_others() -> None:
    with pytest.raises(FailedInChild) as caught:
        call(sys.exit, "enough")
    assert isinstance(caught.value.error, SystemExit)


def test_reports_and_log_come_back(tmp_path: Path) -> None:
    def work() -> int:
        print("printed")
        current().report.metric("chisq", 1.5)
        return 1

    with attempted(tmp_path) as (attempt, log):
        assert [call(work), call(work)] == [1, 1]
    assert [item.title for item in attempt.reports] == ["chisq", "chisq"]
    where = log.slice()
    assert where is not None
    assert read_log(tmp_path, *where) == "printed\nprinted\n"


def test_the_log_of_a_killed_call_is_there(tmp_path: Path) -> None:
    def work() -> None:
        print("last words")
        signal.pause()

    with attempted(tmp_path) as (_, log):
        with pytest.raises(JobTimeout, match=r"work-1 took longer than its timeout of 1 s and was killed"):
            call(work, timeout=1.0)
        where = log.slice()
    assert where is not None
    assert read_log(tmp_path, *where) == "last words\n"


def test_the_message_of_a_timeout_ends_with_the_last_lines_of_the_log(tmp_path: Path) -> None:
    def work() -> None:
        signal.signal(signal.SIGTERM, lambda *_: print("asked to end") or os._exit(1))
        for number in range(100):
            print(f"line {number}")
        signal.pause()

    with attempted(tmp_path), pytest.raises(JobTimeout) as caught:
        call(work, timeout=2.0)
    lines = str(caught.value).splitlines()
    assert lines[1] == "Its log ended with:"
    assert lines[2:] == [*[f"line {number}" for number in range(81, 100)], "asked to end"]


def test_a_timeout_kills_children_of_children(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    found: list[int] = []

    def started() -> bool:
        found[:] = [int(line) for line in pids.read_text().split()] if pids.exists() else []
        return len(found) == 3

    with pytest.raises(JobTimeout):
        call(deeds.stubborn, str(pids), timeout=3.0)
    assert started()
    assert not any(map(alive, found))


def test_programs_left_behind_by_a_call_that_succeeded_end_too() -> None:
    for session in (False, True):
        pid = call(lambda session=session: subprocess.Popen(["sleep", "600"], start_new_session=session).pid)
        assert not alive(pid)


def busy_c() -> None:
    ctypes.CDLL(None).sleep(600)


def busy_regex() -> None:
    re.match(r"(a+)+$", "a" * 60 + "b")


def busy_sum() -> None:
    sum(itertools.repeat(0))


@pytest.mark.parametrize("function", [busy_c, busy_regex, busy_sum])
def test_what_never_comes_back_to_python_is_killed(function: Any) -> None:
    start = time.monotonic()
    with pytest.raises(JobTimeout):
        call(function, timeout=0.2)
    assert time.monotonic() - start < 10


@pytest.mark.parametrize("timeout", [1e-9, 1e-4, 1e-3, 3e-3, 1e-2])
def test_timeouts_shorter_than_the_start_of_a_process(timeout: float) -> None:
    for _ in range(20):
        with pytest.raises(JobTimeout):
            call(signal.pause, timeout=timeout)


def test_a_child_killed_by_a_signal_is_a_clear_error() -> None:
    with pytest.raises(ChildProcessError, match=r"ended without a result \(signal SIGKILL\)"):
        call(lambda: os.kill(os.getpid(), signal.SIGKILL))
    with pytest.raises(ChildProcessError, match=r"\(exit code 3\)"):
        call(lambda: os._exit(3))


def test_the_death_of_a_child_is_seen_at_once_while_others_run(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    gate_path = str(gate)

    def wait() -> int:
        until(lambda: os.path.exists(gate_path))
        return 1

    threads = [threading.Thread(target=call, args=(wait,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    start = time.monotonic()
    for _ in range(5):
        with pytest.raises(ChildProcessError):
            call(lambda: os.kill(os.getpid(), signal.SIGKILL), timeout=50)
    assert time.monotonic() - start < 40, "other children hold no pipe open that is not theirs"
    gate.touch()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()


def test_what_a_child_uses_is_counted() -> None:
    def burn() -> int:
        stop = time.process_time() + 0.2
        while time.process_time() < stop:
            pass
        return len(bytearray(150 * 2**20))

    usage = Usage()
    usage.begin()
    call(burn, usage=usage)
    cpu, memory = usage.end()
    assert cpu >= 0.2
    assert memory > 150 * 2**20


def test_a_process_that_left_others_behind_and_died_is_seen(tmp_path: Path) -> None:
    """A grandchild holds the pipe open, so that no end of file tells of the death."""
    pids = tmp_path / "pids"

    def die() -> None:
        if os.fork() == 0:
            os.setsid()
            deeds.note(str(pids))
            signal.pause()
        until(lambda: noted(pids))
        os.kill(os.getpid(), signal.SIGKILL)

    with pytest.raises(ChildProcessError, match="SIGKILL"):
        call(die)
    (pid,) = noted(pids)
    os.kill(pid, signal.SIGKILL)  # it has a session of its own, and its parent was killed by somebody else


def hog(megabytes: int, in_program: bool) -> int:
    if in_program:
        code = f"data = bytearray(b'x') * ({megabytes} * 2**20)\nimport time\ntime.sleep(1000)"
        subprocess.run([sys.executable, "-c", code], check=True)
    data = bytearray(b"x") * (megabytes * 2**20)
    signal.pause()
    return len(data)


@pytest.mark.parametrize("in_program", [False, True])
def test_who_uses_too_much_memory_is_killed(tmp_path: Path, in_program: bool) -> None:
    ballast = bytearray(b"x") * (200 * 2**20)  # of the worker; the fork shares it
    limits = Attempts(memory=150 * 2**20)
    task = Task(hog, Policy(name="work"))
    usage = Usage()
    usage.begin()
    with (
        attempted(tmp_path),
        pytest.raises(OutOfMemory, match=r"work-1 used \d+ MiB of memory where it may use 150 MiB, and was killed"),
    ):
        call_apart(task, [300, in_program], limits, usage)
    assert usage.end()[1] > 150 * 2**20
    assert len(ballast) == 200 * 2**20


def test_who_keeps_to_its_memory_is_not(tmp_path: Path) -> None:
    ballast = bytearray(b"x") * (200 * 2**20)

    def work() -> int:
        data = bytearray(b"x") * (60 * 2**20)
        for _ in range(4):  # each shares the pages of its parent
            if os.fork() == 0:
                signal.pause()
        stop = time.monotonic() + 0.5
        while time.monotonic() < stop:
            sum(data[:1000])
        return len(data)

    limits = Attempts(memory=150 * 2**20)
    assert call_apart(Task(work, Policy(name="work")), [], limits) == 60 * 2**20
    assert len(ballast) == 200 * 2**20


def test_without_limits_it_takes_as_long_as_it_likes() -> None:
    assert call_apart(Task(os.getpid, Policy(name="work")), [], Attempts(isolated=True)) != os.getpid()


def test_what_is_told_goes_on_at_once() -> None:
    told: list[bytes] = []
    gate, opened = os.pipe()

    def work() -> bytes:
        channel = CURRENT_CHANNEL.get()
        assert channel is not None
        channel(b"live")
        return os.read(gate, 1)

    def hear(record: bytes) -> None:
        told.append(record)
        os.write(opened, b"g")

    token = CURRENT_CHANNEL.set(hear)
    assert call(work) == b"g", "the parent heard it while the child ran"
    CURRENT_CHANNEL.reset(token)
    assert told == [b"live"]


def test_a_killed_call_is_dead_when_it_ends(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    ends: list[BaseException] = []

    def perform() -> None:
        try:
            with gripping("node", lambda record: None):
                call(deeds.stubborn, str(pids))
        except Killed as error:
            ends.append(error)

    thread = threading.Thread(target=perform)
    thread.start()
    until(lambda: len(noted(pids)) == 3)
    assert kill_here(["node"]) == set()
    assert not any(map(alive, noted(pids)))
    thread.join(30)
    assert len(ends) == 1
    with pytest.raises(Killed), gripping("node", lambda record: None):
        call(os.getpid)
    grip._doomed.clear()


def test_handlers_of_signals_are_not_inherited(monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        handler, mask, group = call(
            lambda: (signal.getsignal(signal.SIGTERM), signal.pthread_sigmask(signal.SIG_BLOCK, []), os.getpgid(0))
        )
    finally:
        signal.signal(signal.SIGTERM, before)
    assert handler is signal.SIG_DFL
    assert signal.SIGTERM not in mask
    assert group != os.getpgid(0)
    assert signal.SIGTERM not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


def test_who_is_killed_by_the_system_near_the_limit_was_out_of_memory() -> None:
    def grow() -> None:
        block = bytearray(90 << 20)
        os.kill(os.getpid(), signal.SIGKILL)
        del block

    task = Task(grow, Policy(name="work"))
    with pytest.raises(OutOfMemory, match=r"may use 100 MiB, its share, and the system killed it"):
        call_apart(task, [], Attempts(memory=100 << 20, basis="its share"))
    with pytest.raises(ChildProcessError, match="signal SIGKILL"):
        call_apart(task, [], Attempts(memory=900 << 20))


def test_handing_over_passes_through(tmp_path: Path) -> None:
    values = Values(ObjectStore(tmp_path / "store"), key=bytes(32))
    attempt = Attempt("work-1", 1, "a-run", None, values=values)
    token = CURRENT_ATTEMPT.set(attempt)
    try:
        with pytest.raises(HandedOver):
            call(lambda: current().hand_over({"step": 3}))
        assert attempt.has_state, "so that it is forgotten when the job has its result"
        assert attempt.restore() == {"step": 3}
    finally:
        CURRENT_ATTEMPT.reset(token)


def test_variables_of_the_attempt_are_those_of_its_process() -> None:
    attempt = Attempt("work-1", 1, "a-run", None)
    attempt.variables = {"CUDA_VISIBLE_DEVICES": "3"}
    token = CURRENT_ATTEMPT.set(attempt)
    try:
        assert call(lambda: os.environ["CUDA_VISIBLE_DEVICES"]) == "3"
    finally:
        CURRENT_ATTEMPT.reset(token)
    assert os.environ.get("CUDA_VISIBLE_DEVICES") != "3"


@pytest.mark.parametrize("garbage", [0, 100])
def test_usage_is_that_of_the_process_without_what_it_shares(garbage: int) -> None:
    # In an interpreter of its own: what else was allocated and freed decides how much of it a fork gives back.
    code = f"""
        import gc
        from daskflow.execution.worker.usage import Usage
        from tests.execution.worker.test_isolation import call

        class Knot:
            pass

        def work():
            gc.collect()
            return len(bytearray(50 << 20))

        gc.disable()
        block, knot = bytearray(300 << 20), Knot()
        knot.itself, knot.block = knot, bytearray({garbage} << 20)
        del knot
        usage = Usage()
        usage.begin()
        call(work, usage=usage)
        print(usage.end()[1])
    """
    ran = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True)
    assert 50 << 20 <= int(ran.stdout) < 200 << 20


def test_garbage_of_the_parent_is_not_finalized_in_its_child() -> None:
    class Knot:
        def __init__(self) -> None:
            self.itself = self

        def __del__(self) -> None:
            found.append(os.getpid())

    found: list[int] = []
    gc.collect()
    gc.disable()
    try:
        Knot()
        assert call(lambda: (gc.collect(), list(found)))[1] == []
        gc.collect()
    finally:
        gc.enable()
    assert found == [os.getpid()]


@pytest.mark.parametrize("default", [None, "dask.distributed", "synchronous"])
def test_what_a_task_computes_by_dask_is_computed_in_its_own_process(default: str | None) -> None:
    def work() -> tuple[int, str]:
        return dask.delayed(sum)([1, 2]).compute(), dask.config.get("scheduler")

    with dask.config.set(scheduler=default):
        assert call(work) == (3, default if default == "synchronous" else "threads")
