"""The programs of PBS over a real Slurm: Debian has qsub, qstat and qdel of Torque as programs that ask Slurm."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.services.slurm import Slurm

INSTALL = ".ci/torque"
_PROGRAMS = Path(__file__).parents[2] / ".torque" / "bin"


def missing() -> bool:
    """Whether the programs were not fetched."""
    return not (_PROGRAMS / "qsub").is_file()


class Pbs:
    """PBS as a Slurm understands it.

    Notes
    -----
    The real thing has more: here `qstat -f` gives no JSON, and a log is only where `-o` on the command line says, not
    where a line of the script does.
    """

    def __init__(self, slurm: Slurm) -> None:
        self.slurm = slurm

    def activate(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let this process, and those that it starts, call them."""
        self.slurm.activate(monkeypatch)
        monkeypatch.setenv("PATH", f"{_PROGRAMS}{os.pathsep}{os.environ['PATH']}")

    def run(self, program: str, *arguments: str, input: str | None = None) -> str:
        """What a program says, for instance `qstat`.

        Raises
        ------
        RuntimeError
            It failed; with what it said about it.
        """
        env = {**os.environ, **self.slurm.env}
        command = [str(_PROGRAMS / program), *arguments]
        answer = subprocess.run(command, input=input, text=True, capture_output=True, check=False, env=env)
        if answer.returncode:
            raise RuntimeError(f"{program}: {answer.stderr.strip() or answer.stdout.strip() or answer.returncode}")
        return answer.stdout
