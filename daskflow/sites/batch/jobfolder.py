"""The folder of one batch job that is a process of this machine: the only place that knows its files."""

from __future__ import annotations

import json
import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from daskflow.sites.processes import ProcessTree, start_of


class Kept(NamedTuple):
    """What was asked for."""

    name: str
    log: str
    workdir: str
    memory: int
    """[bytes]"""
    walltime: float
    """[s]"""
    warn: float
    """So long before its walltime the script gets SIGUSR1; 0: never [s]."""
    submitted: float
    """Seconds since the epoch [s]."""


class Keeper(NamedTuple):
    """The process that looks after a job."""

    pid: int
    birth: float
    """When it was started, on the clock of the machine, by which it differs from a later process of its id [s]."""
    boot: str
    """Which start of the machine it belongs to."""
    node: str
    start: float
    """When the job began; seconds since the epoch [s]."""

    def rebooted(self) -> bool:
        """Whether the machine was started anew since."""
        return self.boot != boot_id()

    def alive(self) -> bool:
        """Whether it runs, as far as this machine can tell."""
        return not self.rebooted() and start_of(self.pid) == self.birth and bool(ProcessTree(self.pid).look())

    def wake(self) -> None:
        """Have it look whether its job is to be stopped."""
        if self.alive():
            with suppress(ProcessLookupError, PermissionError):
                os.kill(self.pid, signal.SIGTERM)


class End(NamedTuple):
    """How a job ended."""

    state: str
    """`COMPLETED`, `FAILED`, `TIMEOUT`, `OUT_OF_MEMORY`, `CANCELLED`, `LOST` or `REBOOTED`."""
    reason: str
    start: float
    stop: float
    """Seconds since the epoch [s]."""
    exit_code: int | None = None
    signal: int | None = None
    memory: int | None = None
    """Peak memory, as far as it was seen [bytes]."""


class JobFolder:
    """Folder of one job.

    Notes
    -----
    Each file is written whole and then given its name: who reads sees all of it, or nothing.
    """

    MARK = "DASKFLOW_BATCH_FOLDER"
    """Variable by which every process of a job is known, whoever its parent is."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.script = path / "script"
        self.complaints = path / "complaints"
        """What the keeper itself has to say."""

    def make(self, script: str, kept: Kept) -> None:
        """Make the folder.

        Raises
        ------
        FileExistsError
            There is one of this name.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.mkdir(mode=0o700)
        self.script.write_text(script)
        self._write("asked", kept)

    def kept(self) -> Kept | None:
        """What was asked for; None: there is no such job."""
        found = self._read("asked")
        return None if found is None else Kept(**found)

    def begin(self, keeper: Keeper) -> None:
        """Write down who looks after the job."""
        self._write("keeper", keeper)

    def keeper(self) -> Keeper | None:
        """Who looks after the job; None: nobody yet."""
        found = self._read("keeper")
        return None if found is None else Keeper(**found)

    def close(self, end: End) -> None:
        """Write down how the job ended."""
        self._write("end", end)

    def end(self) -> End | None:
        """How the job ended; None: not yet."""
        found = self._read("end")
        return None if found is None else End(**found)

    def ask_to_stop(self) -> None:
        """Have the keeper stop the job."""
        (self.path / "stop").touch()

    def to_stop(self) -> bool:
        """Whether somebody wants the job to be stopped."""
        return (self.path / "stop").exists()

    def kill_left(self) -> None:
        """Kill the processes of the job that are alive, by their environment: their keeper is gone."""
        from psutil import Error, process_iter

        for process in process_iter():
            with suppress(Error, OSError):
                if process.environ().get(self.MARK) == str(self.path):
                    ProcessTree(process.pid).kill(0.0)

    def _write(self, name: str, record: Kept | Keeper | End) -> None:
        part = self.path / f"{name}.{os.getpid()}.part"
        part.write_text(json.dumps(record._asdict()))
        part.replace(self.path / f"{name}.json")

    def _read(self, name: str) -> dict[str, Any] | None:
        try:
            found: dict[str, Any] = json.loads((self.path / f"{name}.json").read_text())
        except FileNotFoundError:
            return None
        return found


def boot_id() -> str:
    """Tells one start of this machine from all others."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        from psutil import boot_time

        return str(int(boot_time()))
