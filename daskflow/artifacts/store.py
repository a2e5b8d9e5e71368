"""The object store: bytes known by their digest, in a place given by URL."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import cached_property
from pathlib import Path
from typing import IO, TypeAlias
from urllib.parse import unquote

from daskflow.artifacts.cache import NodeCache
from daskflow.artifacts.contents.digests import DIGITS, digest_buffers, digest_bytes, digest_file
from daskflow.artifacts.contents.frames import Buffer
from daskflow.artifacts.notes import Notes
from daskflow.artifacts.places.addresses import normal_url
from daskflow.artifacts.places.cloud import Cloud
from daskflow.artifacts.places.directory import Directory
from daskflow.artifacts.places.memory import Memory
from daskflow.artifacts.places.place import Place, Progress, silent
from daskflow.errors import ArtifactDamaged, ArtifactError, ArtifactMissing

_FEW = 8
"""So many questions are asked one after the other."""
_AT_ONCE = 32
"""So many questions are asked at a time."""
_DIGITS = frozenset("0123456789abcdef")
_KNOWN: dict[str, ObjectStore] = {}
"""The store of each URL that was made last in this process."""
_HERE: list[ObjectStore] = []


Wanted: TypeAlias = tuple[str, int | None]
"""Digest of an object and its size [bytes], where that is known."""


class ObjectStore(Notes):
    """Objects known by the digest of their bytes.

    Parameters
    ----------
    url
        A directory, plain or as ``file:///path``; ``s3://bucket/prefix``, ``gs://bucket/prefix`` or
        ``az://container/prefix``; ``memory://name`` for tests.
    options
        How a cloud is reached, in the words of obstore: `endpoint`, `region`, `access_key_id`,
        `secret_access_key` ...; what is not here comes from the environment (``AWS_*``, ``GOOGLE_*``, ``AZURE_*``).
        Also `retry_timeout`: how long a store that does not answer is asked again [s].
    cache
        Where objects of a cloud become files on this node; a default one where none is given.

    Raises
    ------
    SettingsInvalid
        No such kind of store is known.

    Notes
    -----
    Safe for threads and processes. An object appears whole or not at all, whatever is killed and when; two
    that write the same object at once both succeed. An object never changes. Pickles as URL, options and cache,
    and opens when it is first used.

    Examples
    --------
    >>> store = ObjectStore("memory://example")
    >>> digest = store.put(b"visibilities")
    >>> bytes(store.get(digest))
    b'visibilities'
    >>> bytes(store.read(digest, 3, 6))
    b'ibi'
    """

    def __init__(
        self,
        url: str | os.PathLike[str],
        options: Mapping[str, str] | None = None,
        cache: NodeCache | None = None,
    ) -> None:
        self.url = normal_url(os.fspath(url))
        self.options = dict(options or {})
        self._given_cache = cache
        _KNOWN[self.url] = self

    def __repr__(self) -> str:
        return f"ObjectStore({self.url!r})"

    def __reduce__(self) -> tuple[type[ObjectStore], tuple[str, dict[str, str], NodeCache | None]]:
        return ObjectStore, (self.url, self.options, self._given_cache)

    @cached_property
    def _place(self) -> Place:
        scheme, _, rest = self.url.partition("://")
        if scheme == "file":
            return Directory(unquote(rest))
        return Memory(rest) if scheme == "memory" else Cloud(self.url, self.options)

    @cached_property
    def cache(self) -> NodeCache:
        """The cache of this node, in which objects of a cloud become files."""
        return self._given_cache or NodeCache()

    @property
    def local(self) -> bool:
        """Whether objects are files, which other nodes of a shared filesystem see too."""
        return self.url.startswith("file:")

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
        if not self._place.keep(_valid(digest), sum(memoryview(buffer).nbytes for buffer in buffers)):
            self._place.write(digest, buffers)
        return digest

    def put_file(
        self, path: str | os.PathLike[str], digest: str | None = None, progress: Progress | None = None
    ) -> str:
        """Keep a copy of a file; returns its digest. It is read once, and hashed while it is read.

        Parameters
        ----------
        digest
            Where it is known already: a file that the store has is not even read.
        progress
            Called with the number of bytes just done, from any thread.

        Raises
        ------
        FileMissing
            The file is not there.
        ArtifactDamaged
            The file changed while it was read, or since its digest was taken; nothing was stored.
        ArtifactError
            The store is full or cannot be written; nothing of the object is visible.

        Notes
        -----
        On a cloud, an upload that was killed goes on at the first part that is missing.
        """
        return self._place.store_file(Path(path), digest=digest and _valid(digest), progress=progress or silent)

    def put_stream(self, file: IO[bytes], progress: Progress | None = None) -> tuple[str, int]:
        """Keep what a file object has to give, from where it stands to its end; returns digest and size [bytes]."""
        return self._place.store_stream(file, progress or silent)

    def temporary(self) -> AbstractContextManager[Path]:
        """A path where a new file may be written and given to `take`; removed at the end of the block."""
        return self._place.temporary()

    def take(self, path: Path, digest: str | None = None) -> str:
        """Keep a file written at a path that `temporary` gave, without copying it; returns its digest."""
        digest = digest or digest_file(path)
        if not self._place.keep(_valid(digest), path.stat().st_size):
            self._place.take(path, digest)
        return digest

    def folder(self, name: str) -> Path:
        """A directory for what has to be a file and is no object; made where it is not there.

        It lies beside the objects; where these are no files, on this node only.

        Raises
        ------
        ArtifactError
            The directory cannot be made.
        """
        return self._place.folder(name) or self.cache.folder(f"stores/{digest_bytes(self.url.encode())}/{name}")

    def written(self) -> AbstractContextManager[None]:
        """A block in which files of `folder` are written; it raises ArtifactError where the disk is full."""
        return self._place.written()

    def exists(self, digest: str, size: int | None = None) -> bool:
        """Whether the object is here, and of that size [bytes] where one is given."""
        found = self._place.size(_valid(digest), size)
        return found is not None and size in (None, found)

    def missing(self, objects: Iterable[Wanted]) -> set[Wanted]:
        """Of objects, given by digest and size [bytes] or None, those that are not here.

        Notes
        -----
        A cloud is asked for several at a time: it takes its time for each answer.
        """
        asked = list(objects)
        if self.local or len(asked) < _FEW:
            return {one for one in asked if not self.exists(*one)}
        with ThreadPoolExecutor(_AT_ONCE, "daskflow-store") as pool:
            there = pool.map(lambda one: self.exists(*one), asked)
            return {one for one, found in zip(asked, there, strict=True) if not found}

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
            It has another size than `size` [bytes], or comes from a cloud and has other bytes than its digest says.
        """
        try:
            data = self._place.read(_valid(digest), size)
        except FileNotFoundError as error:
            raise self._missing(digest) from error
        except OSError as error:
            raise ArtifactError(f"The object {digest} in {self.url} cannot be read: {error.strerror}.") from error
        self._check_size(digest, len(data), size)
        return data

    def read(self, digest: str, start: int, stop: int, size: int | None = None) -> memoryview:
        """The bytes from `start` up to `stop`, or to the end of the object. Only these are moved; none are verified.

        Parameters
        ----------
        size
            Size of the whole object [bytes]. Where it is known, a cloud is asked less often.
        """
        try:
            return (
                self._place.read_range(_valid(digest), max(start, 0), stop, size) if stop > start else memoryview(b"")
            )
        except FileNotFoundError as error:
            raise self._missing(digest) from error
        except OSError as error:
            raise ArtifactError(f"The object {digest} in {self.url} cannot be read: {error.strerror}.") from error

    def download(
        self, digest: str, path: str | os.PathLike[str], size: int | None = None, progress: Progress | None = None
    ) -> None:
        """Bring an object to a new file, which appears when it is whole and verified.

        Parameters
        ----------
        progress
            Called with the number of bytes just done, from any thread.

        Raises
        ------
        ArtifactMissing
            The object is not here.
        ArtifactDamaged
            Its bytes or its size are not what they should be; nothing appears at `path`.
        CacheFull
            No room is left for the file.

        Notes
        -----
        Large objects come in parts, in parallel. A hidden file beside `path` holds what came so far; with it the
        next download of the same object to this path goes on.
        """
        try:
            self._place.fetch_file(_valid(digest), Path(path), size=size, progress=progress or silent)
        except FileNotFoundError as error:
            raise self._missing(digest) from error

    def local_path(self, digest: str, size: int | None = None) -> Path:
        """The read-only file that is the object: in place where objects are files, else through the node's cache.

        Raises
        ------
        ArtifactMissing, ArtifactDamaged
            As `get` does.
        CacheFull
            No room is left on this node.
        """
        path = self._place.path(_valid(digest))
        if path is not None:
            self._check_size(digest, self.size(digest), size)
            return path
        size = self.size(digest) if size is None else size
        return self.cache.path(digest, size, lambda target: self.download(digest, target, size))

    def url_of(self, digest: str, expires: float, name: str | None = None) -> str:
        """A URL by which anybody can read the object, without credentials, for `expires` [s].

        Parameters
        ----------
        name
            The last part of the URL's path, under which programs save the file.

        Raises
        ------
        ArtifactError
            The objects of this store have no URLs.
        ArtifactMissing
            The object is not here.

        Notes
        -----
        Under a name, and where it lies in parts, the object is first copied within the store; `sweep` removes copies.
        """
        try:
            return self._place.url_of(_valid(digest), expires, name)
        except FileNotFoundError as error:
            raise self._missing(digest) from error

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

    def objects(self) -> Iterator[tuple[str, int, float]]:
        """All objects: digest, size [bytes] and time of the last change [s since the epoch].

        Where large objects lie in parts, each part is one; of the whole there is a note ``manifests/<2>/<digest>``.
        """
        return self._place.objects()

    def remove(self, digest: str) -> None:
        """Remove an object; nothing happens where there is none. Its parts stay: others may have them too."""
        self._place.remove(_valid(digest))

    def discard(self, digest: str, before: float) -> bool:
        """Remove an object or a part that is older than `before` [s since the epoch]; whether it was."""
        return self._place.discard(_valid(digest), before)

    def sweep(self, older: float = 7 * 86400.0) -> int:
        """Remove what processes that died left half written, and copies made for URLs, more than `older` [s] ago.

        Returns how much that was [bytes].
        """
        return self._place.sweep(older)

    def _missing(self, digest: str) -> ArtifactMissing:
        return ArtifactMissing(
            f"The object {digest} is not in the artifact store {self.url}. "
            "Run the flow again: what jobs made is made anew; what was uploaded has to be uploaded again."
        )

    def _check_size(self, digest: str, found: int, size: int | None) -> None:
        if size not in (None, found):
            raise ArtifactDamaged(
                f"The object {digest} in {self.url} has {found} bytes instead of {size}. "
                "Run the flow again: what it needs is made anew."
            )


def use_here(store: ObjectStore | None) -> None:
    """The store whose jobs this process performs: that of artifacts which are only named."""
    _HERE[:] = [] if store is None else [store]


def here() -> ObjectStore | None:
    """The store whose jobs this process performs; None where it performs none."""
    return _HERE[0] if _HERE else None


def known(url: str) -> ObjectStore | None:
    """The store of that URL that was made last in this process."""
    # Most ask by the URL that a store has told of itself, and many at once: to make one normal takes 5 µs.
    return _KNOWN.get(url) or _KNOWN.get(normal_url(url))


def _valid(digest: str) -> str:
    # A digest becomes part of a path, so nothing else may pass for one.
    if len(digest) != DIGITS or not _DIGITS.issuperset(digest):
        raise ArtifactError(f"{digest!r} is no digest: it needs {DIGITS} hexadecimal digits.")
    return digest
