"""What a server does with artifacts: by links to the object storage where it has them, else through itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from daskflow.artifacts.contents.digests import digest_file
from daskflow.artifacts.leaving import Leaving
from daskflow.artifacts.names import Named, Names, checked
from daskflow.artifacts.store import ObjectStore
from daskflow.artifacts.trees import Tree, is_tree
from daskflow.errors import ArtifactDamaged, ArtifactError, ArtifactMissing, WorkInvalid
from daskflow.execution.gateway.uploads import GOOD, Uploads

BLOCK = 1 << 20
"""So much is read from the store at a time [bytes]."""
_TREE = 64 << 20
"""The manifest of a directory is no longer [bytes]."""


class Piece(NamedTuple):
    """A part of an object."""

    digest: str
    size: int
    """Of the whole object [bytes]."""
    start: int
    stop: int

    @property
    def whole(self) -> bool:
        """Whether it is all of it."""
        return (self.start, self.stop) == (0, self.size)


class ObjectDesk:
    """Artifacts, for those who ask over a network.

    Parameters
    ----------
    store
        Where they lie.
    claim
        Notes in the store that what is there is needed.
    """

    def __init__(self, store: ObjectStore, claim: Callable[[], object]) -> None:
        self._store = store
        self._names = Names(store)
        self._claim = claim
        self.uploads = Uploads(store, claim)
        """Objects that go to the object storage by themselves."""

    def names(self, start: str, limit: int) -> list[Named]:
        """The first names that start so."""
        found = (self._names.look(name) for name in self._names.list(start)[:limit])
        return [named for named in found if named is not None]

    def find(self, name: str) -> Named:
        """What a name stands for. Raises ArtifactMissing, NameRefused."""
        with self._discreet():
            return self._names.find(name)

    def give(self, name: str, digest: str, kind: str, *, create: bool = False) -> Named:
        """Let a name stand for an object that is here; what it stands for then.

        Parameters
        ----------
        create
            Only where nobody gave the name yet.

        Raises
        ------
        ArtifactMissing, NameRefused
        ArtifactDamaged
            It is to be a directory, and is none.
        """
        with self._discreet():
            self._claim()
            if kind == "tree":
                self._check_tree(digest)
            named = Named(name, digest, self._size(digest), kind, source="a server")
            return self._names.claim(named) if create else self._names.give(named)

    def check(self, name: str) -> None:
        """Raise NameRefused where a text is no name."""
        checked(name)

    def digest_of(self, name: str) -> str:
        """Digest of the file that a name stands for.

        Raises
        ------
        ArtifactMissing, NameRefused
        WorkInvalid
            It is a directory.
        """
        named = self.find(name)
        if named.kind != "file":
            raise WorkInvalid(f"{name!r} is a directory. Its objects are brought one by one, by their digests.")
        return named.digest

    def link(self, digest: str) -> str | None:
        """A URL at which the object storage itself gives an object; None where there is none.

        There is none for an object that lies in parts: it would have to be copied as a whole first.

        Raises
        ------
        ArtifactMissing
        """
        try:
            with self._discreet():
                return Leaving(self._store).url(digest, GOOD)
        except ArtifactMissing:
            raise
        except ArtifactError:
            return None

    def piece(self, digest: str, span: tuple[int | None, int | None] | None) -> Piece | None:
        """The part of an object that a range means; None where it has no such part.

        Parameters
        ----------
        span
            First and last byte; without the first one, so many bytes from the end. None: all.

        Raises
        ------
        ArtifactMissing
        """
        with self._discreet():
            size = self._size(digest)
        if span is None:
            return Piece(digest, size, 0, size)
        first, last = span
        if first is None:
            first, last = max(0, size - (last or 0)), size - 1
        stop = size if last is None else min(last + 1, size)
        return Piece(digest, size, first, stop) if first < stop else None

    def read(self, piece: Piece, start: int) -> bytes:
        """A block of a part, from a byte of the object on."""
        with self._discreet():
            return bytes(self._store.read(piece.digest, start, min(start + BLOCK, piece.stop), piece.size))

    def new(self) -> Incoming:
        """A file that is about to come."""
        self._claim()
        return Incoming(self._store)

    def _check_tree(self, digest: str) -> None:
        """See that an object is a directory, and that all its files are here."""
        if self._size(digest) > _TREE or not is_tree(self._store.read(digest, 0, 64, self._size(digest))):
            raise ArtifactDamaged(f"The object {digest} is no directory. Give it the kind `file`.")
        for each in Tree.get(self._store, digest).digests:
            self._size(each)

    def _size(self, digest: str) -> int:
        try:
            return self._store.size(digest)
        except ArtifactMissing:
            raise
        except ArtifactError as error:
            # It says what a digest is.
            raise WorkInvalid(str(error)) if "is no digest" in str(error) else error from None

    @contextmanager
    def _discreet(self) -> Iterator[None]:
        """Where the store lies is nothing for a network."""
        try:
            yield
        except ArtifactMissing as error:
            told = str(error).replace(f" the artifact store {self._store.url}", " the artifact store")
            raise ArtifactMissing(told.replace(f" in {self._store.url}", "")) from None


class Incoming:
    """A file on its way into the store; it appears whole and verified, or not at all.

    Parameters
    ----------
    store
        Where it goes.
    """

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._block = store.temporary()
        self._path: Path = self._block.__enter__()
        self._file = self._path.open("xb")
        self._size = 0

    def write(self, data: bytes) -> None:
        """Add some bytes."""
        with self._store.written():
            self._file.write(data)
        self._size += len(data)

    def keep(self, digest: str = "") -> tuple[str, int]:
        """Make it an object; its digest and size [bytes].

        Raises
        ------
        ArtifactDamaged
            The bytes are not those of the digest.
        """
        with self._store.written():
            self._file.close()
        found = digest_file(self._path)
        if digest and found != digest:
            raise ArtifactDamaged(f"What came has the digest {found} instead of {digest}. Send it again.")
        self._store.take(self._path, found)
        return found, self._size

    def close(self) -> None:
        """Forget what was not kept."""
        self._file.close()
        self._block.__exit__(None, None, None)
