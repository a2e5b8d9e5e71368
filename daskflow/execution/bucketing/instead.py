"""A directory of this machine instead of an artifact store that is out of reach."""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path
from typing import Any

from daskflow.artifacts.places.directory import Directory
from daskflow.artifacts.places.place import Progress, silent
from daskflow.artifacts.store import ObjectStore
from daskflow.errors import ArtifactMissing
from daskflow.execution.served import ServedPlace
from daskflow.stores.buckets.freight import Freight


class Instead(ObjectStore):
    """Objects in a directory, under the URL of a store that is out of reach.

    Parameters
    ----------
    url
        That of the store; what names it, in this process, means this one from now on. Empty: that of the directory.
    directory
        Where the objects lie.
    freight
        The way to a server: what is not in the directory is fetched from there when it is asked for first. None: there
        is none.
    """

    def __init__(self, url: str, directory: str | os.PathLike[str], freight: Freight | None = None) -> None:
        self._directory = Path(directory)
        self._freight = freight
        super().__init__(url or self._directory)

    def __reduce__(self) -> Any:
        return Instead, (self.url, str(self._directory), self._freight)

    @cached_property
    def _place(self) -> Directory:
        return Directory(self._directory) if self._freight is None else Fetching(self._directory, self._freight)

    @property
    def local(self) -> bool:
        """Objects are files."""
        return True

    def local_path(self, digest: str, size: int | None = None) -> Path:
        """The read-only file that is the object."""
        if isinstance(self._place, Fetching):
            self._place.fetch(digest)
        return super().local_path(digest, size)

    def _missing(self, digest: str) -> ArtifactMissing:
        if self._freight is None:
            return ArtifactMissing(
                f"The object {digest} is too large for a work, and the artifact store {self.url} cannot be reached "
                "from here. Let an agent perform the job that reaches it, or the works by way of a server, or let "
                "`artifacts` name an object storage that agents reach too."
            )
        return ArtifactMissing(
            f"The object {digest} is too large for a work. It is not in the artifact store of the server "
            f"{self._freight.url}, and {self.url} cannot be reached from here. Let `artifacts` name the same store "
            "where the flow and where the server runs, or let the flow reach its works by way of the server."
        )


class Fetching(Directory):
    """Objects in a directory, and those of a server; what is fetched lies beside them.

    Parameters
    ----------
    root
        The directory.
    freight
        The way to the server.

    Notes
    -----
    As a directory is safe for threads and processes, but that two that ask for the same object at once may both fetch
    it. `objects` gives those that were made here, and none that was fetched.
    """

    def __init__(self, root: str | os.PathLike[str], freight: Freight) -> None:
        super().__init__(root)
        self._server = ServedPlace(freight)
        self._fetched = Directory(self.root / "fetched")

    def path(self, digest: str) -> Path:
        """Where the object lies, or would if it were made here."""
        own, fetched = super().path(digest), self._fetched.path(digest)
        return fetched if fetched.exists() and not own.exists() else own

    def fetch(self, digest: str) -> None:
        """See that an object is here, if the server has it. Raises ArtifactDamaged."""
        if self.path(digest).exists():
            return
        with self._fetched.temporary() as path:
            try:
                self._server.fetch_file(digest, path, size=None, progress=silent)
            except FileNotFoundError:
                return
            self._fetched.take(path, digest)

    def size(self, digest: str, size: int | None = None) -> int | None:
        """Size of the object [bytes]; None where there is none, here or there."""
        here = super().size(digest, size)
        return self._server.size(digest, size) if here is None else here

    def read(self, digest: str, size: int | None = None) -> memoryview:
        """The bytes of an object. Raises FileNotFoundError, ArtifactDamaged."""
        self.fetch(digest)
        return super().read(digest, size)

    def read_range(self, digest: str, start: int, stop: int, size: int | None = None) -> memoryview:
        """Some bytes of an object, which is fetched whole. Raises FileNotFoundError, ArtifactDamaged."""
        self.fetch(digest)
        return super().read_range(digest, start, stop, size)

    def fetch_file(self, digest: str, path: Path, *, size: int | None, progress: Progress) -> None:
        """Copy an object to a new file, verified. Raises FileNotFoundError, ArtifactDamaged."""
        self.fetch(digest)
        super().fetch_file(digest, path, size=size, progress=progress)
