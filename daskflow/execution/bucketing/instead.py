"""A directory of this machine instead of an artifact store that is out of reach."""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path
from typing import Any

from daskflow.artifacts.places.directory import Directory
from daskflow.artifacts.store import ObjectStore


class Instead(ObjectStore):
    """Objects in a directory, under the URL of a store that is out of reach.

    Parameters
    ----------
    url
        That of the store; what names it, in this process, means this one from now on. Empty: that of the directory.
    directory
        Where the objects lie.
    """

    def __init__(self, url: str, directory: str | os.PathLike[str]) -> None:
        self._directory = Path(directory)
        super().__init__(url or self._directory)

    def __reduce__(self) -> Any:
        return Instead, (self.url, str(self._directory))

    @cached_property
    def _place(self) -> Directory:
        return Directory(self._directory)

    @property
    def local(self) -> bool:
        """Objects are files."""
        return True
