"""What the commands of a job left: exit codes, output, files."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from typing import NamedTuple

from daskflow.artifacts.artifact import Artifact
from daskflow.errors import OutputMissing


class Usage(NamedTuple):
    """What a job used of the machine."""

    wall: float
    """Time from its start to its end, staging included [s]."""
    cpu: float
    """CPU time of its commands [s]."""
    memory: int
    """Peak resident memory of the largest of its processes [bytes]."""


class Ended(NamedTuple):
    """How one command ended."""

    text: str
    """The command, with the parameters in their places."""
    exit_code: int
    """What it ended with, as shells tell it: 128 and the number of a signal that ended it; 127 if it did not start."""


class Files(dict[str, Artifact]):
    """The output files and directories of a job, by their paths in its scratch directory."""

    def __missing__(self, name: str) -> Artifact:
        near = difflib.get_close_matches(name, self, 3, 0.3) or list(self)[:3]
        there = f"it left {', '.join(map(repr, near))}" if near else "it left none"
        raise OutputMissing(f"The job left no output file {name!r}; {there}. Name it in `output_files`.")


@dataclass(frozen=True)
class CommandResult:
    """What a command job gives. The same commands with the same inputs give an equal one, times are no part of it."""

    commands: tuple[Ended, ...]
    """How each command ended, in their order; sidecars are left out."""
    files: Files = field(default_factory=Files)
    """What was declared as output, each an `Artifact`."""
    out: bytes | Artifact = b""
    """What the commands wrote to their standard output; larger texts are artifacts."""
    err: bytes | Artifact = b""
    """The same for their standard error."""

    @property
    def exit_codes(self) -> tuple[int, ...]:
        """What the commands ended with."""
        return tuple([command.exit_code for command in self.commands])

    def stdout(self, tail: int | None = None) -> str:
        """Standard output of all commands; with `tail` the last lines of it."""
        return _text(self.out, tail)

    def stderr(self, tail: int | None = None) -> str:
        """Standard error of all commands; with `tail` the last lines of it."""
        return _text(self.err, tail)

    def __str__(self) -> str:
        """Standard output without the white space around it: how it stands as a parameter of another command."""
        return self.stdout().strip()


def content(stream: bytes | Artifact) -> bytes:
    """The bytes of an output stream."""
    if isinstance(stream, bytes):
        return stream
    with stream.open() as file:
        return bytes(file.read())


def _text(stream: bytes | Artifact, tail: int | None) -> str:
    text = content(stream).decode(errors="replace")
    if tail is None:
        return text
    return "".join(lines_of(text)[-tail:]) if tail > 0 else ""


def lines_of(text: str) -> list[str]:
    """The lines of a text, with their ends; a carriage return is none, as of programs that draw a progress bar."""
    *whole, rest = text.split("\n")
    return [*[f"{line}\n" for line in whole], *([rest] if rest else [])]
