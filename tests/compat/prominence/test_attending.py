from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from daskflow import Artifact
from daskflow.compat.prominence import attending, starting
from daskflow.compat.prominence.attending import attend, execute, snapshot
from daskflow.compat.prominence.errors import ExecError, SnapshotCreateError
from daskflow.compat.prominence.job import Job
from daskflow.compat.prominence.ledger import Entry
from daskflow.errors import CommandError, JobFailed
from tests.execution.patience import until

Make = Callable[..., Job]


class _Process:
    """Answers what a job is asked as its process does."""

    def __init__(self, entry: Entry) -> None:
        self.entry = entry
        self.seen: set[str] = set()
        self.requests: list[dict[str, Any]] = []
        self.answer: dict[str, Any] | Exception = {"code": 0, "stdout": "said\n", "stderr": ""}
        self.ended = threading.Event()
        self._thread = threading.Thread(target=self._attend)
        self._thread.start()

    def _attend(self) -> None:
        while not self.ended.wait(0.05):
            for token in {token for _, token in self.entry.asked()} - self.seen:
                self.seen.add(token)
                attend(self.entry, self, token)  # type: ignore[arg-type]  # all that it asks of its handle is here

    def as_job(self) -> _Process:
        return self

    def ask(self, _: Any, request: dict[str, Any]) -> dict[str, Any]:
        self.requests.append(request)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def close(self) -> None:
        self.ended.set()
        self._thread.join()


@pytest.fixture
def process(here: Path, job: Make, monkeypatch: pytest.MonkeyPatch) -> Iterator[_Process]:
    entry = Entry("job", "a")
    entry.write("request", {"document": job("true").to_dict(), "createTime": 1.0})
    made = _Process(entry)
    monkeypatch.setattr(starting, "look", lambda _: {"status": "completed" if made.ended.is_set() else "running"})
    monkeypatch.setattr(attending, "ask", made.ask)
    yield made
    made.close()


def test_a_command_is_done_by_the_process_of_the_job(process: _Process) -> None:
    assert execute(process.entry, "ls 'a b'") == "said\n"
    (request,) = process.requests
    assert request["argv"][-2:] == ["ls", "a b"]
    assert request["timeout"] == attending.TIMEOUT
    assert process.entry.notes("asked") == process.entry.notes("answered") == []
    assert len(process.seen) == 1


def test_a_command_that_fails(process: _Process) -> None:
    process.answer = {"code": 3, "stdout": "", "stderr": "oh\n"}
    with pytest.raises(ExecError, match=r"'ls' ended with exit code 3. oh"):
        execute(process.entry, "ls")
    # Whatever it is that went wrong: who has asked does not wait until the job has ended.
    for error in (CommandError("the node is away"), JobFailed("the node is away"), OSError("the node is away")):
        process.answer = error
        with pytest.raises(ExecError, match=r"'ls' cannot be run: the node is away\."):
            execute(process.entry, "ls")
    for command in ("", "'"):
        with pytest.raises(ExecError, match="command"):
            execute(process.entry, command)


def test_what_others_ask_for_is_not_done(process: _Process) -> None:
    Artifact("prominence/asked/a/a/t").upload(json.dumps({"argv": ["ls"], "timeout": 1}).encode())
    until(lambda: process.entry.notes("answered") == ["t"])
    assert "is not signed" in process.entry.noted("answered", "t")["error"]
    assert process.requests == []


def test_what_was_kept_is_written_down(process: _Process) -> None:
    process.answer = {"digest": "d" * 32, "size": 4, "kind": "file"}
    assert snapshot(process.entry, "d/x") == ("d" * 32, 4, "file")
    assert process.requests == [{"path": "d/x"}]
    assert process.entry.read("snapshot") == {"path": "d/x", "output": ["d" * 32, 4, "file"]}


def test_a_job_that_does_not_run(process: _Process) -> None:
    process.close()
    with pytest.raises(SnapshotCreateError, match="the job a is completed, and has to run"):
        snapshot(process.entry, "x")


def test_a_process_that_does_not_look_or_answer_is_not_waited_for(
    process: _Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attending, "NOTICE", 0.1)
    monkeypatch.setattr(attending, "patience", lambda request: 0.1)
    go = threading.Event()
    monkeypatch.setattr(attending, "ask", lambda *_: {"code": int(not go.wait(60))})
    with pytest.raises(ExecError, match="has seen what is asked, and does not answer"):
        execute(process.entry, "ls")
    go.set()
    process.ended.set()
    process._thread.join()
    monkeypatch.setattr(starting, "look", lambda _: {"status": "running"})
    with pytest.raises(SnapshotCreateError, match=r"does not see within 0\.1 s what is asked"):
        snapshot(process.entry, "x")
    assert process.entry.notes("asked") == []


def test_a_job_that_ends_meanwhile(process: _Process, monkeypatch: pytest.MonkeyPatch) -> None:
    standings = iter(["running", "running", "failed"])
    monkeypatch.setattr(starting, "look", lambda _: {"status": next(standings)})
    process.ended.set()
    with pytest.raises(ExecError, match="the job a has ended meanwhile"):
        execute(process.entry, "ls")
    assert process.entry.notes("asked") == []
