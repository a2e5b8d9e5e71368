"""What places have in common whose objects are no files of this node."""

from __future__ import annotations

import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from daskflow.artifacts.places.files import FULL
from daskflow.artifacts.places.place import Progress, silent
from daskflow.errors import ArtifactError, CacheFull


class Afar(ABC):
    """A place whose objects are no files of this node: files are made in its temporary directory."""

    def path(self, digest: str) -> Path | None:
        """None: the object is no file."""
        return None

    @abstractmethod
    def store_file(self, path: Path, *, digest: str | None, progress: Progress) -> str:
        """Keep a copy of a file; returns its digest."""

    @contextmanager
    def temporary(self) -> Iterator[Path]:
        """A path for a new file on this node, removed at the end."""
        with tempfile.TemporaryDirectory(prefix="daskflow-") as directory:
            yield Path(directory, "object")

    def take(self, path: Path, digest: str) -> None:
        """Keep the bytes of a file made in `temporary`."""
        self.store_file(path, digest=digest, progress=silent)
        path.unlink(missing_ok=True)

    def folder(self, name: str) -> Path | None:
        """None: there are no files."""
        return None

    @contextmanager
    def written(self) -> Iterator[None]:
        """A block in which files are written on this node: errors of the operating system say what to do."""
        try:
            yield
        except OSError as error:
            raise (CacheFull if error.errno in FULL else ArtifactError)(
                f"A file cannot be written on this node: {error.strerror or error}. Free some space, or look who may "
                "write there."
            ) from error
