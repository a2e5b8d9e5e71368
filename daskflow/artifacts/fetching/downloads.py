"""Where downloads stand: what came of a file so far, what was fetched the last time, and whose turn it is."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple

from daskflow.artifacts.contents.digests import digest_bytes
from daskflow.artifacts.fetching.sources import Seen
from daskflow.artifacts.store import ObjectStore


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
    """The place of one URL beside the objects of a store.

    Parameters
    ----------
    store
        Where the file goes when it is whole.
    url
        A normal URL.

    Notes
    -----
    Safe for processes, on several nodes too where their filesystem has locks: between `turn` and its end nobody else
    writes here. A process that is killed leaves its part, with which the next one goes on; `ObjectStore.sweep` removes
    parts that nobody went on with.
    """

    def __init__(self, store: ObjectStore, url: str) -> None:
        self._store = store
        stem = digest_bytes(url.encode("utf-8", "surrogatepass"))
        self._part = store.folder("incoming") / f"{stem}.part"
        self._begun = self._part.with_suffix(".begun")
        self._note = store.folder("downloads") / f"{stem}.json"
        self._lock = self._note.with_suffix(".lock")

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait until nobody else fetches this URL, and keep others waiting."""
        from filelock import FileLock

        with FileLock(self._lock):
            yield

    def note(self) -> Note | None:
        """What was fetched the last time; None where that was never, or its bytes are gone."""
        try:
            found = Note(*json.loads(self._note.read_bytes()))
        except (OSError, ValueError, TypeError):
            return None
        return found if self._store.exists(found.digest, found.size) else None

    def begun(self) -> tuple[int, Seen]:
        """How much of which state of the file is here [bytes]."""
        try:
            return self._part.stat().st_size, Seen(*json.loads(self._begun.read_bytes()))
        except (OSError, ValueError, TypeError):
            return 0, Seen()

    def part(self) -> Path:
        """The file with what came so far."""
        return self._part

    @contextmanager
    def writing(self, start: int, seen: Seen) -> Iterator[IO[bytes]]:
        """A file for the bytes from `start` on; what stands behind them is dropped."""
        with self._store.written(), open(self._part, "r+b" if start else "wb", buffering=0) as file:
            if not start:
                # Only now: before, the old part could have been taken for one of the new state.
                _replace(self._begun, json.dumps(seen))
            file.seek(start)
            file.truncate()
            yield file

    def finish(self, note: Note) -> None:
        """The part is the whole file: make it an object, and note it."""
        self._store.take(self._part, note.digest)
        _replace(self._note, json.dumps(note))
        self.drop()

    def drop(self) -> None:
        """Forget what came so far."""
        self._begun.unlink(missing_ok=True)
        self._part.unlink(missing_ok=True)


def named(store: ObjectStore, digest: str, name: str) -> Path:
    """A path with a name of its own under which an object can be read: many programs look at the end of a name."""
    link = store.folder("named") / digest / name
    target = store.local_path(digest)
    link.parent.mkdir(exist_ok=True)
    if target is not None and not link.is_symlink():
        # Relative, so that it is still right when the whole store was moved.
        part = link.with_name(secrets.token_hex(16))
        part.symlink_to(os.path.relpath(target, link.parent))
        part.replace(link)
    return link


def _replace(path: Path, text: str) -> None:
    part = path.with_name(secrets.token_hex(16))
    part.write_text(text)
    part.replace(path)
