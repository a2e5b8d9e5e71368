"""What commands do one after the other; what a whole attempt does stands in `test_perform`."""

from __future__ import annotations

import math
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from daskflow.commands.order import Done
from daskflow.commands.processes import Watch
from daskflow.errors import CommandFailed, CommandMissing, JobTimeout, PathRefused
from daskflow.model.command import Command
from tests.execution.patience import alive, until

Performed = Callable[..., Done]


def test_commands_run_one_after_the_other_in_one_directory(done: Performed) -> None:
    made = done("echo one > file", ["cat", "file"], "cat file >&2; pwd | grep -c /work$")
    assert (made.failure, made.stdout, made.stderr) == (None, b"one\n1\n", b"one\n")
    assert [ended.text for ended in made.commands] == [
        "echo one > file",
        "cat file",
        "cat file >&2; pwd | grep -c /work$",
    ]
    assert [made.stdout[slice(*ended.stdout)] for ended in made.commands] == [b"", b"one\n", b"1\n"]
    assert [made.stderr[slice(*ended.stderr)] for ended in made.commands] == [b"", b"", b"one\n"]


def test_commands_are_told_with_their_parameters(done: Performed) -> None:
    made = done("test {x}; exit 1", parameters={"x": "a b"})
    assert made.commands[0].text == "test 'a b'; exit 1"
    assert str(made.failure).startswith("`test 'a b'; exit 1` ended")
    assert len(str(done("exit 1 {x}", parameters={"x": "x" * 300}).failure)) < 250


def test_options_of_a_command(done: Performed) -> None:
    made = done(
        Command("cat; echo $A $B; pwd", env={"A": "own"}, stdin="text\n", workdir="a/b"),
        Command(["cat"], stdin=b"\0\xff" * 100_000),
        Command(["cat"]),
        env={"A": "job", "B": "job"},
    )
    assert made.failure is None
    said = [made.stdout[slice(*ended.stdout)] for ended in made.commands]
    assert said[0].startswith(b"text\nown job\n/")
    assert said[0].endswith(b"/work/a/b\n")
    assert said[1:] == [b"\0\xff" * 100_000, b""]


@pytest.mark.parametrize(
    ("line", "code", "end"),
    [
        ("exit 3", 3, "exit code 3"),
        ("kill -11 $$", 139, "signal SIGSEGV"),
        ("exit 137", 137, r"exit code 137 \(signal SIGKILL\)"),
        ("exit 255", 255, "exit code 255"),
        ("kill -40 $$", 168, "signal 40"),
    ],
)
def test_a_failure_stops_the_others(done: Performed, line: str, code: int, end: str) -> None:
    made = done("echo a", f"echo because >&2; {line}", "echo never")
    assert isinstance(made.failure, CommandFailed)
    with pytest.raises(CommandFailed, match=f"ended with {end}.\nIts standard error ended with:\nbecause$"):
        raise made.failure
    assert [ended.code for ended in made.commands] == [0, code]
    assert made.stdout == b"a\n"


def test_only_the_end_of_what_was_said_is_repeated(done: Performed) -> None:
    made = done("seq 100 >&2", "echo $X; exit 1", env={"X": "x" * 1000})
    assert str(made.failure).splitlines() == ["`echo $X; exit 1` ended with exit code 1."]
    made = done("seq 10000 >&2; exit 1")
    assert str(made.failure).splitlines()[2:] == [str(number) for number in range(9981, 10001)]


def test_unchecked_commands_go_on(done: Performed) -> None:
    made = done("exit 3", "echo b", check=False)
    assert made.failure is None
    assert [ended.code for ended in made.commands] == [3, 0]


@pytest.mark.parametrize(
    "command", ["no-such-program --help", ["no-such-program"], "./run.sh", "bash -c no-such-program"]
)
@pytest.mark.parametrize("check", [True, False])
def test_programs_that_are_not_there(done: Performed, command: str | list[str], check: bool) -> None:
    made = done("echo > run.sh", command, "echo never", check=check)
    assert isinstance(made.failure, CommandMissing)
    with pytest.raises(CommandMissing, match=r"'(no-such-program|./run.sh)' cannot be started.*PATH"):
        raise made.failure
    assert made.stdout == b""
    assert len(made.commands) == 2


def test_a_directory_that_is_gone(done: Performed) -> None:
    made = done("rm -r $DASKFLOW_SCRATCH_DIR", "echo never", files=("x",))
    with pytest.raises(CommandFailed, match=r"working directory .*/work is gone"):
        raise made.failure or AssertionError
    assert "It is gone" in str(done("rm -r $DASKFLOW_SCRATCH_DIR", files=("x",)).failure)


def test_a_program_may_end_as_if_it_were_missing(done: Performed) -> None:
    assert type(done("exit 127").failure) is CommandFailed
    assert type(done(["sh", "-c", "no-such-program"]).failure) is CommandFailed


def test_retries(done: Performed) -> None:
    command = "echo x >> tries; test $(wc -l < tries) = 3"
    made = done(Command(command, retries=5))
    assert made.failure is None
    assert (made.commands[0].attempts, made.commands[0].code) == (3, 0)
    made = done(Command(command, retries=1))
    assert isinstance(made.failure, CommandFailed)
    assert (made.commands[0].attempts, made.commands[0].code) == (2, 1)


def test_a_missing_program_is_tried_once(done: Performed) -> None:
    assert done(Command(["no-such-program"], retries=3)).commands[0].attempts == 1


def test_timeouts_count_as_failures(done: Performed) -> None:
    line = "test -e tried && exit 0; (setsid sleep 1000 & echo $! > pid); touch tried; sleep 1000"
    made = done(Command(line, timeout="0.3 s", retries=9), "cat pid")
    assert made.failure is None
    assert made.commands[0].attempts > 1
    until(lambda: not alive(int(made.stdout)))
    made = done(Command("trap 'exit 0' TERM; sleep 1000 & wait", timeout=3))
    with pytest.raises(CommandFailed, match="was killed after its timeout of 3 s"):
        raise made.failure or AssertionError
    assert made.commands[0].code == 0


def test_time_of_the_job(done: Performed, tmp_path: Path) -> None:
    late = tmp_path / "late"
    commands = [f"echo a; touch {late}", Command("sleep 1000", timeout=1000), "echo b"]
    made = done(*commands, time_left=lambda: 0.3 if late.exists() else math.inf)
    assert isinstance(made.failure, JobTimeout)
    assert made.stdout == b"a\n"
    assert [ended.code for ended in made.commands] == [0, 143]
    assert made.commands[1].end == "it was killed"


def test_sidecars(done: Performed, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    sidecar = Command(f"echo hello > {pipe}; echo beside; echo $$ > pid; mv pid sidecar; exec sleep 1000", sidecar=True)
    wait = "while ! test -e sidecar; do sleep 0.01; done; cat sidecar"
    made = done(f"cat {pipe}", sidecar, wait)
    assert made.failure is None
    assert b"hello" in made.stdout
    assert made.commands[1].end == "killed after the last command"
    assert made.commands[1].wall >= made.commands[2].wall
    assert b"beside" in made.stdout[slice(*made.commands[1].stdout)]
    assert not alive(int(made.stdout.split()[-1]))


def test_a_sidecar_that_fails_ends_the_job(done: Performed) -> None:
    made = done(Command("echo sorry >&2; exit 5", sidecar=True), "sleep 1000", "echo never")
    with pytest.raises(CommandFailed, match=r"A sidecar ended before .*exit code 5\.\n.*\nsorry"):
        raise made.failure or AssertionError
    assert [ended.end for ended in made.commands] == ["exit code 5", "it was killed"]


@pytest.mark.parametrize(("code", "options"), [(0, {}), (5, {"check": False})])
def test_a_sidecar_that_ends_in_peace(done: Performed, code: int, options: dict[str, bool]) -> None:
    # The directory of its process is gone as soon as somebody has asked for its exit code.
    gone = "while ! test -e pids; do sleep 0.01; done; while test -e /proc/$(cat pids); do sleep 0.01; done; echo b"
    made = done(Command(f"echo $$ > pid; mv pid pids; exit {code}", sidecar=True), gone, **options)
    assert made.failure is None
    assert made.stdout == b"b\n"
    assert made.commands[0].end == f"exit code {code}"


def test_a_missing_sidecar(done: Performed) -> None:
    made = done(Command("sleep 1000", sidecar=True), Command(["no-such-program"], sidecar=True), "echo never")
    assert isinstance(made.failure, CommandMissing)
    assert [ended.code for ended in made.commands] == [143, None]


def test_what_daemons_sidecars_leave(done: Performed) -> None:
    line = "(setsid sleep 1000 & echo $! > pid); mv pid pids"
    made = done(Command(line, sidecar=True), "while ! test -e pids; do sleep 0.01; done; cat pids")
    until(lambda: not alive(int(made.stdout)))


def test_usage(done: Performed) -> None:
    made = done([sys.executable, "-c", "import time; data = bytearray(90 << 20); time.sleep(0.3)"], "true")
    assert made.commands[0].wall >= 0.3
    assert 0 < made.commands[0].cpu < made.commands[0].wall
    assert made.commands[0].memory >= 90 << 20
    assert made.commands[1].memory < 50 << 20


class Stop(BaseException):
    """What no `except Exception` catches."""


@pytest.mark.parametrize("error", [Stop, MemoryError])
def test_whoever_watches_can_stop_it(done: Performed, tmp_path: Path, error: type[BaseException]) -> None:
    pids = tmp_path / "pids"
    line = f"(setsid sleep 1000 & echo $! > pid); sleep 1000 & echo $! >> pid; echo $$ >> pid; mv pid {pids}; wait"

    def look(_: Sequence[int]) -> None:
        if pids.exists():
            raise error

    watch = Watch(look, every=0.01)
    if error is Stop:
        with pytest.raises(Stop):
            done(Command("sleep 1000", sidecar=True), line, watch=watch)
    else:
        assert isinstance(done(line, watch=watch).failure, MemoryError)
    until(lambda: not any(alive(int(pid)) for pid in pids.read_text().split()))
    assert list((tmp_path / "scratch").iterdir()) == []


def test_killing_is_left_to_others(done: Performed) -> None:
    killed: list[int] = []

    def kill(pid: int) -> None:
        killed.append(pid)
        os.killpg(pid, signal.SIGKILL)

    made = done(Command("sleep 1000", timeout=0.1), kill=kill)
    assert len(killed) == 1
    assert made.commands[0].code == 128 + signal.SIGKILL


def test_commands_may_be_started_in_another_way(done: Performed) -> None:
    made = done("echo $A", wrap=lambda launch, _: launch._replace(argv=["env", "A=wrapped", *launch.argv]))
    assert made.stdout == b"wrapped\n"


def test_output_goes_where_it_is_wanted(done: Performed, tmp_path: Path) -> None:
    out, err = tmp_path / "out", tmp_path / "err"
    out.write_text("before\n")
    made = done("echo a", "echo b >&2; exit 1", stdout=out, stderr=err)
    assert out.read_text() == "before\na\n"
    assert made.stdout[slice(*made.commands[0].stdout)] == b"a\n"
    assert made.stderr == err.read_bytes() == b"b\n"
    assert str(made.failure).endswith("\nb")


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_output_is_neither_written_nor_read_through_a_link(done: Performed, tmp_path: Path, stream: str) -> None:
    other, link = tmp_path / "other", tmp_path / "link"
    other.write_text("secret\n")
    link.symlink_to(other)
    made = done("echo a; echo b >&2", **{stream: link})
    assert isinstance(made.failure, PathRefused)
    assert f"{link} is a symbolic link" in str(made.failure)
    assert other.read_text() == "secret\n"
    assert (made.stdout, made.stderr) == (b"", b"")
    link.unlink()
    link.symlink_to(tmp_path / "new")
    assert isinstance(done("echo a", **{stream: link}).failure, PathRefused)
    assert not (tmp_path / "new").exists()
