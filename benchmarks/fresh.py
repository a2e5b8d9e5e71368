"""Benchmarks in new processes: each names a procedure of `benchmarks.procedures`, or gives a line of Python."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import Any, NamedTuple


class Lived(NamedTuple):
    """What a process took from its start to its end."""

    wall: float
    """[s]"""
    cpu: float
    """User and system time of it and of the children that it waited for [s]."""
    said: str
    began: float
    """When it was started [s since the epoch]."""


def environment() -> dict[str, str]:
    """That of a user: compiled modules are kept, whatever the environment of this process says."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def command(*arguments: str) -> Lived:
    """Run a command to its end.

    Raises
    ------
    RuntimeError
        It failed; what it wrote was shown.
    """
    began, start = time.time(), time.perf_counter()
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, env=environment())
    assert process.stdout is not None
    said = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(arguments)} ended with {process.returncode}")
    return Lived(wall, usage.ru_utime + usage.ru_stime, said, began)


def python(line: str) -> Lived:
    """Run a line of Python."""
    return command(sys.executable, "-c", line)


def procedure(name: str, **options: Any) -> tuple[Lived, dict[str, Any]]:
    """Run a procedure; gives what it said, too."""
    lived = command(sys.executable, "-m", "benchmarks.procedures", name, json.dumps(options))
    return lived, json.loads(lived.said.splitlines()[-1])
