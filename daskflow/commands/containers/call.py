"""What a command needs from its container, and what is started in its place."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from daskflow.errors import ContainerError

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Where programs are looked for in an image that does not say it."""


class Bind(NamedTuple):
    """A file or directory of the host that a container shows."""

    source: str
    """Absolute path on the host."""
    target: str
    """Absolute path in the container."""
    writable: bool = False
    """Whether commands may write there; not all runtimes can forbid it."""

    @classmethod
    def parse(cls, text: str) -> Bind:
        """The bind of a text such as `/data`, `/data:/mnt` or `/data:/mnt:rw`; read-only unless it says `rw`.

        Raises
        ------
        ContainerError
            It is of another form.

        Examples
        --------
        >>> Bind.parse("/data:/mnt")
        Bind(source='/data', target='/mnt', writable=False)
        """
        source, *rest = text.split(":")
        access = rest.pop() if rest and rest[-1] in ("ro", "rw") else "ro"
        if len(rest) > 1 or not all(path.startswith("/") for path in (source, *rest)):
            raise ContainerError(f"{text!r} is no bind: write /source, /source:/target or /source:/target:rw.")
        return cls(source, rest[0] if rest else source, access == "rw")


@dataclass(frozen=True, slots=True)
class Call:
    """One command, and what it needs."""

    command: Sequence[str]
    """The program, by its name or path in the image, and its arguments."""
    work: Path
    """The directory of the attempt in which it works: at the same path in the container, with write access."""
    temporary: Path
    """A directory of the attempt for temporary files: at the same path in the container, and as `/tmp`."""
    aside: Path
    """A directory of the attempt that it does not see, and that may not be there yet."""
    cwd: Path
    """Where it starts: `work`, or a directory below."""
    env: Mapping[str, str] = field(default_factory=dict)
    """Its environment, beside what the image says. Nothing else of the host's environment is there."""
    network: bool = False
    """Whether it has the network of the host."""
    binds: Sequence[Bind] = ()
    """What else of the host it sees; of two at one place the later one."""
    name: str = ""
    """Name of the container, unlike any other on the node; by it `stop` finds it."""

    def variables(self) -> dict[str, str]:
        """The environment, whose home is the work directory unless it says otherwise."""
        return {"HOME": str(self.work), **self.env}

    def mounts(self) -> list[Bind]:
        """All that is shown of the host, once each; what lies in another comes after it.

        Raises
        ------
        ContainerError
            A path has a colon, which runtimes take for the end of the path.
        """
        own = [(self.temporary, "/tmp"), (self.temporary, self.temporary), (self.work, self.work)]
        scratch = [Bind(str(source), str(target), writable=True) for source, target in own]
        found = {bind.target: bind for bind in [*self.binds, *scratch]}
        for path in {path for bind in found.values() for path in bind[:2] if ":" in path}:
            raise ContainerError(f"{path} cannot be shown to a container: its path has a colon. Choose another place.")
        return [found[target] for target in sorted(found)]


def above(target: str, binds: Iterable[Bind]) -> Bind | None:
    """The bind that shows the directory in which a target lies; the nearest, None where there is none."""
    found = [bind for bind in binds if PurePosixPath(bind.target) in PurePosixPath(target).parents]
    return max(found, key=lambda bind: len(bind.target), default=None)


def make_place(bind: Bind, above: Bind) -> None:
    """Make the file or directory on which a bind is mounted in the directory of another.

    Raises
    ------
    ContainerError
        That directory cannot be written to.
    """
    place = Path(above.source) / PurePosixPath(bind.target).relative_to(above.target)
    if place.exists():
        return
    isdir = os.path.isdir(bind.source)
    try:
        (place if isdir else place.parent).mkdir(parents=True, exist_ok=True)
        if not isdir:
            place.touch()
    except OSError as error:
        raise ContainerError(
            f"{bind.target} cannot be shown to a container: {place} is not there and cannot be made ({error.strerror})."
        ) from error


class Enclosed(NamedTuple):
    """What is started on the host so that a command runs in a container."""

    argv: list[str]
    """Program, by its absolute path, and arguments."""
    env: dict[str, str]
    """The whole environment of that program. Secrets are here: `argv` is for everybody on the host to read."""
