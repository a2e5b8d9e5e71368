"""Large objects on their way up: in parts, in parallel, hashed as they pass, never sent twice."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from queue import Empty, SimpleQueue
from typing import IO, NamedTuple

from blake3 import blake3

from daskflow.artifacts.contents.digests import DIGITS, digest_bytes
from daskflow.artifacts.contents.frames import Buffer
from daskflow.artifacts.places.bucket import Bucket
from daskflow.artifacts.places.files import Source, read_some
from daskflow.artifacts.places.parts import Manifest, Part, object_key, part_sizes
from daskflow.artifacts.places.place import FRESH, Progress

THREADS = 8
"""So many parts travel at once. obstore lets go of the interpreter, and its blocking calls are its fastest."""
WINDOW = 128 << 20
"""So much of the parts that travel is held in memory [bytes], unless two of them are more."""


class Sent(NamedTuple):
    """What came of an upload."""

    digest: str
    """Of the whole."""
    manifest: Manifest
    old: tuple[tuple[int, Part], ...]
    """Offset [bytes] and part of those that have lain in the store for long, without proof that anything needs them."""


class Buffers:
    """Memory for parts, used again and again: new pages cost as much as reading the file."""

    def __init__(self) -> None:
        self._free: SimpleQueue[bytearray] = SimpleQueue()

    def take(self, size: int) -> memoryview:
        """A buffer of this size [bytes], with anything in it."""
        try:
            while len(found := self._free.get_nowait()) < size:
                pass
        except Empty:
            found = bytearray(size)
        return memoryview(found)[:size]

    def release(self, view: memoryview) -> None:
        """The buffer may be used again."""
        if isinstance(view.obj, bytearray):
            self._free.put(view.obj)


class Upload:
    """One object on its way into a bucket.

    Parameters
    ----------
    bucket
        Where the parts go.
    progress
        Called with the number of bytes just done.
    trusting
        Whether parts that have lain there for long are left alone for now and told of in `Sent.old`; else they are
        written anew, for a sweep might be about to remove them.

    Notes
    -----
    Of an upload that was killed the parts stay, and the next one does not send them again. Nothing here makes the
    object visible: that is the manifest, which the caller writes last.
    """

    def __init__(self, bucket: Bucket, progress: Progress, *, trusting: bool = False) -> None:
        self._bucket = bucket
        self._progress = progress
        self._trusting = trusting
        self._buffers = Buffers()

    def file(self, source: Source) -> Sent:
        """Send a file."""

        def parts() -> Iterator[memoryview]:
            offset = 0
            for size in part_sizes():
                if offset >= source.size:
                    return
                view = self._buffers.take(min(size, source.size - offset))
                source.read(view, offset)
                offset += len(view)
                yield view

        return self._send(parts(), self._buffers.release)

    def stream(self, begun: Buffer, file: IO[bytes]) -> Sent:
        """Send some bytes, and then what a file object still gives."""

        def parts() -> Iterator[memoryview]:
            rest = memoryview(begun)
            for size in part_sizes():
                view = self._buffers.take(size)
                head = min(len(rest), size)
                view[:head], rest = rest[:head], rest[head:]
                filled = head + fill(file, view[head:])
                if filled:
                    yield view[:filled]
                if filled < size:
                    return

        return self._send(parts(), self._buffers.release)

    def buffers(self, buffers: Iterable[Buffer]) -> Sent:
        """Send what is in memory already; only parts that cross from one buffer to the next are copied."""
        return self._send(cut(buffers), lambda _: None)

    def _send(self, parts: Iterator[memoryview], release: Callable[[memoryview], None]) -> Sent:
        hasher, found, flying = blake3(), [], deque[tuple[int, Future[tuple[Part, bool]]]]()
        pool = ThreadPoolExecutor(THREADS, thread_name_prefix="daskflow-upload")
        try:
            for view in parts:
                size = len(view)
                while flying and (len(flying) >= THREADS or sum(each for each, _ in flying) + size > WINDOW):
                    found.append(flying.popleft()[1].result())
                flying.append((size, pool.submit(self._part, view, release)))
                # Only this thread takes buffers, so the view is not used again before it is hashed.
                hasher.update(view)
            found += [future.result() for _, future in flying]
        finally:
            pool.shutdown(cancel_futures=True)
        manifest = Manifest(sum(part.size for part, _ in found), tuple(part for part, _ in found))
        return Sent(hasher.hexdigest(length=DIGITS // 2), manifest, tuple(_old(found)))

    def _part(self, view: memoryview, release: Callable[[memoryview], None]) -> tuple[Part, bool]:
        part = Part(digest_bytes(view), len(view))
        known = self._bucket.head(object_key(part.digest))
        there = known is not None and known.size == part.size
        old = known is not None and there and time.time() - known.time > FRESH
        if not there or (old and not self._trusting):
            self._bucket.put(object_key(part.digest), view)
        self._progress(part.size)
        release(view)
        return part, old and self._trusting


def _old(found: list[tuple[Part, bool]]) -> Iterator[tuple[int, Part]]:
    offset = 0
    for part, old in found:
        if old:
            yield offset, part
        offset += part.size


def fill(file: IO[bytes], view: memoryview) -> int:
    """Read until the buffer is full or the file at its end; returns how much was read [bytes]."""
    done = 0
    while done < len(view):
        data = read_some(file, min(len(view) - done, 1 << 20))
        if not data:
            break
        view[done : done + len(data)] = data
        done += len(data)
    return done


def cut(buffers: Iterable[Buffer]) -> Iterator[memoryview]:
    """The bytes of the buffers in parts."""
    sizes, begun = part_sizes(), bytearray()
    size = next(sizes)
    for buffer in buffers:
        view = memoryview(buffer).cast("B")
        while len(begun) + len(view) >= size:
            head, view = view[: size - len(begun)], view[size - len(begun) :]
            yield memoryview(bytes(begun) + head) if begun else head
            begun, size = bytearray(), next(sizes)
        begun += view
    if begun:
        yield memoryview(begun)
