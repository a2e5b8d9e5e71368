"""The object store: bytes known by their digest, in a place given by URL."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import AbstractContextManager
from functools import cached_property
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

from daskflow.artifacts.contents.digests import DIGITS, blocks, checked, digest_buffers, digest_bytes, digest_file
from daskflow.artifacts.contents.frames import Buffer
from daskflow.artifacts.places.directory import Directory
from daskflow.artifacts.places.memory import Memory
from daskflow.errors import ArtifactDamaged, ArtifactError, ArtifactMissing, SettingsInvalid

_DIGITS = frozenset("0123456789abcdef")


class Place(Protocol):
    """Where objects lie: a directory now, buckets of an object store later. Digests come checked."""

    def path(self, digest: str) -> Path | None:
        """Where the object lies as a file, or would; None where objects are no files."""

    def size(self, digest: str) -> int | None:
        """Size of the object [bytes]; None where there is none."""

    def read(self, digest: str) -> memoryview:
        """The bytes of the object, private to whoever asked. Raises FileNotFoundError."""

    def write(self, digest: str, buffers: Iterable[Buffer]) -> None:
        """Write an object whole or, when `buffers` raises, not at all."""

    def temporary(self) -> AbstractContextManager[Path]:
        """A path for a new file; it is removed at the end of the block."""

    def take(self, path: Path, digest: str) -> None:
        """Make the file at a path that `temporary` gave an object."""

    def folder(self, name: str) -> Path | None:
        """A directory beside the objects; None where objects are no files."""

    def written(self) -> AbstractContextManager[None]:
        """A block in which files are written: it turns errors into those that say what to do."""

    def remove(self, digest: str) -> None:
        """Remove an object; nothing happens where there is none."""

    def sweep(self, older: float) -> int:
        """Remove what was left half written more than `older` [s] ago; returns how much [bytes]."""


class ObjectStore:
    """Objects known by the digest of their bytes.

    Parameters
    ----------
    url
        A directory, plain or as ``file:///path``, or ``memory://name`` for tests.

    Raises
    ------
    SettingsInvalid
        No such kind of store is known.

    Notes
    -----
    Safe for threads and processes. An object appears whole or not at all, whatever is killed and when; two
    that write the same object at once both succeed. An object never changes. Pickles as its URL and opens
    when it is first used.

    Examples
    --------
    >>> store = ObjectStore("memory://example")
    >>> digest = store.put(b"visibilities")
    >>> bytes(store.get(digest))
    b'visibilities'
    """

    def __init__(self, url: str | os.PathLike[str]) -> None:
        self.url = _normalise(os.fspath(url))

    def __repr__(self) -> str:
        return f"ObjectStore({self.url!r})"

    def __reduce__(self) -> tuple[type[ObjectStore], tuple[str]]:
        return ObjectStore, (self.url,)

    @cached_property
    def _place(self) -> Place:
        scheme, _, rest = self.url.partition("://")
        return Directory(unquote(rest)) if scheme == "file" else Memory(rest)

    def put(self, data: Buffer | list[Buffer], digest: str | None = None) -> str:
        """Keep the bytes; returns their digest. Bytes that are here already are not written again.

        Parameters
        ----------
        data
            One buffer, or several that count as joined.
        digest
            Where it is known already. It is believed.

        Raises
        ------
        ArtifactError
            The store is full or cannot be written; nothing of the object is visible.
        """
        buffers = data if isinstance(data, list) else [data]
        digest = digest or digest_buffers(buffers)
        if not self.exists(digest, sum(memoryview(buffer).nbytes for buffer in buffers)):
            self._place.write(digest, buffers)
        return digest

    def put_file(self, path: str | os.PathLike[str], digest: str | None = None) -> str:
        """Keep a copy of a file; returns its digest.

        Raises
        ------
        FileMissing
            The file is not there.
        ArtifactDamaged
            The file changed since its digest was taken; nothing was stored.
        ArtifactError
            The store is full or cannot be written; nothing of the object is visible.
        """
        digest = digest or digest_file(path)
        if not self.exists(digest, os.stat(path).st_size):
            self._place.write(digest, checked(blocks(path), digest, str(path)))
        return digest

    def temporary(self) -> AbstractContextManager[Path]:
        """A path where a new file may be written and given to `take`; removed at the end of the block."""
        return self._place.temporary()

    def take(self, path: Path, digest: str | None = None) -> str:
        """Keep a file written at a path that `temporary` gave, without copying it; returns its digest."""
        digest = digest or digest_file(path)
        if not self.exists(digest, path.stat().st_size):
            self._place.take(path, digest)
        return digest

    def folder(self, name: str) -> Path:
        """A directory beside the objects, for what has to be a file and is none of them; made where it is not there.

        Raises
        ------
        ArtifactError
            This store has no files, or the directory cannot be made.
        """
        found = self._place.folder(name)
        if found is None:
            raise ArtifactError(f"{self.url} holds no files. Let `artifacts` in the configuration name a directory.")
        return found

    def written(self) -> AbstractContextManager[None]:
        """A block in which files of `folder` are written; it raises ArtifactError where the disk is full."""
        return self._place.written()

    def exists(self, digest: str, size: int | None = None) -> bool:
        """Whether the object is here, and of that size [bytes] where one is given."""
        found = self._place.size(_valid(digest))
        return found is not None and size in (None, found)

    def size(self, digest: str) -> int:
        """Size of an object [bytes]. Raises ArtifactMissing."""
        found = self._place.size(_valid(digest))
        if found is None:
            raise self._missing(digest)
        return found

    def get(self, digest: str, size: int | None = None) -> memoryview:
        """The bytes of an object. They may be changed: large files are mapped copy-on-write.

        Raises
        ------
        ArtifactMissing
            The object is not here.
        ArtifactDamaged
            It has another size than `size` [bytes].
        """
        try:
            data = self._place.read(_valid(digest))
        except FileNotFoundError as error:
            raise self._missing(digest) from error
        except OSError as error:
            raise ArtifactError(f"The object {digest} in {self.url} cannot be read: {error.strerror}.") from error
        self._check_size(digest, len(data), size)
        return data

    def local_path(self, digest: str, size: int | None = None) -> Path | None:
        """The read-only file that is the object; None where objects are no files. Raises what `get` does."""
        path = self._place.path(_valid(digest))
        if path is not None:
            self._check_size(digest, self.size(digest), size)
        return path

    def verify(self, digest: str) -> None:
        """Hash an object again.

        Raises
        ------
        ArtifactMissing
            The object is not here.
        ArtifactDamaged
            Its bytes are not those of the digest.
        """
        found = digest_bytes(self.get(digest))
        if found != digest:
            raise ArtifactDamaged(
                f"The object {digest} in {self.url} is damaged: its bytes have the digest {found}. "
                "Remove it, then run the flow again."
            )

    def remove(self, digest: str) -> None:
        """Remove an object; nothing happens where there is none."""
        self._place.remove(_valid(digest))

    def sweep(self, older: float = 7 * 86400.0) -> int:
        """Remove what processes that died left half written more than `older` [s] ago; how much [bytes]."""
        return self._place.sweep(older)

    def _missing(self, digest: str) -> ArtifactMissing:
        return ArtifactMissing(
            f"The object {digest} is not in the artifact store {self.url}. "
            "Run the flow again: what it needs is made anew."
        )

    def _check_size(self, digest: str, found: int, size: int | None) -> None:
        if size not in (None, found):
            raise ArtifactDamaged(
                f"The object {digest} in {self.url} has {found} bytes instead of {size}. "
                "Run the flow again: what it needs is made anew."
            )


def _normalise(url: str) -> str:
    if "://" not in url:
        return Path(os.path.abspath(os.path.expanduser(url))).as_uri()
    parts = urlsplit(url)
    if parts.scheme == "memory":
        return url
    if parts.scheme == "file" and parts.netloc in ("", "localhost") and parts.path:
        return Path(unquote(parts.path)).as_uri()
    raise SettingsInvalid(
        f"The artifact store {url!r} is of no known kind. Give a directory, as /path or file:///path."
    )


def _valid(digest: str) -> str:
    # A digest becomes part of a path, so nothing else may pass for one.
    if len(digest) != DIGITS or not _DIGITS.issuperset(digest):
        raise ArtifactError(f"{digest!r} is no digest: it needs {DIGITS} hexadecimal digits.")
    return digest
