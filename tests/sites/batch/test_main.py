from __future__ import annotations

import ast
import contextlib
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from daskflow.model.outcome import Outcome
from daskflow.sites.allocation import Allocation, here
from daskflow.sites.batch.folder import Begun, ErrandFolder, RunFolder
from daskflow.sites.batch.handing import Deed, ask_for, hand
from daskflow.sites.channel import CURRENT_CHANNEL
from daskflow.sites.grip import CURRENT_GRIP, Killed
from daskflow.sites.pools import Pool
from daskflow.sites.site import Node
from tests.execution.patience import alive, until
from tests.sites.batch.papers import plan_in

Made = tuple[Any, bytes, bytes]


def records(text: str = "", **changes: Any) -> bytes:
    return pickle.dumps([Outcome("k", "succeeded", 1, 1.0, 1.0, reason=text)._replace(**changes)])


def text_of(packed: bytes) -> str:
    (outcome,) = pickle.loads(packed)
    return str(outcome.reason)


def look(package: bytes, *values: Any) -> Made:
    place = here()
    assert place is not None
    told = (place.id, place.node, place.ends, os.getcwd(), os.environ["DASKFLOW_TASKS"], values)
    return None, records(repr((package, told))), b""


def tell(package: bytes, *values: Any) -> Made:
    channel = CURRENT_CHANNEL.get()
    assert channel is not None
    channel(b"one")
    channel(b"two")
    return None, records("all"), b""


def fail(package: bytes, *values: Any) -> Made:
    raise ValueError("a mistake")


def scratch(package: bytes, *values: Any) -> Made:
    return None, records(os.environ.get("DASKFLOW_SHARED_SCRATCH", "none")), b""


def never_ends(package: bytes, *values: Any) -> Made:
    """As `perform` does: what was killed leaves the records of what was before."""
    grip = CURRENT_GRIP.get()
    assert grip is not None
    with contextlib.suppress(Killed):
        grip.call(_wait, package.decode())
    return None, records("before", state="failed", final=False), b""


def _wait(path: str) -> None:
    Path(path).write_text("1")
    while True:
        time.sleep(0.01)


def wrecked(package: bytes, *values: Any) -> Made:
    """Its child hears of the end before it does."""
    with subprocess.Popen(["sleep", "1000"]) as process:
        Path(package.decode()).write_text(str(process.pid))
        code = process.wait()
    return None, records(f"child ended by {code}", state="failed", stop=time.time()), b""


def compiled(package: bytes, *values: Any) -> Made:
    with subprocess.Popen(["sleep", "1000"], start_new_session=True) as process:
        Path(package.decode()).write_text(str(process.pid))
        process.wait()  # in the kernel, where no exception comes
    return None, b"", b""


class Job:
    """A batch job that a test starts itself."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.folder: ErrandFolder = RunFolder(str(directory), "a-run").new("a-job")

    def hand(
        self,
        perform: Callable[..., Any],
        package: bytes = b"x",
        *,
        nodes: int = 1,
        upstream: tuple[str, ...] = (),
        foreign: dict[str, Any] | None = None,
    ) -> None:
        plan = plan_in(self.directory)
        ask = ask_for(Node("k", b""), Pool("main", 3, 1, 60.0), plan, "")._replace(nodes=nodes)
        place = Allocation("paper", "", "cedar", "", "", 1, 0)
        self.folder.hand(hand(Deed("k", perform, package, upstream, foreign or {}), ask, place, {}, []))

    def start(self, id: str = "7", cwd: str = "/") -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "daskflow.sites.batch.main", str(self.folder.path), id, "n1", "5000000000"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=cwd,
        )

    def run(self, id: str = "7") -> tuple[int, str]:
        process = self.start(id)
        text, _ = process.communicate(timeout=100)
        return process.returncode, text


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job(tmp_path)


def test_what_was_handed_over_is_performed_where_the_driver_is(job: Job) -> None:
    job.hand(look, upstream=("b", "a"), foreign={"a": 1, "b": (sum, ["a", "a"])})
    assert job.run() == (0, "")
    package, told = ast.literal_eval(text_of(job.folder.result()))
    assert package == b"x"
    assert told == ("7", "n1", 5e9, os.getcwd(), "1", (2, 1))
    begun = job.folder.begun
    assert begun is not None
    assert (begun.id, begun.node) == ("7", "n1")


def test_what_was_taken_back_is_not_performed(job: Job) -> None:
    job.hand(look)
    assert job.folder.take_back()
    code, text = job.run()
    assert code == 0
    assert "taken back" in text
    assert not job.folder.done(job.folder.names())


def test_what_another_batch_job_performs_is_not_performed_twice(job: Job) -> None:
    job.hand(look)
    assert job.folder.begin(Begun("6", "n1"))
    code, text = job.run()
    assert code == 0
    assert "The batch job 6 has its place" in text
    assert not job.folder.done(job.folder.names())


def test_what_is_told_meanwhile_is_there_at_once(job: Job) -> None:
    job.hand(tell)
    assert job.run()[0] == 0
    assert job.folder.records(0)[0] == [b"one", b"two"]
    assert text_of(job.folder.result()) == "all"


def test_a_mistake_of_ours_is_in_the_log(job: Job) -> None:
    job.hand(fail)
    code, text = job.run()
    assert code == 1
    assert "ValueError: a mistake" in text
    assert not job.folder.done(job.folder.names())


def test_only_jobs_of_several_nodes_have_a_scratch_directory_that_all_see(job: Job) -> None:
    job.hand(scratch, nodes=2)
    job.run()
    assert text_of(job.folder.result()) == job.folder.scratch
    assert Path(job.folder.scratch).is_dir()
    single = Job(job.directory)
    single.hand(scratch)
    single.run()
    assert text_of(single.folder.result()) == "none"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_at_its_end_it_is_killed_and_tells_what_was_before(job: Job, tmp_path: Path, number: signal.Signals) -> None:
    mark = tmp_path / "mark"
    job.hand(never_ends, str(mark).encode())
    with job.start() as process:
        until(mark.exists)
        process.send_signal(number)
        assert process.wait(60) == 143
    assert not job.folder.done(job.folder.names())
    (told,) = job.folder.records(0)[0]
    assert text_of(told) == "before"


def test_what_does_not_listen_is_killed_with_all_that_it_started(job: Job, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    job.hand(compiled, str(mark).encode())
    with job.start() as process:
        until(lambda: mark.exists() and mark.read_text())
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 143
    until(lambda: not alive(int(mark.read_text())))


def test_what_failed_because_its_end_had_come_is_no_result(job: Job, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    job.hand(wrecked, str(mark).encode())
    with job.start() as process:
        until(lambda: mark.exists() and mark.read_text())
        os.kill(int(mark.read_text()), signal.SIGTERM)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 143
    assert not job.folder.done(job.folder.names())
    assert [pickle.loads(told) for told in job.folder.records(0)[0]] == [[]]


def test_what_failed_by_itself_is_a_result(job: Job, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    job.hand(wrecked, str(mark).encode())
    with job.start() as process:
        until(lambda: mark.exists() and mark.read_text())
        os.kill(int(mark.read_text()), signal.SIGKILL)
        assert process.wait(60) == 0
    assert text_of(job.folder.result()) == "child ended by -9"
