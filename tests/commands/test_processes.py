from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from daskflow.commands.processes import Launch, Process, Watch, kill_group
from daskflow.errors import CommandFailed, CommandMissing
from tests.execution.patience import alive, until

NULL = (subprocess.DEVNULL,) * 3


def start(*argv: str, workdir: Path = Path("/"), stop: Callable[[], object] | None = None) -> Process:
    return Process(Launch(list(argv), workdir, dict(os.environ), {}, stop), NULL)


def children(text: str, tmp_path: Path) -> tuple[Process, list[int]]:
    """A shell that says which processes it has started."""
    process = start("sh", "-c", f"{text} echo $! > pid; mv pid pids; wait", workdir=tmp_path)
    until((tmp_path / "pids").exists)
    return process, [int((tmp_path / "pids").read_text())]


def test_the_first_to_end_is_told() -> None:
    processes = [start("sleep", "100"), start("true"), start("sleep", "100")]
    pids = [process.pid for process in processes]
    assert Watch().wait(pids, math.inf) == pids[1]
    assert Watch().wait(pids, time.monotonic()) == pids[1], "it has not been waited for"
    assert processes[1].end() == 0
    assert Watch().wait(pids[::2], time.monotonic() + 0.01) is None
    for process in processes[::2]:
        assert process.kill(kill_group) == -signal.SIGTERM


def test_without_descriptors_of_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_: int) -> int:
        raise OSError

    monkeypatch.setattr(os, "pidfd_open", missing)
    test_the_first_to_end_is_told()


@pytest.mark.parametrize(
    ("argv", "code"), [(["true"], 0), (["sh", "-c", "exit 3"], 3), (["sh", "-c", "kill -9 $$"], -9)]
)
def test_exit_codes(argv: list[str], code: int) -> None:
    process = start(*argv)
    Watch().wait([process.pid], math.inf)
    assert process.end() == code


def test_a_look_can_stop_the_waiting() -> None:
    looks: list[Sequence[int]] = []

    def look(pids: Sequence[int]) -> None:
        looks.append(pids)
        if len(looks) == 3:
            raise TimeoutError

    process = start("sleep", "100")
    with pytest.raises(TimeoutError):
        Watch(look, every=0.001).wait([process.pid], math.inf)
    assert looks == [[process.pid]] * 3
    process.kill(kill_group)


def test_a_bell_has_it_look_at_once() -> None:
    reader, writer = os.pipe()
    rung = threading.Event()

    def look(_: Sequence[int]) -> None:
        if rung.is_set():
            raise TimeoutError
        rung.set()
        os.write(writer, b"!")

    process = start("sleep", "100")
    with pytest.raises(TimeoutError):
        Watch(look, bell=reader).wait([process.pid], math.inf)
    process.kill(kill_group)
    os.close(reader)
    os.close(writer)


def test_what_a_process_leaves_behind_is_killed(tmp_path: Path) -> None:
    process = start("sh", "-c", "sleep 1000 & echo $! > pid", workdir=tmp_path)
    Watch().wait([process.pid], math.inf)
    pid = int((tmp_path / "pid").read_text())
    assert alive(pid)
    assert process.end() == 0
    until(lambda: not alive(pid))


def test_killing_is_gentle_at_first(tmp_path: Path) -> None:
    process, pids = children("trap 'echo bye > end; exit 4' TERM; sleep 1000 &", tmp_path)
    assert process.kill(kill_group) == 4
    assert (tmp_path / "end").exists()
    until(lambda: not any(map(alive, pids)))


def test_killing_is_hard_in_the_end(tmp_path: Path) -> None:
    process, pids = children("trap '' TERM; sleep 1000 &", tmp_path)
    stopped: list[int] = []
    process._launch = process._launch._replace(stop=lambda: stopped.append(process.pid))
    assert process.kill(kill_group) == -signal.SIGKILL
    until(lambda: not any(map(alive, pids)))
    assert stopped == [process.pid]


def test_whatever_happens_to_the_killer() -> None:
    def kill(_: int) -> None:
        raise RuntimeError

    process = start("sleep", "1000")
    with pytest.raises(RuntimeError):
        process.kill(kill)
    assert not alive(process.pid)


def test_a_stopped_process_is_killed() -> None:
    process = start("sleep", "1000")
    os.kill(process.pid, signal.SIGSTOP)
    assert process.kill(kill_group) == -signal.SIGTERM


@pytest.mark.parametrize("name", ["no-such-program", "./no-such-script", "/", "./data", "./text", "./no-interpreter"])
def test_what_cannot_be_started(name: str, tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(b"")
    for script, text in {"text": "no script", "no-interpreter": "#!/no/such\n"}.items():
        (tmp_path / script).write_text(text)
        (tmp_path / script).chmod(0o755)
    with pytest.raises(CommandMissing, match=f"{name}' cannot be started: "):
        start(name, workdir=tmp_path)


def test_arguments_that_are_too_long() -> None:
    with pytest.raises(CommandFailed, match="too long"):
        start("echo", "x" * 10_000_000)
    with pytest.raises(CommandFailed, match="null byte"):
        start("echo", "\0")


def test_what_was_used() -> None:
    text = "import time; data = bytearray(300 << 20); sum(range(2_000_000)); time.sleep(1000)"
    process = start(sys.executable, "-c", text)

    # At its end the kernel tells no less than the peak of this process, which is large when it has run many tests.
    def large() -> bool:
        process.look()
        return process.memory > 300 << 20

    until(large)
    process.kill(kill_group)
    assert process.cpu > 0.02


def test_memory_is_not_that_of_the_worker(tmp_path: Path) -> None:
    # The kernel tells at least the memory that this process had when it started the other one.
    process, _ = children("sleep 1000 &", tmp_path)
    process.look()
    process.kill(kill_group)
    assert 0 < process.memory < 20 << 20


def test_memory_of_this_process_is_not_told_as_that_of_a_short_one() -> None:
    grown = []
    for _ in range(600):
        # The kernel adds up pages in batches, at any moment.
        grown.append(bytearray(12 << 10))
        process = start("true")
        Watch().wait([process.pid], time.monotonic() + 60)
        process.end()
        assert process.memory < 20 << 20


def test_memory_of_all_that_descend() -> None:
    text = "import os, time\nfor _ in range(2):\n  os.fork()\ndata = bytearray(50 << 20)\ntime.sleep(1000)"
    process = start(sys.executable, "-c", text)

    def large() -> bool:
        process.look()
        return process.memory > 200 << 20

    until(large)
    process.kill(kill_group)
