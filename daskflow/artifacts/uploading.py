"""Brings files, directories and bytes into the object store."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import IO, Any, TypeAlias

from daskflow.artifacts.contents.digests import FileDigests, PathLike
from daskflow.artifacts.names import Named
from daskflow.artifacts.places.place import Progress
from daskflow.artifacts.planting import plant, scan
from daskflow.artifacts.progress import Shown, showing
from daskflow.artifacts.store import ObjectStore
from daskflow.errors import ArgumentsInvalid, ArtifactDamaged, FileMissing

Source: TypeAlias = PathLike | bytes | bytearray | memoryview | IO[bytes]
"""Path of a file or directory, bytes, or an open binary file."""


class Upload:
    """Brings things into one store.

    Parameters
    ----------
    store
        Where they go.
    digests
        Remembers the digests of local files: of a file that is known, and in the store, nothing is read.
    progress
        Who is told.

    Notes
    -----
    Safe for threads.
    """

    def __init__(self, store: ObjectStore, digests: FileDigests | None, progress: Shown = None) -> None:
        self._store = store
        self._digests = digests
        self._progress = progress

    def __call__(self, source: Source, name: str) -> Named:
        """Bring something into the store; returns what the name is to stand for.

        Raises
        ------
        FileMissing
            There is no such file.
        UsageError
            It is neither file nor directory, or a directory with a link that leads out.
        ArtifactDamaged
            A file changed while it was read.
        ArtifactError
            The store cannot be written.
        """
        if isinstance(source, (bytes, bytearray, memoryview)):
            return Named(name, self._store.put(source), memoryview(source).nbytes, source="bytes")
        if hasattr(source, "read"):
            return self._stream(source, name)
        path = _path(source)
        return self._directory(path, name) if path.is_dir() else self._file(path, name)

    def _stream(self, file: Any, name: str) -> Named:
        if isinstance(file, io.TextIOBase):
            raise ArgumentsInvalid(f"Artifact({name!r}).upload() takes a binary file. Open it with mode 'rb'.")
        with showing(name, None, self._progress) as told:
            digest, size = self._store.put_stream(file, told)
        return Named(name, digest, size, source=str(getattr(file, "name", "a stream")))

    def _file(self, path: Path, name: str) -> Named:
        size = _size(path)
        with showing(name, size, self._progress) as told:
            digest = self._keep(path, told)
        if _size(path) != size:
            raise ArtifactDamaged(f"{path} changed while it was stored. Upload it again when it is complete.")
        return Named(name, digest, size, source=str(path))

    def _directory(self, path: Path, name: str) -> Named:
        found = scan(path)
        with showing(name, found.size, self._progress) as told:
            digest, tree = plant(found, self._store, lambda below: self._keep(path / below, told))
        return Named(name, digest, tree.size, "tree", source=str(path))

    def _keep(self, path: Path, told: Progress) -> str:
        if self._digests is None:
            return self._store.put_file(path, progress=told)
        sent = []

        def send(place: str) -> str:
            sent.append(place)
            return self._store.put_file(place, progress=told)

        # Hashed while it is sent: a large file is read once.
        digest = self._digests.of(path, send)
        return digest if sent else self._store.put_file(path, digest, told)


def _path(source: Any) -> Path:
    try:
        return Path(os.path.abspath(os.path.expanduser(os.fspath(source))))
    except TypeError:
        kind = type(source).__name__
        raise ArgumentsInvalid(f"upload() takes a path, an open binary file or bytes, not a {kind}.") from None


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError as error:
        raise FileMissing(
            f"The file {path} is not there ({error.strerror}). Check the path (relative to {Path.cwd()})."
        ) from None
