"""A bucket of an object store: bytes by key, and errors that say what to do."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from errno import ENOENT
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from daskflow.artifacts.contents.frames import Buffer
from daskflow.artifacts.places.answers import broke_off, bucket_missing, complaint, no_bucket
from daskflow.artifacts.places.forks import generation, load
from daskflow.errors import ArtifactError

if TYPE_CHECKING:
    from obstore.store import ObjectStore

_BLOCK = 1 << 20
"""Blocks of this size [bytes] or more stay in the processor's caches from the network to the disk."""
_TRIES = 4
_NOWHERE = "no-object-lies-here"


class Found(NamedTuple):
    """What a bucket says of an object."""

    size: int
    """[bytes]"""
    time: float
    """Of the last change [s since the epoch]."""


class Bucket:
    """Bytes by key in one bucket, below one prefix.

    Parameters
    ----------
    url
        For messages.
    connect
        Opens a client; called when the bucket is first used.

    Notes
    -----
    Safe for threads. Every method raises AccessRefused where the store does not let us in, StoreSilent where it does
    not answer, and ArtifactError for the rest. Keys are plain segments: stores differ in what they make of others.
    """

    def __init__(self, url: str, connect: Callable[[], ObjectStore]) -> None:
        self.url = url
        self._connect = connect
        self._seen = False
        self._opened: tuple[int, ObjectStore] | None = None

    @property
    def _store(self) -> ObjectStore:
        opened = self._opened
        if opened is None or opened[0] != generation():
            load()
            self._opened = opened = (generation(), self._connect())
        return opened[1]

    def head(self, key: str) -> Found | None:
        """What lies under a key; None where nothing does."""
        try:
            with self._told() as store:
                return _found(store.head(key))
        except FileNotFoundError:
            # The answer to HEAD has no body, so it may be the bucket that is not there.
            self._look()
            return None

    def get(self, key: str) -> memoryview:
        """All bytes under a key, read-only. Raises FileNotFoundError."""
        with self._told() as store:
            return memoryview(store.get(key).bytes())

    def blocks(self, key: str) -> Iterator[Buffer]:
        """All bytes under a key, in blocks as they come; so they are never all in memory. Raises FileNotFoundError."""
        with self._told() as store:
            yield from store.get(key).stream(min_chunk_size=_BLOCK)

    def get_range(self, key: str, start: int, stop: int) -> memoryview:
        """The bytes from `start` up to `stop`, or up to the end. Raises FileNotFoundError."""
        try:
            with self._told() as store:
                return memoryview(store.get_range(key, start=start, end=stop))
        except ArtifactError:
            # Stores and obstore's memory say in different words that the range begins behind the end.
            found = self.head(key)
            if found is None or start < found.size:
                raise
            return memoryview(b"")

    def put(self, key: str, data: Buffer) -> None:
        """Write the bytes; whatever was there is replaced."""
        self._look()
        with self._told() as store:
            store.put(key, data, use_multipart=False)

    def create(self, key: str, data: Buffer) -> bool:
        """Write the bytes where nothing is yet; False where something is, be it what a broken request of ours left.

        Stores that do not know conditions replace what is there.
        """
        self._look()
        from obstore.exceptions import AlreadyExistsError, BaseError, NotSupportedError

        for left in reversed(range(_TRIES)):
            try:
                with self._told(BaseError) as store:
                    store.put(key, data, mode="create", use_multipart=False)
                return True
            except AlreadyExistsError:
                return False
            except NotSupportedError:
                self.put(key, data)
                return True
            except BaseError as error:
                # obstore does not send a conditional request again when its connection breaks: it may have been heard.
                if not left or not broke_off(error):
                    raise complaint(error, self.url) from None
                if self.head(key) is not None:
                    return False
        raise AssertionError("the last try returns or raises")

    def put_file(self, key: str, path: Path) -> None:
        """Write what is too large to be held at once, in one piece all the same."""
        with self._told() as store:
            store.put(key, path, use_multipart=True, chunk_size=16 << 20, max_concurrency=4)

    def copy(self, key: str, to: str) -> None:
        """Copy within the bucket. Raises FileNotFoundError."""
        with self._told() as store:
            store.copy(key, to)

    def delete(self, key: str) -> None:
        """Remove what lies under a key; nothing happens where nothing does."""
        with suppress(FileNotFoundError), self._told() as store:
            store.delete(key)

    def list(self, prefix: str) -> Iterator[tuple[str, Found]]:
        """All keys below a prefix of whole segments, and what lies there."""
        with self._told() as store:
            for batch in store.list(prefix, chunk_size=1000):
                yield from ((meta["path"], _found(meta)) for meta in batch)

    def sweep(self, prefix: str, older: float) -> int:
        """Remove what was written below a prefix more than `older` [s] ago; returns how much [bytes]."""
        limit, freed = time.time() - older, 0
        for key, found in self.list(prefix):
            if found.time < limit:
                self.delete(key)
                freed += found.size
        return freed

    def sign(self, key: str, expires: float, method: Literal["GET", "PUT"] = "GET") -> str:
        """A URL that is good for `expires` [s]. Raises ArtifactError where the store has none."""
        try:
            with self._told() as store:
                from obstore import sign

                able: Any = store
                return str(sign(able, method, key, timedelta(seconds=expires)))
        except (TypeError, ValueError):
            raise ArtifactError(
                f"Objects in {self.url} have no URLs. Keep them in a bucket (s3://, gs://, az://), or hand the file on."
            ) from None

    def _look(self) -> None:
        """Once: is the bucket there at all? Some stores make it silently, others say nothing of it."""
        if self._seen:
            return
        store = self._store
        from obstore.exceptions import BaseError

        try:
            next(iter(store.list(_NOWHERE)), None)
        except (BaseError, FileNotFoundError) as error:
            found = no_bucket(self.url) if bucket_missing(error) else complaint(error, self.url)
            # Who may not list may write all the same, and will be told if not.
            if bucket_missing(error) or found.transient:
                raise found from None
        self._seen = True

    @contextmanager
    def _told(self, *passed: type[Exception]) -> Iterator[ObjectStore]:
        # Opened first, and with it all of obstore imported.
        store = self._store
        from obstore.exceptions import BaseError

        try:
            yield store
        except passed:
            raise
        except FileNotFoundError as error:
            if bucket_missing(error):
                raise no_bucket(self.url) from None
            raise FileNotFoundError(ENOENT, "no such object") from None
        except BaseError as error:
            raise complaint(error, self.url) from None


def _found(meta: Any) -> Found:
    return Found(int(meta["size"]), meta["last_modified"].timestamp())
