"""Objects in the memory of this process, for tests."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from daskflow.artifacts.contents.frames import Buffer

if TYPE_CHECKING:
    from obstore.store import MemoryStore

_STORES: dict[str, MemoryStore] = {}
"""By name, so that a store that was pickled and comes back within this process still has its objects."""


class Memory:
    """Objects in an obstore `MemoryStore`, shared by all of the same name in this process.

    Notes
    -----
    Safe for threads. Another process sees an empty store.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    @property
    def _store(self) -> MemoryStore:
        from obstore.store import MemoryStore

        return _STORES.setdefault(self.name, MemoryStore())

    def path(self, digest: str) -> None:
        """None: the object is no file."""

    def size(self, digest: str) -> int | None:
        """Size of the object [bytes]; None where there is none."""
        try:
            return int(self._store.head(_key(digest))["size"])
        except FileNotFoundError:
            return None

    def read(self, digest: str) -> memoryview:
        """The bytes of an object that is there, copied: whoever changes them changes no object."""
        return memoryview(bytearray(self._store.get(_key(digest)).bytes()))

    def write(self, digest: str, buffers: Iterable[Buffer]) -> None:
        """Write an object; nothing of it is visible before all of it is."""
        # `bytes` first: `blocks` overwrites its buffer, and an error of the iterator must leave nothing.
        self._store.put(_key(digest), b"".join(map(bytes, buffers)))

    def take(self, path: Path, digest: str) -> None:
        """Keep the bytes of a file made in `temporary`."""
        self.write(digest, [path.read_bytes()])

    @contextmanager
    def temporary(self) -> Iterator[Path]:
        """A path for a new file, removed at the end."""
        with tempfile.TemporaryDirectory(prefix="daskflow-") as directory:
            yield Path(directory, "object")

    def folder(self, name: str) -> None:
        """None: there are no files."""

    def written(self) -> AbstractContextManager[None]:
        """Nothing can go wrong."""
        return nullcontext()

    def remove(self, digest: str) -> None:
        """Remove an object; nothing happens where there is none."""
        self._store.delete(_key(digest))

    def sweep(self, older: float = 0.0) -> int:
        """Nothing is ever left behind."""
        return 0


def _key(digest: str) -> str:
    return f"objects/{digest[:2]}/{digest}"
