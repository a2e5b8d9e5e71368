"""Large objects on their way down: parts in parallel, straight to their place in the file, and resumed."""

from __future__ import annotations

import mmap
import os
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from blake3 import blake3

from daskflow.artifacts.contents.digests import DIGITS, digest_bytes
from daskflow.artifacts.places.bucket import Bucket
from daskflow.artifacts.places.files import FULL, landing
from daskflow.artifacts.places.parts import Manifest, Part, Span, object_key
from daskflow.artifacts.places.place import Progress
from daskflow.errors import ArtifactDamaged

THREADS = 8
"""So many parts travel at once."""
WINDOW = 128 << 20
"""So much of the parts that travel is held in memory [bytes], unless two of them are more."""


class PartMissing(FileNotFoundError):
    """A part is not there, though its manifest is."""


class Piece(NamedTuple):
    """A part and its place in the file."""

    number: int
    offset: int
    """[bytes]"""
    part: Part


class Download:
    """An object in parts on its way to a file.

    Parameters
    ----------
    bucket
        Where the parts lie.
    digest
        Of the whole.
    path
        Where the file appears at the end.

    Notes
    -----
    What came so far is in a hidden file beside `path`, and which parts that are in another; the names hold the
    digest, so two that download the same object to the same path write the same bytes, and whoever goes on after a
    kill goes on with the right one. Parts found there are hashed again: a power failure may have left holes.
    """

    def __init__(self, bucket: Bucket, digest: str, path: Path) -> None:
        self._bucket = bucket
        self._digest = digest
        self._path = path
        # Not the name itself: it may be as long as the filesystem takes.
        self._hidden = path.with_name(f".{digest}-{digest_bytes(os.fsencode(path.name))[:8]}.part")
        self._done = self._hidden.with_suffix(".done")

    def run(self, manifest: Manifest, progress: Progress) -> None:
        """Bring what is missing. Raises FileNotFoundError, ArtifactDamaged, CacheFull."""
        with landing(self._path):
            file = os.open(self._hidden, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            done = os.open(self._done, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
            try:
                os.ftruncate(file, manifest.size)
                told = self._told(done)

                def bring(piece: Piece) -> None:
                    if not (piece.number in told and _holds(file, piece)):
                        self._fill(file, piece)
                        os.write(done, b"%d\n" % piece.number)
                    progress(piece.part.size)

                in_parallel(bring, _pieces(manifest), lambda piece: piece.part.size)
            except OSError as error:
                if error.errno in FULL:
                    # Others need the room; what came so far would keep it.
                    self._hidden.unlink(missing_ok=True)
                    self._done.unlink(missing_ok=True)
                raise
            finally:
                os.close(file)
                os.close(done)
            self._appear(manifest.size)

    def _fill(self, file: int, piece: Piece) -> None:
        """Write a part to its place as it comes; what is wrong in the end is not noted as done."""
        hasher, offset, end = blake3(), piece.offset, piece.offset + piece.part.size
        try:
            for block in self._bucket.blocks(object_key(piece.part.digest)):
                hasher.update(block)
                # No part may write over the next one.
                offset += _write(file, memoryview(block)[: end - offset], offset)
        except FileNotFoundError:
            raise PartMissing(piece.part.digest) from None
        if hasher.hexdigest(length=DIGITS // 2) != piece.part.digest:
            raise _damaged(piece.part, self._bucket)

    def _told(self, done: int) -> set[int]:
        text = os.pread(done, os.fstat(done).st_size, 0)
        # The last line may be cut, when a machine went down.
        return {int(line) for line in text.split(b"\n")[:-1] if line.isdigit()}

    def _appear(self, size: int) -> None:
        try:
            os.replace(self._hidden, self._path)
        except FileNotFoundError:
            # Another process that brought the same object here was faster.
            if not self._path.is_file() or self._path.stat().st_size != size:
                raise
        with suppress(OSError):
            self._done.unlink(missing_ok=True)


def whole_part(bucket: Bucket, part: Part) -> memoryview:
    """A part, verified. Raises PartMissing, ArtifactDamaged."""
    try:
        data = bucket.get(object_key(part.digest))
    except FileNotFoundError:
        raise PartMissing(part.digest) from None
    if len(data) != part.size or digest_bytes(data) != part.digest:
        raise _damaged(part, bucket)
    return data


def _damaged(part: Part, bucket: Bucket) -> ArtifactDamaged:
    return ArtifactDamaged(
        f"The part {part.digest} in {bucket.url} is damaged. Remove the object, then run the flow again."
    )


def range_of_part(bucket: Bucket, part: Part, start: int, stop: int) -> memoryview:
    """Some bytes of a part, not verified. Raises PartMissing."""
    try:
        return bucket.get_range(object_key(part.digest), start, stop)
    except FileNotFoundError:
        raise PartMissing(part.digest) from None


def read_spans(bucket: Bucket, spans: list[Span], size: int) -> memoryview:
    """Spans of several parts, joined, in memory of our own [size in bytes]. Whole parts are verified."""
    # Anonymous pages come zeroed when they are written, not before; a bytearray would be written twice.
    joined = memoryview(mmap.mmap(-1, size)) if size else memoryview(bytearray())

    def bring(span: Span) -> None:
        whole = span.stop - span.start == span.part.size
        data = whole_part(bucket, span.part) if whole else range_of_part(bucket, span.part, span.start, span.stop)
        joined[span.offset : span.offset + len(data)] = data

    in_parallel(bring, spans, lambda span: span.stop - span.start)
    return joined


def in_parallel(work: Callable[[Any], None], items: Iterable[Any], weigh: Callable[[Any], int]) -> None:
    """Do work on all items, on some at a time; the first error ends it."""
    pool = ThreadPoolExecutor(THREADS, thread_name_prefix="daskflow-download")
    flying: deque[tuple[int, Future[None]]] = deque()
    try:
        for item in items:
            size = weigh(item)
            while flying and (len(flying) >= THREADS or sum(each for each, _ in flying) + size > WINDOW):
                flying.popleft()[1].result()
            flying.append((size, pool.submit(work, item)))
        for _, future in flying:
            future.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _pieces(manifest: Manifest) -> list[Piece]:
    pieces, offset = [], 0
    for number, part in enumerate(manifest.parts):
        pieces.append(Piece(number, offset, part))
        offset += part.size
    return pieces


def _holds(file: int, piece: Piece) -> bool:
    return digest_bytes(os.pread(file, piece.part.size, piece.offset)) == piece.part.digest


def _write(file: int, data: memoryview, offset: int) -> int:
    done = 0
    while done < len(data):
        done += os.pwrite(file, data[done:], offset + done)
    return done
