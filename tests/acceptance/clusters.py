"""A directory in which flows run on a site of a real Slurm, by `daskflow` as a person would call it."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

from tests.acceptance.shell import daskflow, environment
from tests.services.slurm import Slurm

SITE = {"kind": "slurm", "queue": "main", "cores": 2, "memory": "1 GiB", "walltime": "10 min", "interface": "lo"}
"""What the sites of these tests have unless they say otherwise."""


class Attempt(NamedTuple):
    """One that the journal knows."""

    task: str
    job: int
    state: str
    error: str
    """Name of the class of its error."""
    message: str
    place: str
    """Id of its batch job."""


class Cluster:
    """A directory with a configuration, flows, and what is remembered of their runs.

    Parameters
    ----------
    directory
        A new one, or one that is there.
    slurm
        The Slurm that it uses.
    """

    def __init__(self, directory: Path, slurm: Slurm) -> None:
        self.directory = directory
        self.slurm = slurm
        directory.mkdir(exist_ok=True)

    def configure(self, text: str = "", **options: Any) -> None:
        """Write the configuration: a text, or one site named `cluster` by its options."""
        if not text:
            # Each JSON is YAML.
            text = json.dumps({"site": "cluster", "sites": {"cluster": {**SITE, **options}}})
        (self.directory / "daskflow.yaml").write_text(text)

    def write(self, code: str, name: str = "flow.py") -> None:
        """Write a file with flows."""
        (self.directory / name).write_text(code)

    def daskflow(self, *arguments: str, code: int = 0, **variables: str) -> str:
        """Run a command; gives what it printed."""
        return daskflow(self.directory, *arguments, code=code, **self.slurm.env, **variables)

    def start(self, *arguments: str, **variables: str) -> subprocess.Popen[str]:
        """Start a command, which goes on beside the test."""
        return subprocess.Popen(
            [sys.executable, "-m", "daskflow", *arguments],
            cwd=self.directory,
            env=environment(**self.slurm.env, **variables),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """What the journal answers; nothing where there is none yet."""
        path = self.directory / ".daskflow/journal.db"
        if not path.exists():
            return []
        with closing(sqlite3.connect(path)) as database:
            try:
                return database.execute(query).fetchall()
            except sqlite3.OperationalError:  # not whole yet
                return []

    def attempts(self) -> list[Attempt]:
        """All attempts, in the order in which they ended."""
        found = self.rows(
            "SELECT task, number, attempts.state, error_type, error_message, place FROM attempts "
            "JOIN jobs USING (run, number) ORDER BY stop"
        )
        return [
            Attempt(task, job, state, str(error).rpartition(".")[2], *rest) for task, job, state, error, *rest in found
        ]

    def events(self, kind: str) -> list[dict[str, Any]]:
        """The data of all events of a kind, the first first."""
        return [
            json.loads(data) for (data,) in self.rows(f"SELECT data FROM events WHERE kind = '{kind}' ORDER BY ordinal")
        ]

    def keys(self) -> list[tuple[str, str]]:
        """Task and key of each job, sorted."""
        return sorted(self.rows("SELECT task, key FROM jobs"))
