"""Objects as files below one directory."""

from __future__ import annotations

import mmap
import os
import secrets
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import IO

from blake3 import blake3

from daskflow.artifacts.contents.digests import DIGITS
from daskflow.artifacts.contents.frames import Buffer
from daskflow.artifacts.places.files import FULL, Source, arriving, read_some
from daskflow.artifacts.places.place import FRESH, Progress
from daskflow.errors import ArtifactDamaged, ArtifactError

_MAPPED = 1 << 20
"""Files from this size [bytes] on are mapped; small ones are read, for each mapping costs a descriptor."""
_BLOCK = 1 << 20
"""Files are copied in blocks of this size [bytes]."""
_ABANDONED = 7 * 86400.0
"""No write takes this long [s]: what is older in `incoming/` was left by a process that died."""


class Directory:
    """Objects as files: ``objects/<first 2 digits>/<digest>``, written in ``incoming/`` and then renamed.

    No obstore here: plain files need no client, open at once, and say by `errno` what is wrong.

    Parameters
    ----------
    root
        The directory; it is made when the first object is written.

    Notes
    -----
    Safe for threads and for processes on one or several nodes. A process killed at any instant leaves either
    no object or the whole one, and at worst a file in ``incoming/``. Files are not synced to disk: after a
    power failure an object may be cut short; the store sees that by its size and writes it anew.
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = Path(root)

    def path(self, digest: str) -> Path:
        """Where the object lies, or would."""
        return self.root / "objects" / digest[:2] / digest

    def size(self, digest: str, size: int | None = None) -> int | None:
        """Size of the object [bytes]; None where there is none."""
        with self._told("read"):
            try:
                return self.path(digest).stat().st_size
            except (FileNotFoundError, NotADirectoryError):
                return None

    def keep(self, digest: str, size: int) -> bool:
        """Whether the object is there whole; one that is old is made young, so that nobody removes it now."""
        try:
            status = self.path(digest).stat()
        except OSError:
            return False
        if time.time() - status.st_mtime > FRESH:
            try:
                os.utime(self.path(digest))
            except OSError:
                # It belongs to somebody else. Where we may, we write our own, else who owns it looks after it.
                if os.access(self.path(digest).parent, os.W_OK):
                    return False
        return status.st_size == size

    def read(self, digest: str, size: int | None = None) -> memoryview:
        """The bytes of an object that is there, writable: a change stays private to this process.

        Raises
        ------
        FileNotFoundError
            The object is not there.
        """
        with open(self.path(digest), "rb", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            if size >= _MAPPED:
                with suppress(OSError):  # no descriptor is left, or the filesystem cannot map
                    return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY))
            return memoryview(bytearray(file.read()))

    def read_range(self, digest: str, start: int, stop: int, size: int | None = None) -> memoryview:
        """Some bytes of an object, fewer where it ends before `stop`. Raises FileNotFoundError."""
        with open(self.path(digest), "rb", buffering=0) as file:
            data = bytearray(max(min(stop, os.fstat(file.fileno()).st_size) - start, 0))
            return memoryview(data)[: os.preadv(file.fileno(), [data], start) if data else 0]

    def write(self, digest: str, buffers: Iterable[Buffer]) -> None:
        """Write an object; nothing of it is visible before all of it is."""
        with self._told("written"), self.temporary() as path:
            with open(path, "wb", opener=_create) as file:
                for buffer in buffers:
                    file.write(buffer)
            self._publish(path, digest)

    def store_file(self, path: Path, *, digest: str | None, progress: Progress) -> str:
        """Copy a file, unless its digest is known and the object there."""
        with Source(path) as source:
            if digest is not None and self.keep(digest, source.size):
                progress(source.size)
                return digest
            with self._told("written"), self.temporary() as copy:
                with open(copy, "wb", opener=_create, buffering=0) as file:
                    found = _copied(_blocks(source), file, progress)
                source.check(digest, found)
                if digest is not None or not self.keep(found, source.size):
                    self._publish(copy, found)
            return found

    def store_stream(self, file: IO[bytes], progress: Progress) -> tuple[str, int]:
        """Keep what a file object gives."""
        with self._told("written"), self.temporary() as copy:
            with open(copy, "wb", opener=_create, buffering=0) as written:
                digest = _copied(iter(lambda: read_some(file, _BLOCK), b""), written, progress)
                size = written.tell()
            if not self.keep(digest, size):
                self._publish(copy, digest)
        return digest, size

    def fetch_file(self, digest: str, path: Path, *, size: int | None, progress: Progress) -> None:
        """Copy an object to a new file, verified. Raises FileNotFoundError."""
        with open(self.path(digest), "rb", buffering=0) as source, arriving(path) as file:
            found = _copied(iter(lambda: source.read(_BLOCK), b""), file, progress)
            if found != digest or size not in (None, file.tell()):
                raise ArtifactDamaged(
                    f"The object {digest} in {self.root} is damaged: it has {file.tell()} bytes with the digest "
                    f"{found}. Remove it, then run the flow again."
                )

    def take(self, path: Path, digest: str) -> None:
        """Move a file made in `temporary` to its place."""
        with self._told("written"):
            path.chmod(0o444)
            self._publish(path, digest)

    @contextmanager
    def temporary(self) -> Iterator[Path]:
        """A path for a new file beside the objects; what is there at the end of the block is removed."""
        incoming = self.root / "incoming"
        with self._told("written"):
            incoming.mkdir(parents=True, exist_ok=True)
        path = incoming / secrets.token_hex(16)
        try:
            yield path
        except OSError as error:
            # Libraries that write files themselves, such as HDF5, meet a full disk in this block.
            if error.errno in FULL:
                raise self._error("written", error) from error
            raise
        finally:
            with suppress(OSError):
                path.unlink(missing_ok=True)

    def folder(self, name: str) -> Path:
        """A directory beside the objects; it is made where it is not there."""
        with self.written():
            (self.root / name).mkdir(parents=True, exist_ok=True)
        return self.root / name

    def written(self) -> AbstractContextManager[None]:
        """A block in which files are written; errors of the operating system say what to do."""
        return self._told("written")

    def url_of(self, digest: str, expires: float, name: str | None) -> str:
        """None has one. Raises ArtifactError."""
        raise ArtifactError(
            f"Files in {self.root} have no URLs. Let `artifacts` name a bucket (s3://, gs://, az://), or hand the "
            "file on."
        )

    def objects(self) -> Iterator[tuple[str, int, float]]:
        """All objects: digest, size [bytes], time of the last change [s since the epoch]."""
        for path in (self.root / "objects").glob("??/*"):
            with suppress(FileNotFoundError):  # removed meanwhile
                status = path.stat()
                yield path.name, status.st_size, status.st_mtime

    def remove(self, digest: str) -> None:
        """Remove an object; nothing happens where there is none. Who has it mapped keeps its bytes."""
        with self._told("written"):
            self.path(digest).unlink(missing_ok=True)

    def discard(self, digest: str, before: float) -> bool:
        """Remove an object that is older than `before` [s since the epoch]; whether it was."""
        path = self.path(digest)
        with self._told("written"), self.temporary() as aside:
            # Aside first: whoever touches it from now on finds that it is not there, and writes it anew.
            with suppress(FileNotFoundError):
                if path.stat().st_mtime >= before:
                    return False
                os.rename(path, aside)
                if aside.stat().st_mtime < before:
                    return True
                os.rename(aside, path)
            return False

    def sweep(self, older: float = _ABANDONED) -> int:
        """Remove what was left in ``incoming/`` longer than `older` [s] ago; returns how much [bytes]."""
        freed, limit = 0, time.time() - older
        incoming = self.root / "incoming"
        for path in list(incoming.iterdir()) if incoming.is_dir() else []:
            with suppress(FileNotFoundError):
                status = path.stat()
                if status.st_mtime < limit:
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
                    freed += status.st_size
        return freed

    def read_note(self, path: str) -> bytes | None:
        """A note; None where there is none."""
        with self._told("read"):
            try:
                return self._note(path).read_bytes()
            except (FileNotFoundError, NotADirectoryError):
                return None

    def write_note(self, path: str, data: bytes, *, create: bool) -> bool:
        """Write a note whole or not at all; of two that create the same one, one is told so."""
        target = self._note(path)
        with self._told("written"), self.temporary() as part:
            part.write_bytes(data)
            target.parent.mkdir(parents=True, exist_ok=True)
            if not create:
                os.replace(part, target)
                return True
            try:
                # A link, because a rename would replace what is there.
                os.link(part, target)
            except FileExistsError:
                return self.read_note(path) == data
            except OSError:
                # Filesystems without links, such as BeeGFS: others may see the note empty for an instant.
                return _written_anew(target, data) or self.read_note(path) == data
            return True

    def remove_note(self, path: str) -> None:
        """Remove a note; nothing happens where there is none."""
        with self._told("written"):
            self._note(path).unlink(missing_ok=True)

    def notes(self, prefix: str) -> Iterator[tuple[str, float]]:
        """The notes below a path, with the time of their last change [s since the epoch]."""
        root = self.root / "notes"
        for path in sorted((root / prefix).rglob("*~")):
            with suppress(FileNotFoundError):
                yield str(path.relative_to(root))[:-1], path.stat().st_mtime

    def _note(self, path: str) -> Path:
        # With a sign that no note has in its name: there may be one `a` and one `a/b`.
        return self.root / "notes" / f"{path}~"

    def _publish(self, path: Path, digest: str) -> None:
        target = self.path(digest)
        try:
            os.replace(path, target)
        except FileNotFoundError:
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(path, target)

    @contextmanager
    def _told(self, what: str) -> Iterator[None]:
        """Turn an error of the operating system into one that says what to do."""
        try:
            yield
        except OSError as error:
            raise self._error(what, error) from error

    def _error(self, what: str, error: OSError) -> ArtifactError:
        reason = os.strerror(error.errno) if error.errno else str(error)
        if error.errno in FULL:
            return ArtifactError(f"No room is left in the artifact store {self.root} ({reason}). Free some space.")
        return ArtifactError(f"The artifact store {self.root} cannot be {what}: {reason}.")


def _create(path: str, flags: int) -> int:
    # Read-only from the start: an object's name promises its contents, to people with an editor too.
    return os.open(path, flags | os.O_EXCL, 0o444)


def _written_anew(path: Path, data: bytes) -> bool:
    try:
        with open(path, "xb") as file:
            file.write(data)
    except FileExistsError:
        return False
    return True


def _blocks(source: Source) -> Iterator[memoryview]:
    """The bytes of a file; each block is overwritten by the next."""
    block = memoryview(bytearray(min(_BLOCK, source.size)))
    for offset in range(0, source.size, _BLOCK):
        view = block[: min(_BLOCK, source.size - offset)]
        source.read(view, offset)
        yield view


def _copied(blocks: Iterable[Buffer], file: IO[bytes], progress: Progress) -> str:
    """Write the blocks; returns the digest of them all."""
    hasher = blake3()
    for block in blocks:
        hasher.update(block)
        rest = memoryview(block)
        while rest:
            rest = rest[file.write(rest) :]
        progress(len(block))
    return hasher.hexdigest(length=DIGITS // 2)
