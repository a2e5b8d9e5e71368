"""Where downloads stand: what came of a file so far, what was fetched the last time, and whose turn it is."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, NamedTuple

from daskflow.artifacts.contents.digests import digest_bytes
from daskflow.artifacts.fetching.sources import Seen
from daskflow.artifacts.store import ObjectStore
from daskflow.errors import CacheFull


class Note(NamedTuple):
    """What was fetched from a URL the last time."""

    validator: str
    """By which the server tells one state of the file from another; may be empty."""
    digest: str
    size: int
    """[bytes]"""
    etag: str = ""
    checksum: str = ""
    """The one that was asked for, if one was."""


class Shelf:
    """What is known, and here, of the file of one URL.

    Parameters
    ----------
    store
        Where the file goes when it is whole.
    url
        A normal URL.

    Notes
    -----
    Safe for processes: between `turn` and its end nobody else writes here, on several nodes too where the objects of
    the store are files of a filesystem that has locks. Where they are none, each node has its own part; two that fetch
    one file at once write the same object. A process that is killed leaves its part, with which the next one goes on;
    `ObjectStore.sweep` removes parts that nobody went on with. What was fetched is a note in the store, which all
    nodes see.
    """

    def __init__(self, store: ObjectStore, url: str) -> None:
        self._store = store
        stem = digest_bytes(url.encode("utf-8", "surrogatepass"))
        self._stem = stem
        self._note = f"downloads/{stem}"

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait until nobody else fetches this URL, and keep others waiting."""
        from filelock import FileLock

        # Not beside the part: there it would be swept away from under those who wait.
        with FileLock(self._store.folder("downloads") / f"{self._stem}.lock"):
            yield

    def note(self) -> Note | None:
        """What was fetched the last time; None where that was never, or its bytes are gone."""
        try:
            found = Note(*json.loads(self._store.read_note(self._note) or b""))
        except (ValueError, TypeError):
            return None
        return found if self._store.exists(found.digest, found.size) else None

    def begun(self) -> tuple[int, Seen]:
        """How much of which state of the file is here [bytes]."""
        try:
            return self.part().stat().st_size, Seen(*json.loads(self._begun().read_bytes()))
        except (OSError, ValueError, TypeError):
            return 0, Seen()

    def part(self) -> Path:
        """The file with what came so far."""
        return self._store.folder("incoming") / f"{self._stem}.part"

    @contextmanager
    def writing(self, start: int, seen: Seen) -> Iterator[IO[bytes]]:
        """A file for the bytes from `start` on; what stands behind them is dropped."""
        part = self.part()
        with self._store.written(), open(part, "r+b" if start else "wb", buffering=0) as file:
            if not start:
                # Only now: before, the old part could have been taken for one of the new state.
                _replace(self._begun(), json.dumps(seen))
            file.seek(start)
            file.truncate()
            yield file

    def finish(self, note: Note) -> None:
        """The part is the whole file: make it an object, and note it."""
        if self._store.local:
            self._store.take(self.part(), note.digest)
        else:
            self._store.put_file(self.part(), note.digest)
        self._store.write_note(self._note, json.dumps(note).encode())
        self._keep_copy(note)
        self.drop()

    def drop(self) -> None:
        """Forget what came so far."""
        self._begun().unlink(missing_ok=True)
        self.part().unlink(missing_ok=True)

    def _begun(self) -> Path:
        return self.part().with_suffix(".begun")

    def _keep_copy(self, note: Note) -> None:
        """Let this node have the file that went to a cloud, without bringing it back from there."""
        if not self._store.local:
            with suppress(CacheFull):  # nobody may want it here
                self._store.cache.path(note.digest, note.size, self._move)

    def _move(self, target: Path) -> None:
        self.part().replace(target)


def named(store: ObjectStore, digest: str, name: str, size: int | None = None) -> Path:
    """A path with a name of its own under which an object can be read: many programs look at the end of a name.

    Raises
    ------
    ArtifactMissing
        The object is not in the store.
    """
    link = store.folder("named") / digest / name
    target = store.local_path(digest, size)
    link.parent.mkdir(exist_ok=True)
    if not link.is_symlink():
        # Relative, so that it is still right when the whole store was moved.
        part = link.with_name(secrets.token_hex(16))
        part.symlink_to(os.path.relpath(target, link.parent))
        part.replace(link)
    return link


def _replace(path: Path, text: str) -> None:
    part = path.with_name(secrets.token_hex(16))
    part.write_text(text)
    part.replace(path)
