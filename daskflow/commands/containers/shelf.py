"""Images that were made ready: each once per node, for all workers of a user."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from blake3 import blake3

from daskflow.commands.containers.images import Image
from daskflow.errors import ContainerError

_LENGTH = 16


class Shelf:
    """A directory of this node in which images lie in the form that a runtime takes.

    Parameters
    ----------
    root
        The directory; made where it is not there, for nobody but its owner.

    Notes
    -----
    Safe for processes: whoever comes while another makes an image ready waits for that. An image is there whole or not
    at all, whatever is killed. A file or directory that was changed is made ready anew.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def get(self, image: Image, form: str, make: Callable[[Path], object]) -> Path:
        """The image in a form, made now if it is not there.

        Parameters
        ----------
        form
            What it is made into, such as `sif`; part of the name.
        make
            Writes it to a path where nothing is.

        Raises
        ------
        ContainerError
            It cannot be made or written.
        """
        path = self._path(image, form)
        if path.exists():
            return path
        try:
            with self._lock(path):
                if not path.exists():
                    self._fill(path, make)
        except OSError as error:
            raise ContainerError(f"The image {image.place} cannot be kept in {self.root}: {error}") from error
        return path

    def note(self, image: Image, form: str, make: Callable[[], str]) -> str:
        """The text that `make` gave for an image: how a runtime that keeps its images itself calls it."""
        return self.get(image, form, lambda path: path.write_text(make(), "utf-8")).read_text("utf-8")

    def drop(self, image: Image, form: str) -> None:
        """Forget what was noted of an image."""
        self._path(image, form).unlink(missing_ok=True)

    def _path(self, image: Image, form: str) -> Path:
        return self.root / f"{_identity(image)}.{form}"

    def _lock(self, path: Path) -> AbstractContextManager[object]:
        from filelock import FileLock

        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        return FileLock(f"{path}.lock")

    def _fill(self, path: Path, make: Callable[[Path], object]) -> None:
        made = path.with_name(f"{path.name}.part")
        # Left by somebody who was killed: with the lock held it belongs to nobody.
        remove(made)
        try:
            make(made)
            made.rename(path)
        finally:
            remove(made)


def remove(path: Path) -> None:
    """Remove a file or a directory with all that is in it; nothing happens where there is none."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _identity(image: Image) -> str:
    text = f"{image.kind} {image.place}"
    if image.kind != "reference":
        status = os.stat(image.place)
        text += f" {status.st_dev} {status.st_ino} {status.st_size} {status.st_mtime_ns}"
    return blake3(text.encode()).hexdigest(length=_LENGTH)
