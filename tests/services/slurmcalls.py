"""Counting how often the programs of Slurm are called, by programs of the same names before them in the path."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pytest

PROGRAMS = ("sacct", "sacctmgr", "salloc", "sbatch", "scancel", "scontrol", "sinfo", "squeue", "srun", "sstat")
_WRAPPER = """\
#!/bin/bash
printf '%s {name} %q\\n' "$EPOCHREALTIME" "$*" >>{log}
exec {program} "$@"
"""


class Call(NamedTuple):
    """One that was made."""

    time: float
    """Of the clock on the wall [s]."""
    program: str
    arguments: str


class SlurmCalls:
    """Programs in a directory that note each call and then become the real ones.

    Parameters
    ----------
    directory
        A new one.

    Notes
    -----
    Safe for processes: a line is written at once. What jobs call is noted as well, for they inherit the path.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory / "bin"
        self._log = directory / "calls"
        self.directory.mkdir(parents=True)
        self._log.touch()
        for name in PROGRAMS:
            program = shutil.which(name)
            if program is None:
                continue
            wrapper = self.directory / name
            wrapper.write_text(_WRAPPER.format(name=name, log=self._log, program=program))
            wrapper.chmod(0o755)

    def activate(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let this process, and those that it starts, call them."""
        monkeypatch.setenv("PATH", f"{self.directory}{os.pathsep}{os.environ['PATH']}")

    def all(self) -> list[Call]:
        """Each call, the first first."""
        lines = [line.split(" ", 2) for line in self._log.read_text().splitlines()]
        return [Call(float(time), program, arguments) for time, program, arguments in lines]

    def counts(self) -> Counter[str]:
        """How often each program was called."""
        return Counter(call.program for call in self.all())

    def reset(self) -> None:
        """Begin to count anew."""
        self._log.write_text("")

    def fail(self, name: str, message: str, code: int = 1) -> None:
        """Let a program from now on only say something, and fail."""
        note = f'printf \'%s {name} %q\\n\' "$EPOCHREALTIME" "$*" >>{self._log}'
        (self.directory / name).write_text(f"#!/bin/bash\n{note}\ncat >&2 <<'END'\n{message}\nEND\nexit {code}\n")
