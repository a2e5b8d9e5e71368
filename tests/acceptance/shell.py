"""Runs `daskflow` as a person would, in a directory of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any


def environment(**changes: str) -> dict[str, str]:
    """This environment, without any configuration of daskflow."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DASKFLOW_")}
    return {**kept, **changes}


def daskflow(directory: Path, *arguments: str, code: int = 0, **variables: str) -> str:
    """Run a command; gives what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "daskflow", *arguments],
        cwd=directory,
        env=environment(**variables),
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == code, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout if code == 0 else done.stdout + done.stderr


def run(directory: Path, target: str, *arguments: str, **variables: str) -> dict[str, Any]:
    """Run a flow; gives what `--json` tells of it."""
    found: dict[str, Any] = json.loads(daskflow(directory, "run", target, "--json", *arguments, code=0, **variables))
    return found


def ran(outcome: dict[str, Any]) -> set[str]:
    """The tasks of which at least one job was really performed."""
    return {task for task, states in outcome["counts"].items() if "succeeded" in states}
