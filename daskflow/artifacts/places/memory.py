"""Objects in the memory of this process, for tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from daskflow.artifacts.contents.frames import Buffer
from daskflow.artifacts.places.bucket import Bucket
from daskflow.artifacts.places.cloud import Cloud
from daskflow.artifacts.places.forks import generation

if TYPE_CHECKING:
    from obstore.store import MemoryStore

_STORES: dict[tuple[str, int], MemoryStore] = {}
"""By name and process, so that a store that was pickled and comes back within this process still has its objects."""


class Memory(Cloud):
    """A cloud in an obstore `MemoryStore`, shared by all of the same name in this process.

    Notes
    -----
    Safe for threads. Another process sees an empty store. Everything but the network is as on a cloud.
    """

    def __init__(self, name: str) -> None:
        super().__init__(f"memory://{name}", {})
        self._bucket = _Shelf(f"memory://{name}", lambda: _opened(name))


class _Shelf(Bucket):
    """A bucket that copies what it is given: a `MemoryStore` keeps the very buffers, which change."""

    def put(self, key: str, data: Buffer) -> None:
        super().put(key, bytes(data))

    def create(self, key: str, data: Buffer) -> bool:
        return super().create(key, bytes(data))


def _opened(name: str) -> MemoryStore:
    from obstore.store import MemoryStore

    return _STORES.setdefault((name, generation()), MemoryStore())
