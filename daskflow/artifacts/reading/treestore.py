"""Trees of the object store as Zarr stores."""

from __future__ import annotations

import asyncio  # noqa: TID253, this module is imported by who has Zarr in hand
import json
from collections.abc import AsyncIterator, Iterable
from typing import Any

from zarr.abc.store import (  # noqa: TID253, its Store is the base class
    ByteRequest,
    OffsetByteRequest,
    RangeByteRequest,
    Store,
    SuffixByteRequest,
)
from zarr.core.buffer import Buffer, BufferPrototype  # noqa: TID253, the same
from zarr.core.buffer.core import default_buffer_prototype  # noqa: TID253, the same

from daskflow.artifacts.reading.ranges import store_at
from daskflow.artifacts.store import ObjectStore
from daskflow.artifacts.trees import Entry, Tree
from daskflow.errors import ArtifactError


class TreeStore(Store):
    """A Zarr store over a tree: each key of Zarr is a file of the tree, an object known by its digest.

    Parameters
    ----------
    store
        Holds the objects.
    digest
        That of a tree to read, or to start from. Without it the tree is empty.
    read_only
        Whether nothing can be written; where it is not told: whether there is a digest.

    Notes
    -----
    What is written goes to the object store at once and is kept in no other place; that it belongs together is
    known to this instance only, until `commit` writes the manifest. So a writer that dies leaves objects that
    nobody needs, and never half a tree. Of a tree for reading only the manifest is kept in memory; ranges of
    chunks are read as ranges. Safe for threads. A tree for reading pickles, as URL and digest; one that is being
    written does not.

    Examples
    --------
    >>> import zarr
    >>> store = ObjectStore("memory://trees")
    >>> tree = TreeStore(store)
    >>> zarr.create_array(tree, shape=4, chunks=2, dtype="i4")[:] = [1, 2, 3, 4]
    >>> zarr.open_array(TreeStore(store, tree.commit()), mode="r")[1:3]
    array([2, 3], dtype=int32)
    """

    supports_writes = True
    supports_deletes = True
    supports_listing = True

    def __init__(self, store: ObjectStore, digest: str = "", *, read_only: bool | None = None) -> None:
        super().__init__(read_only=bool(digest) if read_only is None else read_only)
        self.store = store
        self.digest = digest
        """That of the tree which was read or committed last; empty where there is none."""
        self._found: dict[str, Entry] | None = None if digest else {}

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, TreeStore):
            return False
        same = (self.store.url, self.digest, self.read_only) == (other.store.url, other.digest, other.read_only)
        return self is other or (same and self.read_only)

    def __hash__(self) -> int:
        return hash((self.store.url, self.digest)) if self.read_only else id(self)

    def __repr__(self) -> str:
        return f"TreeStore({self.store!r}, {self.digest!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        if not self.read_only:
            raise ArtifactError("A tree that is being written cannot be sent elsewhere. Call `commit` first.")
        return _again, (self.store.url, self.digest)

    def __dask_tokenize__(self) -> tuple[str, str]:
        return "TreeStore", self.digest if self.read_only else repr(id(self))

    def commit(self) -> str:
        """Write the manifest; returns the digest of the tree.

        Raises
        ------
        ArtifactError
            The store is full or cannot be written.
        """
        self.digest = Tree(self._entries).put(self.store)
        return self.digest

    @property
    def is_zarr(self) -> bool:
        """Whether Zarr can open it."""
        return not {"zarr.json", ".zgroup", ".zarray"}.isdisjoint(self._entries)

    @property
    def consolidated(self) -> bool:
        """Whether its metadata stand together in one place."""
        root = self._entries.get("zarr.json")
        if root is None:
            return ".zmetadata" in self._entries
        return bool(json.loads(bytes(self.store.get(root.digest, root.size))).get("consolidated_metadata"))

    @property
    def _entries(self) -> dict[str, Entry]:
        if self._found is None:
            self._found = dict(Tree.get(self.store, self.digest).files())
        return self._found

    async def _all(self) -> dict[str, Entry]:
        return self._entries if self._found is not None else await asyncio.to_thread(lambda: self._entries)

    def with_read_only(self, read_only: bool = False) -> TreeStore:
        """The same tree, for reading or for writing; what one writes the other sees."""
        other = TreeStore(self.store, self.digest, read_only=read_only)
        other._found = self._found
        return other

    async def get(
        self, key: str, prototype: BufferPrototype | None = None, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """The bytes of a key, or a range of them; None where there is no such key."""
        entry = (await self._all()).get(key)
        if entry is None:
            return None
        data = await asyncio.to_thread(self._read, entry, byte_range)
        return (prototype or default_buffer_prototype()).buffer.from_bytes(data)

    async def get_partial_values(
        self, prototype: BufferPrototype, key_ranges: Iterable[tuple[str, ByteRequest | None]]
    ) -> list[Buffer | None]:
        """Several of what `get` gives, at once."""
        return await asyncio.gather(*(self.get(key, prototype, wanted) for key, wanted in key_ranges))

    async def exists(self, key: str) -> bool:
        """Whether there is such a key."""
        return key in await self._all()

    async def getsize(self, key: str) -> int:
        """Size of what a key has [bytes]. Raises FileNotFoundError."""
        entry = (await self._all()).get(key)
        if entry is None:
            raise FileNotFoundError(key)
        return entry.size

    async def set(self, key: str, value: Buffer) -> None:
        """Write a key: its bytes go to the object store at once."""
        self._check_writable()
        data: Any = value.as_buffer_like()
        digest = await asyncio.to_thread(self.store.put, data)
        (await self._all())[key] = Entry("f", digest, len(value))

    async def delete(self, key: str) -> None:
        """Take a key out of the tree; nothing happens where there is none."""
        self._check_writable()
        (await self._all()).pop(key, None)

    async def list(self) -> AsyncIterator[str]:
        """All keys."""
        for key in sorted(await self._all()):
            yield key

    async def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        """All keys that start so."""
        for key in sorted(await self._all()):
            if key.startswith(prefix):
                yield key

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        """The names right below a directory."""
        above = f"{prefix.rstrip('/')}/" if prefix.rstrip("/") else ""
        below = {key[len(above) :].split("/", 1)[0] for key in await self._all() if key.startswith(above)}
        for name in sorted(below):
            yield name

    def _read(self, entry: Entry, wanted: ByteRequest | None) -> Any:
        if wanted is None:
            return self.store.get(entry.digest, entry.size)
        return self.store.read(entry.digest, *_range(wanted, entry.size), entry.size)


def _again(url: str, digest: str) -> TreeStore:
    return TreeStore(store_at(url), digest)


def _range(wanted: ByteRequest, size: int) -> tuple[int, int]:
    """Start and stop of a request, within the object [bytes]."""
    if isinstance(wanted, RangeByteRequest):
        return min(wanted.start, size), min(wanted.end, size)
    if isinstance(wanted, OffsetByteRequest):
        return min(wanted.offset, size), size
    if isinstance(wanted, SuffixByteRequest):
        return max(0, size - wanted.suffix), size
    raise TypeError(f"{wanted!r} is no range")
