from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from daskflow.execution.serving import main
from daskflow.sites.batch.service import ServiceOrder, ServiceRecord
from daskflow.sites.batch.servicefolder import Ended, ServiceFolder
from tests.execution.patience import alive, until

ROOT = Path(__file__).parents[3]


class Node:
    """A node on which services are kept, by processes of their own."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.workdir = home / "work"
        self.workdir.mkdir()
        self.folder = ServiceFolder(home, "x")
        self._started: list[subprocess.Popen[str]] = []

    def order(self, command: str | list[str], **options: Any) -> None:
        order = ServiceOrder.of(command, {"workdir": str(self.workdir), **options})
        memory = order.memory or 1 << 30
        record = ServiceRecord(
            name="x", token="t", order=order, pool="p", memory=memory, walltime=60.0, created=time.time(), index=4
        )
        assert self.folder.make(record, b"")

    def start(self, token: str = "t", id: str = "17") -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", main.__name__, str(self.home), "x", token, id, "n1"],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            env={**os.environ, "OMP_NUM_THREADS": "77"},
        )
        self._started.append(process)
        return process

    def keep(self, command: str | list[str], **options: Any) -> tuple[str, Ended]:
        """What a service printed, and how it ended."""
        self.order(command, **options)
        said, _ = self.start().communicate(timeout=120)
        return said, self.end()

    def end(self) -> Ended:
        ended = self.folder.ended()
        assert ended is not None
        return ended

    def pid(self) -> int:
        """What a service has written into a file `pid`."""
        path = self.workdir / "pid"
        until(lambda: path.exists() and path.read_text().endswith("\n"))
        return int(path.read_text())

    def close(self) -> None:
        for process in self._started:
            # Told to end, it takes its command along.
            process.terminate()
            try:
                process.communicate(timeout=60)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()


@pytest.fixture
def node(tmp_path: Path) -> Any:
    made = Node(tmp_path)
    yield made
    made.close()


def test_a_command_is_told_of_its_service(node: Node) -> None:
    names = ("SERVICE", "INDEX", "CORES", "MEMORY", "NODES", "TASKS")
    line = "; ".join([f"echo ${name}" for name in [*(f"DASKFLOW_{name}" for name in names), "OMP_NUM_THREADS", "OWN"]])
    said, ended = node.keep(f"{line}; pwd", cores=3, nodes=2, env={"OWN": "a b"})
    assert said.splitlines() == ["x", "4", "3", str(1 << 30), "2", "6", "3", "a b", str(node.workdir)]
    assert ended[:4] == (0, "", "", False)
    began = node.folder.began()
    assert began is not None
    assert began[:2] == ("17", "n1")


def test_variables_of_the_service_win(node: Node) -> None:
    assert node.keep("echo $OMP_NUM_THREADS", env={"OMP_NUM_THREADS": "9"})[0] == "9\n"


def test_no_shell_sees_a_list(node: Node) -> None:
    assert node.keep(["echo", "$HOME; ls"])[0] == "$HOME; ls\n"


@pytest.mark.parametrize(
    ("command", "code", "text"),
    [("exit 7", 7, "exit code 7"), ("kill -9 $$", 137, "SIGKILL"), ("kill -SEGV $$", 139, "SEGV")],
)
def test_how_a_command_ended_is_noted(node: Node, command: str, code: int, text: str) -> None:
    node.order(command)
    assert node.start().wait(60) == code
    ended = node.end()
    assert (ended.code, ended.error, ended.stopped) == (code, "CommandFailed", False)
    assert text in ended.text


@pytest.mark.parametrize(
    ("command", "options", "error"),
    [(["no-such-program"], {}, "CommandMissing"), ("true", {"workdir": "/no/such"}, "CommandFailed")],
)
def test_what_cannot_be_started_is_noted(
    node: Node, command: str | list[str], options: dict[str, Any], error: str
) -> None:
    said, ended = node.keep(command, **options)
    assert (ended.code, ended.error) == (126, error)
    assert ended.text.startswith("it could not be started: ")
    assert said.strip() in ended.text


def test_a_service_over_its_memory_is_killed(node: Node) -> None:
    code = "import time; x = bytearray(300 << 20); x[::4096] = b'1' * len(x[::4096]); time.sleep(600)"
    _, ended = node.keep([sys.executable, "-c", code], memory="2 GiB", memory_limit="200 MiB")
    assert (ended.error, ended.stopped) == ("OutOfMemory", False)
    assert "200 MiB" in ended.text
    assert ended.memory > 200 << 20


def test_memory_that_processes_share_counts_once(node: Node) -> None:
    code = """
import os, time
block = bytearray(120 << 20)
block[::4096] = b"1" * len(block[::4096])
child = os.fork()
os.waitpid(child, 0) if child else time.sleep(3)
"""
    _, ended = node.keep([sys.executable, "-c", code], memory="200 MiB")
    assert (ended.code, ended.error) == (0, "")


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="only Linux can be told")
def test_a_limit_of_cores_is_kept(node: Node) -> None:
    code = "import os; print(len(os.sched_getaffinity(0)), os.environ['OMP_NUM_THREADS'])"
    assert node.keep([sys.executable, "-c", code], cores=2, core_limit=1)[0] == "1 1\n"


def test_a_signal_reaches_the_command(node: Node) -> None:
    node.order("trap 'echo saving; exit 5' TERM; echo $$ > pid; while :; do sleep 0.05; done")
    process = node.start()
    node.pid()
    process.terminate()
    said, _ = process.communicate(timeout=60)
    assert said.endswith("saving\n")
    assert (node.end().code, node.end().stopped) == (5, True)


def test_a_note_kills_even_where_the_batch_system_does_not(node: Node) -> None:
    node.order("echo $$ > pid; exec sleep 600")
    process = node.start()
    pid = node.pid()
    node.folder.note_killed()
    process.communicate(timeout=60)
    assert not alive(pid)
    assert (node.end().code, node.end().stopped) == (143, True)


def test_what_was_killed_before_it_began_does_not_begin(node: Node) -> None:
    node.order("touch begun")
    node.folder.note_killed()
    assert node.start().wait(60) == 143
    assert node.end().stopped
    assert not (node.workdir / "begun").exists()


def test_nothing_is_left_of_a_service(node: Node) -> None:
    _, ended = node.keep("setsid sh -c 'echo $$ > pid; exec sleep 600' & until [ -s pid ]; do sleep 0.02; done")
    assert ended.code == 0
    pid = node.pid()
    until(lambda: not alive(pid))


def test_an_old_batch_job_does_not_run_the_new_service_of_its_name(node: Node) -> None:
    node.order("touch begun")
    process = node.start("older")
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "not wanted any more" in said
    assert node.folder.began() is None
    assert not (node.workdir / "begun").exists()


def test_a_second_batch_job_of_a_service_leaves_it_alone(node: Node) -> None:
    node.order("echo $$ > pid; echo run >> runs; exec sleep 600")
    first = node.start()
    node.pid()
    began = node.folder.began()
    second = node.start(id="18")
    said, _ = second.communicate(timeout=60)
    ended = node.folder.ended()
    first.terminate()
    first.communicate(timeout=60)
    assert second.returncode == 0
    assert "leaves the service x to another one" in said
    assert (node.folder.id(), node.folder.began(), ended) == ("17", began, None)
    assert node.end().code == 143
    assert (node.workdir / "runs").read_text() == "run\n"


def test_a_batch_job_that_was_put_into_the_queue_again_runs_again(node: Node) -> None:
    node.order("echo run >> runs")
    assert [node.start().wait(60) for _ in range(2)] == [0, 0]
    assert (node.workdir / "runs").read_text() == "run\nrun\n"


def test_a_service_that_was_removed_does_not_run(node: Node) -> None:
    assert node.start().wait(60) == 0
