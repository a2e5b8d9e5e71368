"""What a place of objects has to offer; the object store asks for no more."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, Protocol, TypeAlias

from daskflow.artifacts.contents.frames import Buffer

Progress: TypeAlias = Callable[[int], object]
"""Called with the number of bytes just done, from any thread."""

FRESH = 86400.0
"""An object that nobody wrote for so long [s] is written or touched again by who needs it: it might be about to go."""


def silent(done: int) -> None:
    """The progress of which nobody wants to know."""


class Place(Protocol):
    """Where objects lie: a directory, or a bucket of a cloud. Digests and paths of notes come checked."""

    def path(self, digest: str) -> Path | None:
        """Where the object lies as a file, or would; None where objects are no files."""

    def size(self, digest: str, size: int | None = None) -> int | None:
        """Size of the object [bytes]; None where there is none. It is expected to be `size`."""

    def keep(self, digest: str, size: int) -> bool:
        """Whether the object is there whole, and now counts as new; where it is False, write it."""

    def read(self, digest: str, size: int | None = None) -> memoryview:
        """The bytes of the object, private to whoever asked. Raises FileNotFoundError."""

    def read_range(self, digest: str, start: int, stop: int, size: int | None = None) -> memoryview:
        """Some bytes of the object, fewer where it ends before `stop`. Raises FileNotFoundError."""

    def write(self, digest: str, buffers: Iterable[Buffer]) -> None:
        """Write an object whole or, when `buffers` raises, not at all."""

    def store_file(self, path: Path, *, digest: str | None, progress: Progress) -> str:
        """Keep a copy of a file, unless it is there; returns its digest."""

    def store_stream(self, file: IO[bytes], progress: Progress) -> tuple[str, int]:
        """Keep what a file object gives; returns digest and size [bytes]."""

    def fetch_file(self, digest: str, path: Path, *, size: int | None, progress: Progress) -> None:
        """Bring an object to a new file, verified. Raises FileNotFoundError."""

    def temporary(self) -> AbstractContextManager[Path]:
        """A path for a new file; it is removed at the end of the block."""

    def take(self, path: Path, digest: str) -> None:
        """Make the file at a path that `temporary` gave an object."""

    def folder(self, name: str) -> Path | None:
        """A directory beside the objects; None where objects are no files."""

    def written(self) -> AbstractContextManager[None]:
        """A block in which files are written: it turns errors into those that say what to do."""

    def url_of(self, digest: str, expires: float, name: str | None) -> str:
        """A URL that is good for `expires` [s]. Raises FileNotFoundError."""

    def objects(self) -> Iterator[tuple[str, int, float]]:
        """All objects: digest, size [bytes], time of the last change [s since the epoch]."""

    def remove(self, digest: str) -> None:
        """Remove an object; nothing happens where there is none."""

    def discard(self, digest: str, before: float) -> bool:
        """Remove an object, or a part, that is older than `before` [s since the epoch]; whether it was."""

    def sweep(self, older: float) -> int:
        """Remove what was left half written more than `older` [s] ago; returns how much [bytes]."""

    def read_note(self, path: str) -> bytes | None:
        """A note; None where there is none."""

    def write_note(self, path: str, data: bytes, *, create: bool) -> bool:
        """Write a note whole or not at all; False where `create` is asked for and another is there."""

    def remove_note(self, path: str) -> None:
        """Remove a note; nothing happens where there is none."""

    def notes(self, prefix: str) -> Iterator[tuple[str, float]]:
        """The notes below a path: path and time of the last change [s since the epoch]."""
