"""Programs that stand in for those of a batch system."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


class StandIns:
    """A directory of shell scripts that are found before all other programs."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir()

    def put(self, name: str, *lines: str) -> None:
        """A program of some lines; it writes its arguments down."""
        path = self.directory / name
        note = f'printf "%s\\n" "$@" > {self.directory}/{name}.arguments'
        path.write_text("\n".join(["#!/bin/sh", note, *lines, ""]))
        path.chmod(0o755)

    def say(self, name: str, answer: str) -> None:
        """A program that says something."""
        (self.directory / f"{name}.answer").write_text(answer)
        self.put(name, f"cat {self.directory}/{name}.answer")

    def arguments(self, name: str) -> list[str]:
        """Those of the last call."""
        return (self.directory / f"{name}.arguments").read_text().splitlines()


def placed(directory: Path, monkeypatch: pytest.MonkeyPatch) -> StandIns:
    """An empty directory of them."""
    made = StandIns(directory)
    monkeypatch.setenv("PATH", f"{directory}{os.pathsep}{os.environ['PATH']}")
    return made
