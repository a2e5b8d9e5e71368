"""The programs of container runtimes: where they are, what they say, and who starts them."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from collections.abc import Mapping, Sequence

from daskflow.errors import ContainerError

_TAIL = 2000
"""How much of what a program said an error repeats [characters]."""


def find(program: str, what: str = "") -> str:
    """The absolute path of a program. Raises ContainerError where there is none.

    Parameters
    ----------
    what
        What it is needed for, for the error.
    """
    found = shutil.which(program)
    if found is None:
        purpose = f" to {what}" if what else ""
        raise ContainerError(
            f"There is no program {program!r} on this node{purpose}. Install it, or add its directory to PATH."
        )
    return os.path.abspath(found)


def run(argv: Sequence[str], what: str, env: Mapping[str, str] | None = None) -> str:
    """What a program writes to its standard output.

    Parameters
    ----------
    what
        What it is to do, for the error: `pull python:3.12`.
    env
        Variables beside those of this process.

    Raises
    ------
    ContainerError
        It is not there, or fails; with the end of what it said.
    """
    argv = [find(argv[0], what), *argv[1:]]
    done = subprocess.run(
        argv, env={**os.environ, **(env or {})}, stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
    if done.returncode:
        said = (done.stderr or done.stdout).decode(errors="replace").strip()[-_TAIL:]
        raise ContainerError(f"{os.path.basename(argv[0])} cannot {what} (exit code {done.returncode}): {said}")
    return done.stdout.decode(errors="replace").strip()


def answers(argv: Sequence[str], patience: float = 10.0) -> str | None:
    """What a program writes if it ends well within some time [s]; None if not, or if there is no such program."""
    program = shutil.which(argv[0])
    if program is None:
        return None
    try:
        done = subprocess.run(
            [program, *argv[1:]], stdin=subprocess.DEVNULL, capture_output=True, timeout=patience, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.decode(errors="replace").strip() if done.returncode == 0 else None


def user_name() -> str:
    """The name of the user of this process; the number where there is no name, as in some clusters."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())
