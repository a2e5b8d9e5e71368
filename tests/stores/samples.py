"""Rows and records for the tests of the stores."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from typing import Any

from daskflow.model.records import ContextRecord, QuestionRecord, RunRecord
from daskflow.stores import Database
from daskflow.stores.connections import Connections
from daskflow.stores.dialect import Connection

RUN = "20260314-101502-study-7f3a"
EPOCH = 5.0
Row = tuple[Any, ...]


def run_record(id: str = RUN, **fields: Any) -> RunRecord:
    given: dict[str, Any] = {"id": id, "flow": "study", "created": 1.0}
    return RunRecord(**given | fields)


def question(id: str, **fields: Any) -> QuestionRecord:
    given: dict[str, Any] = {"id": id, "run": RUN, "prompt": "Go on?", "created": 1.0}
    return QuestionRecord(**given | fields)


def change(name: str, value: object = None, stage: str = "", **fields: Any) -> ContextRecord:
    given: dict[str, Any] = {"run": RUN, "name": name, "stage": stage, "value": value}
    return ContextRecord(**given | {"content": repr(value), "epoch": EPOCH} | fields)


def job_row(number: int, key: str = "", *, run: str = RUN, task: str = "fit", **fields: Any) -> Row:
    row = {
        "run": run,
        "number": number,
        "key": key or f"key{number:03}",
        "task": task,
        "fingerprint": "f1",
        "recipe": f"x={number}",
        "upstream": "[]",
        "site": "local",
        "state": "queued",
        "reason": "",
    }
    return tuple((row | fields).values())


def attempt_row(number: int, attempt: int = 1, state: str = "succeeded") -> Row:
    """Without the run."""
    return (
        number,
        attempt,
        state,
        1.0,
        2.0,
        0.5,
        1000,
        "node1",
        42,
        "",
        "",
        "",
        "logs/a.log",
        0,
        10,
        "12_0",
        2,
        4000,
        300,
    )


def result_row(key: str, **fields: Any) -> Row:
    row = {
        "key": key,
        "task": "fit",
        "fingerprint": "f1",
        "form": "form",
        "inputs": f"inputs-{key}",
        "digest": f"digest-{key}",
        "size": 3,
        "format": "pickle",
        "inline": b"abc",
        "run": RUN,
        "created": 1.0,
        "seconds": 2.0,
        "memory": 1000,
    }
    return tuple((row | fields).values())


def writer_of(database: Database) -> Connection:
    """The connection that writes to a file of SQLite."""
    assert isinstance(database._access, Connections)
    return database._access.writer()


def python(code: str, *arguments: object) -> subprocess.Popen[str]:
    """Another process that runs `code`; its output is a pipe."""
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(code), *map(str, arguments)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
