"""A project in a directory of its own, and the command line as a process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

FLOWS = '''
import pathlib
import time
from daskflow import flow, report, task
from helpers import scaled

@task
def load(number: int, seconds: float):
    print(f"loading {number}")
    end = time.monotonic() + seconds
    while time.monotonic() < end and not pathlib.Path("hurry").exists():
        time.sleep(0.02)
    return number

@task
def scale(number):
    value = scaled(number)
    report.metric("value", value, unit="Jy")
    return value

@task
def check(number, bad):
    if number == bad:
        print("<script>alert('log')</script>")
        raise ValueError("no <b>good</b>: number is bad")
    return number

@task
def total(numbers):
    report.markdown("**sum** ![pixel](http://example.org/pixel.png)", title="<i>Sum</i>")
    report.table([{"name": "a<b", "value": 1.5}, {"name": "c", "value": None}], title="Numbers")
    report.link("javascript:alert(1)", title="evil")
    return sum(numbers)

@flow
def study(n: int = 3, seconds: float = 0.0, bad: int | None = None, label: str = "plain"):
    """Count."""
    print("the flow prints this")
    return total([check(scale(load(number, seconds)), bad) for number in range(n)])

@flow
def broken():
    return {}["missing"]

@flow
def sleepy():
    time.sleep(60)
'''

HELPERS = """
def scaled(number):
    return number * FACTOR

FACTOR = 2
"""


class Place:
    """A directory with flows, where `daskflow` runs as a process."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("DASKFLOW_")}
        self.environment |= {
            "DASKFLOW_SITE": "synchronous",
            "PYTHONWARNINGS": "default",
            "XDG_CONFIG_HOME": str(directory.parent / "home"),
        }
        # Where the environment forbids to keep compiled modules, each of the many processes would compile them anew.
        if self.environment.pop("PYTHONDONTWRITEBYTECODE", ""):
            self.environment["PYTHONPYCACHEPREFIX"] = str(directory.parent / "compiled")
        self.write("flows.py", FLOWS)
        self.write("helpers.py", HELPERS)

    def write(self, name: str, text: str) -> None:
        path = self.directory / name
        before = path.stat().st_mtime if path.exists() else None
        path.write_text(text)
        if before is not None:
            # Python takes a compiled module for current when size and whole second of its source are the same.
            os.utime(path, (before + 2, before + 2))

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "daskflow", *arguments],
            cwd=self.directory,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *arguments: str, code: int = 0) -> str:
        """Standard output of a command that ends with that exit code."""
        return self.both(*arguments, code=code)[0]

    def error(self, *arguments: str, code: int = 2) -> str:
        """What a command that fails says, which is no traceback of daskflow."""
        _, error = self.both(*arguments, code=code)
        assert "cli.py" not in error
        return error

    def both(self, *arguments: str, code: int = 0) -> tuple[str, str]:
        process = self.start(*arguments)
        out, error = process.communicate(timeout=120)
        assert process.returncode == code, f"{arguments}: {process.returncode}\n{out}\n{error}"
        return out, error

    def json(self, *arguments: str, code: int = 0) -> Any:
        """What a command prints with `--json`: valid, without NaN, and nothing else."""
        return json.loads(self.run(*arguments, "--json", code=code), parse_constant=pytest.fail)

    def hurry(self) -> None:
        """Let jobs that sleep do so no more."""
        (self.directory / "hurry").touch()

    def until(self, condition: Callable[[], bool], seconds: float = 30.0) -> None:
        """Wait until something is so."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "it never happened"
            time.sleep(0.05)

    def until_jobs_ended(self, count: int) -> None:
        """Wait until the last run has performed so many jobs."""
        self.until(lambda: len(list(self.directory.glob(".daskflow/journal.db"))) > 0)
        self.until(lambda: self._ended() >= count)

    def _ended(self) -> int:
        found = subprocess.run(
            [sys.executable, "-m", "daskflow", "show", "--json"],
            cwd=self.directory,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        return (
            len([job for job in json.loads(found.stdout)["jobs"] if job["state"] == "succeeded"]) if found.stdout else 0
        )


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.fixture
def running(place: Place) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts commands that are ended with the test, whatever happens."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str) -> subprocess.Popen[str]:
        process = place.start(*arguments)
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
