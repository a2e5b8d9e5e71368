"""The artifact store of a server, for who reaches nothing but the server."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import IO, Any, NoReturn

from blake3 import blake3

from daskflow.artifacts.contents.digests import DIGITS, digest_file
from daskflow.artifacts.contents.frames import Buffer
from daskflow.artifacts.names import Named, Names, checked
from daskflow.artifacts.places.afar import Afar
from daskflow.artifacts.places.files import Source, arriving, read_some
from daskflow.artifacts.places.place import Progress
from daskflow.artifacts.store import ObjectStore
from daskflow.errors import ArtifactDamaged, ArtifactError, ArtifactMissing
from daskflow.stores.buckets.freight import Freight
from daskflow.stores.buckets.shelf import Shelf

_BLOCK = 1 << 20
_REACHED: list[Freight] = []
"""The way to the artifact store of the server by which this process got what it performs."""


class ServedPlace(Afar):
    """Objects on a server: a `Place`. What has to do with all that lies there is for who keeps the server.

    Parameters
    ----------
    freight
        Brings them there and back.
    """

    def __init__(self, freight: Freight) -> None:
        self._freight = freight

    def size(self, digest: str, size: int | None = None) -> int | None:
        """Size of the object [bytes]; None where there is none."""
        return self._freight.size(digest)

    def keep(self, digest: str, size: int) -> bool:
        """Whether the object is there whole, and now counts as new."""
        return self._freight.has(digest, size)

    def read(self, digest: str, size: int | None = None) -> memoryview:
        """The bytes of the object, verified. Raises FileNotFoundError, ArtifactDamaged."""
        data = bytearray()
        for block in self._blocks(digest):
            data += block
        return memoryview(data)

    def read_range(self, digest: str, start: int, stop: int, size: int | None = None) -> memoryview:
        """Some bytes of the object. Raises FileNotFoundError."""
        with _missing(digest):
            return memoryview(bytearray().join(self._freight.fetch(digest, start, stop)))

    def write(self, digest: str, buffers: Iterable[Buffer]) -> None:
        """Write an object whole or not at all."""
        data = memoryview(b"".join(buffers))
        self._freight.store(digest, len(data), lambda start, size: bytes(data[start : start + size]))

    def store_file(self, path: Path, *, digest: str | None, progress: Progress) -> str:
        """Keep a copy of a file; returns its digest. Raises ArtifactDamaged where it changes meanwhile."""
        found = digest or digest_file(path)
        with Source(path) as source:

            def read(start: int, size: int) -> bytes:
                data = bytearray(size)
                source.read(memoryview(data), start)
                return bytes(data)

            try:
                self._freight.store(found, source.size, read)
            except ArtifactDamaged:
                raise source.changed() from None
            progress(source.size)
        return found

    def store_stream(self, file: IO[bytes], progress: Progress) -> tuple[str, int]:
        """Keep what a file object gives; it is written to this node first, for its digest is told before."""
        with self.temporary() as path:
            with self.written(), path.open("xb") as copy:
                while data := read_some(file, _BLOCK):
                    copy.write(data)
            size = path.stat().st_size
            return self.store_file(path, digest=None, progress=progress), size

    def fetch_file(self, digest: str, path: Path, *, size: int | None, progress: Progress) -> None:
        """Bring an object to a new file, verified. Raises FileNotFoundError, ArtifactDamaged."""
        with arriving(path) as file:
            for block in self._blocks(digest):
                file.write(block)
                progress(len(block))

    def url_of(self, digest: str, expires: float, name: str | None) -> str:
        """No such URLs are given from here. Raises ArtifactError."""
        _refuse("URLs of objects are made")

    def objects(self) -> Iterator[tuple[str, int, float]]:
        """Raises ArtifactError."""
        _refuse("all objects are listed")

    def remove(self, digest: str) -> None:
        """Raises ArtifactError."""
        _refuse("objects are removed")

    def discard(self, digest: str, before: float) -> bool:
        """Raises ArtifactError."""
        _refuse("objects are removed")

    def sweep(self, older: float) -> int:
        """Raises ArtifactError."""
        _refuse("objects are removed")

    def read_note(self, path: str) -> bytes | None:
        """Raises ArtifactError."""
        _refuse("notes are read")

    def write_note(self, path: str, data: bytes, *, create: bool) -> bool:
        """Raises ArtifactError."""
        _refuse("notes are written")

    def remove_note(self, path: str) -> None:
        """Raises ArtifactError."""
        _refuse("notes are removed")

    def notes(self, prefix: str) -> Iterator[tuple[str, float]]:
        """Raises ArtifactError."""
        _refuse("notes are listed")

    def _blocks(self, digest: str) -> Iterator[bytes]:
        hasher = blake3()
        with _missing(digest):
            for block in self._freight.fetch(digest):
                hasher.update(block)
                yield block
        if (found := hasher.hexdigest(length=DIGITS // 2)) != digest:
            raise ArtifactDamaged(f"The server gave bytes of the digest {found} for the object {digest}.")


class ServedStore(ObjectStore):
    """The objects of the artifact store of a server.

    Parameters
    ----------
    freight
        Brings them there and back.

    Notes
    -----
    As any store, but that nothing is listed or removed from here; names are given and found by `names_of`.
    """

    def __init__(self, freight: Freight) -> None:
        self.freight = freight
        """Brings objects there and back."""
        # An address of a server is none of a store.
        super().__init__(f"memory://{freight.url}")
        self.url = freight.url

    def __reduce__(self) -> Any:
        return ServedStore, (self.freight,)

    @cached_property
    def _place(self) -> ServedPlace:
        return ServedPlace(self.freight)

    @property
    def local(self) -> bool:
        """Objects are no files."""
        return False


class ServedNames(Names):
    """The names of artifacts on a server."""

    def __init__(self, store: ServedStore) -> None:
        super().__init__(store)
        self._freight = store.freight

    def give(self, named: Named) -> Named:
        """Let a name stand for something. Raises NameRefused, ArtifactMissing."""
        return Named(**self._freight.give(checked(named.name), named.digest, named.kind))

    def claim(self, named: Named) -> Named:
        """Let a name stand for something if nobody gave it yet; what it stands for then."""
        return Named(**self._freight.give(checked(named.name), named.digest, named.kind, create=True))

    def look(self, name: str) -> Named | None:
        """What a name stands for; None where it stands for nothing."""
        try:
            return self.find(name)
        except ArtifactMissing:
            return None

    def find(self, name: str) -> Named:
        """What a name stands for. Raises ArtifactMissing, NameRefused."""
        return Named(**self._freight.named(checked(name)))

    def list(self, start: str = "") -> list[str]:
        """The first names that begin so."""
        return self._freight.names(start)


def names_of(store: ObjectStore) -> Names:
    """The names of a store, wherever it is."""
    return ServedNames(store) if isinstance(store, ServedStore) else Names(store)


@contextmanager
def _missing(digest: str) -> Iterator[None]:
    try:
        yield
    except ArtifactMissing:
        raise FileNotFoundError(digest) from None


def freight_of(shelf: Shelf) -> Freight | None:
    """The way to the artifact store of the server that keeps works; None where no server does."""
    from daskflow.stores.buckets.remote import RemoteShelf  # noqa: PLC0415, most works are in a store

    return Freight(shelf.line) if isinstance(shelf, RemoteShelf) else None


def reach(shelf: Shelf | None) -> None:
    """What this process performs comes from this shelf: where a server keeps it, its artifact store is in reach too."""
    freight = None if shelf is None else freight_of(shelf)
    _REACHED[:] = [] if freight is None else [freight]


def reached() -> Freight | None:
    """The way to the artifact store of the server from which comes what this process performs; None: there is none."""
    return _REACHED[0] if _REACHED else None


def _refuse(what: str) -> NoReturn:
    raise ArtifactError(f"Where the artifact store is that of a server, {what} only where the server is.")
