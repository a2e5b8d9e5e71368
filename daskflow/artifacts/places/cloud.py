"""Objects in a bucket of a cloud: small ones whole, large ones in parts."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, TypeVar

from daskflow.artifacts.contents.digests import digest_bytes
from daskflow.artifacts.contents.frames import Buffer
from daskflow.artifacts.places import parts
from daskflow.artifacts.places.afar import Afar
from daskflow.artifacts.places.arrivals import Arrivals
from daskflow.artifacts.places.bucket import Bucket
from daskflow.artifacts.places.connection import connect
from daskflow.artifacts.places.downloads import Download, PartMissing, range_of_part, read_spans
from daskflow.artifacts.places.files import Source, arriving, read_some
from daskflow.artifacts.places.links import Links
from daskflow.artifacts.places.parts import Manifest, in_parts, load_manifest, manifest_key, note_key, object_key
from daskflow.artifacts.places.place import FRESH, Progress, silent
from daskflow.artifacts.places.uploads import Sent, Upload
from daskflow.errors import ArtifactDamaged, ArtifactError

_T = TypeVar("_T")
_UNASKED = 1 << 18
"""Up to this size [bytes] an object is written without asking whether it is there: one request instead of two."""
_REMEMBERED = 256
"""Manifests kept in memory; one of a 1 TiB object takes about 1 MB."""


class Cloud(Afar):
    """Objects in a bucket, below one prefix.

    ``objects/<2>/<digest>`` holds small objects and the parts of large ones, whose manifest is a note written last.
    ``notes/`` and, for URLs, ``links/`` lie beside.

    Parameters
    ----------
    url
        ``s3://``, ``gs://`` or ``az://`` with bucket and prefix.
    options
        How it is reached: see `connect`.

    Notes
    -----
    Safe for threads and processes. Content-addressed, so nothing depends on conditional writes, which stores honour
    or not; where they do, objects that are there are not replaced. A process killed at any instant leaves an object
    whole or not visible, and parts with which the next upload goes on.
    """

    def __init__(self, url: str, options: Mapping[str, str]) -> None:
        self._bucket = Bucket(url, lambda: connect(url, options))
        self._manifests: dict[str, Manifest] = {}

    def size(self, digest: str, size: int | None = None) -> int | None:
        """Size of the object [bytes]; None where there is none. Where `size` is known, one place is looked at."""
        if size is None or not in_parts(size):
            found = self._bucket.head(object_key(digest))
            if found is not None or size is not None:
                return found and found.size
        manifest = self._manifest(digest, fresh=True)
        return manifest and manifest.size

    def keep(self, digest: str, size: int) -> bool:
        """Whether the object is there and young; a small one is not asked for, for writing it costs no more."""
        if size <= min(_UNASKED, parts.PART_LIMIT):
            return False
        found = self._bucket.head(manifest_key(digest) if in_parts(size) else object_key(digest))
        if found is None:
            return False
        young = time.time() - found.time < FRESH
        if not in_parts(size):
            return young and found.size == size
        manifest = self._manifest(digest, fresh=True)
        if manifest is not None and not young:
            self._bucket.put(manifest_key(digest), manifest.dump())
        return manifest is not None and manifest.size == size

    def renew(self, digest: str, size: int) -> bool:
        """Whether the object is there and counts as new now; as `keep`, which does not ask for small ones."""
        if size > min(_UNASKED, parts.PART_LIMIT):
            return self.keep(digest, size)
        found = self._bucket.head(object_key(digest))
        if found is None or found.size != size:
            return False
        if time.time() - found.time >= FRESH:
            try:
                self._write_whole(digest, self._whole(digest))
            except (FileNotFoundError, ArtifactDamaged):
                return False
        return True

    def read(self, digest: str, size: int | None = None) -> memoryview:
        """The bytes of an object, verified, and a copy: whoever changes them changes no object.

        Raises
        ------
        FileNotFoundError
            The object is not there.
        ArtifactDamaged
            The bytes are not those of the digest.
        """
        return self._found(
            digest,
            size,
            lambda: memoryview(bytearray(self._whole(digest))),
            lambda manifest: read_spans(self._bucket, list(manifest.spans(0, manifest.size)), manifest.size),
        )

    def read_range(self, digest: str, start: int, stop: int, size: int | None = None) -> memoryview:
        """Some bytes of an object, in one request for each part that they touch."""
        end = stop if size is None else min(stop, size)

        def of_parts(manifest: Manifest) -> memoryview:
            # In this thread: HDF5 reads through us and holds a lock that freeing any of its objects needs; if garbage
            # were collected in another thread while this one waits for it, both would wait forever.
            found = [range_of_part(self._bucket, part, a, b) for part, a, b, _ in manifest.spans(start, stop)]
            return found[0] if len(found) == 1 else memoryview(b"".join(found))

        def of_one() -> memoryview:
            return self._bucket.get_range(object_key(digest), start, end) if start < end else memoryview(b"")

        return self._found(digest, size, of_one, of_parts)

    def write(self, digest: str, buffers: Iterable[Buffer]) -> None:
        """Write an object; nothing of it is visible before all of it is."""
        # Copies of what an iterator gives: it may use its buffer again.
        given = buffers if isinstance(buffers, list) else [bytes(buffer) for buffer in buffers]
        if in_parts(sum(memoryview(buffer).nbytes for buffer in given)):
            self._seal(Upload(self._bucket, silent).buffers(given)._replace(digest=digest))
        else:
            self._write_whole(digest, given[0] if len(given) == 1 else b"".join(given))

    def store_file(self, path: Path, *, digest: str | None, progress: Progress) -> str:
        """Keep a copy of a file: read once, hashed as it passes."""
        with Source(path) as source:
            if digest is not None and self.keep(digest, source.size):
                progress(source.size)
                return digest
            if not in_parts(source.size):
                return self._store_small(source, digest, progress)
            sent = Upload(self._bucket, progress, trusting=digest is None).file(source)
            source.check(digest, sent.digest)
            if not (sent.old and self.keep(sent.digest, source.size)):
                self._renew(source, sent)
                self._seal(sent)
            return sent.digest

    def store_stream(self, file: IO[bytes], progress: Progress) -> tuple[str, int]:
        """Keep what a file object gives, of whatever size."""
        begun = bytearray()
        while not in_parts(len(begun)):
            data = read_some(file, 1 << 20)
            if not data:
                digest = digest_bytes(begun)
                self._write_whole(digest, begun)
                progress(len(begun))
                return digest, len(begun)
            begun += data
        sent = Upload(self._bucket, progress).stream(begun, file)
        self._seal(sent)
        return sent.digest, sent.manifest.size

    def fetch_file(self, digest: str, path: Path, *, size: int | None, progress: Progress) -> None:
        """Bring an object to a new file, verified."""

        def one() -> None:
            data = self._whole(digest)
            self._check_size(digest, size, len(data))
            with arriving(path) as file:
                file.write(data)
            progress(len(data))

        def several(manifest: Manifest) -> None:
            self._check_size(digest, size, manifest.size)
            Download(self._bucket, digest, path).run(manifest, progress)

        self._found(digest, size, one, several)

    @property
    def bucket(self) -> Bucket:
        """Where all lies."""
        return self._bucket

    def accept(self, upload: str, digest: str, size: int, progress: Progress) -> None:
        """Make an object of what others have brought; see `Arrivals`. Raises FileNotFoundError, ArtifactDamaged."""
        sent = Arrivals(self._bucket).accept(upload, digest, size, progress)
        if sent is not None:
            self._seal(sent)

    def url_of(self, digest: str, expires: float, name: str | None) -> str:
        """A presigned URL; see `Links`."""
        return Links(self._bucket).url(digest, self._parts_of(digest), expires, name)

    def ready_url(self, digest: str, expires: float) -> str | None:
        """A presigned URL; None where the object would have to be copied for it. Raises FileNotFoundError."""
        return Links(self._bucket).ready(digest, self._parts_of(digest), expires)

    def _parts_of(self, digest: str) -> Manifest | None:
        """Of what an object consists; None for one in one piece. Raises FileNotFoundError."""
        manifest = None if self._bucket.head(object_key(digest)) else self._manifest(digest, fresh=True)
        if manifest is None and self.size(digest) is None:
            raise FileNotFoundError(digest)
        return manifest

    def objects(self) -> Iterator[tuple[str, int, float]]:
        """All small objects and all parts."""
        for key, found in self._bucket.list("objects"):
            yield key.rpartition("/")[2], found.size, found.time

    def remove(self, digest: str) -> None:
        """Remove an object; nothing happens where there is none. Its parts stay: others may have them too."""
        self._manifests.pop(digest, None)
        self._bucket.delete(manifest_key(digest))
        self._bucket.delete(object_key(digest))

    def discard(self, digest: str, before: float) -> bool:
        """Remove a small object or a part that is older than `before` [s since the epoch]; whether it was."""
        found = self._bucket.head(object_key(digest))
        if found is None or found.time >= before:
            return False
        self._bucket.delete(object_key(digest))
        return True

    def sweep(self, older: float = 7 * FRESH) -> int:
        """Remove copies made for URLs, and uploads by URLs, of more than `older` [s] ago; returns how much [bytes]."""
        return Links(self._bucket).sweep(older) + Arrivals(self._bucket).sweep(older)

    def read_note(self, path: str) -> bytes | None:
        """A note; None where there is none."""
        try:
            return bytes(self._bucket.get(note_key(path)))
        except FileNotFoundError:
            return None

    def write_note(self, path: str, data: bytes, *, create: bool) -> bool:
        """Write a note; of two that create the same one at once, one is told so if the store honours conditions."""
        if not create:
            self._bucket.put(note_key(path), data)
            return True
        # Looked for first: a store that ignores conditions would replace it.
        return self.read_note(path) in (None, data) and (
            self._bucket.create(note_key(path), data) or self.read_note(path) == data
        )

    def remove_note(self, path: str) -> None:
        """Remove a note; nothing happens where there is none."""
        self._bucket.delete(note_key(path))

    def notes(self, prefix: str) -> Iterator[tuple[str, float]]:
        """The notes below a path, with their times."""
        for key, found in self._bucket.list(note_key(prefix).rstrip("/")):
            yield key.removeprefix(note_key("")), found.time

    def _found(self, digest: str, size: int | None, one: Callable[[], _T], several: Callable[[Manifest], _T]) -> _T:
        """Do the one or the other, for an object in one piece or in parts. Raises FileNotFoundError."""
        manifest = self._manifests.get(digest)
        if manifest is None and not (size is not None and in_parts(size)):
            try:
                return one()
            except FileNotFoundError:
                if size is not None:
                    raise
        manifest = manifest or self._manifest(digest)
        if manifest is None:
            raise FileNotFoundError(digest)
        try:
            return several(manifest)
        except PartMissing:
            # An object of which a part is missing is none: without its manifest it will be written anew.
            self._manifests.pop(digest, None)
            with suppress(ArtifactError):  # we may not be allowed to
                self._bucket.delete(manifest_key(digest))
            raise

    def _manifest(self, digest: str, *, fresh: bool = False) -> Manifest | None:
        if not fresh and digest in self._manifests:
            return self._manifests[digest]
        try:
            data = bytes(self._bucket.get(manifest_key(digest)))
        except FileNotFoundError:
            self._manifests.pop(digest, None)
            return None
        manifest = load_manifest(data, f"{digest} in {self._bucket.url}")
        while len(self._manifests) >= _REMEMBERED:
            self._manifests.pop(next(iter(self._manifests), ""), None)
        self._manifests[digest] = manifest
        return manifest

    def _whole(self, digest: str) -> memoryview:
        data = self._bucket.get(object_key(digest))
        found = digest_bytes(data)
        if found != digest:
            raise ArtifactDamaged(
                f"The object {digest} in {self._bucket.url} is damaged: it has {len(data)} bytes with the digest "
                f"{found}. Remove it, then run the flow again."
            )
        return data

    def _write_whole(self, digest: str, data: Buffer) -> None:
        key, view = object_key(digest), memoryview(data).cast("B")
        if not self._bucket.create(key, view):
            found = self._bucket.head(key)
            if found is None or found.size != len(view) or time.time() - found.time > FRESH:
                self._bucket.put(key, view)

    def _store_small(self, source: Source, digest: str | None, progress: Progress) -> str:
        data = memoryview(bytearray(source.size))
        source.read(data, 0)
        found = digest_bytes(data)
        source.check(digest, found)
        if digest is not None or not self.keep(found, source.size):
            self._write_whole(found, data)
        progress(source.size)
        return found

    def _renew(self, source: Source, sent: Sent) -> None:
        """Write parts anew that have lain there for long: a sweep might be about to remove them."""
        for offset, part in sent.old:
            data = memoryview(bytearray(part.size))
            source.read(data, offset)
            if digest_bytes(data) != part.digest:
                raise source.changed()
            self._bucket.put(object_key(part.digest), data)

    def _seal(self, sent: Sent) -> None:
        """Make an object visible whose parts are all there."""
        if not self._bucket.create(manifest_key(sent.digest), sent.manifest.dump()):
            self.keep(sent.digest, sent.manifest.size)

    def _check_size(self, digest: str, size: int | None, found: int) -> None:
        if size not in (None, found):
            raise ArtifactDamaged(
                f"The object {digest} in {self._bucket.url} has {found} bytes instead of {size}. "
                "Run the flow again: what it needs is made anew."
            )
