"""Notes: small mutable texts beside the objects of a store."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator

from daskflow.artifacts.places.addresses import is_plain
from daskflow.artifacts.places.place import Place
from daskflow.errors import NameRefused


class Notes(ABC):
    """What an object store offers for notes; it keeps names, pins and manifests in them.

    Notes
    -----
    Safe for threads and processes: a note is read and written whole. Of several that write the same one, the last
    stays; of several that create it, one is told that it did, where the store honours conditions.
    """

    @property
    @abstractmethod
    def _place(self) -> Place:
        """Where the objects lie."""

    def read_note(self, path: str) -> bytes | None:
        """A small text beside the objects; None where there is none."""
        return self._place.read_note(_plain(path))

    def write_note(self, path: str, data: bytes, *, create: bool = False) -> bool:
        """Write a small text beside the objects, whole or not at all.

        Parameters
        ----------
        path
            Plain words (letters, digits, ``.``, ``_``, ``-``) with ``/`` between them.
        create
            Only where there is none yet.

        Returns
        -------
        bool
            False where `create` found another text; equal ones are as good as our own.
        """
        return self._place.write_note(_plain(path), data, create=create)

    def remove_note(self, path: str) -> None:
        """Remove a note; nothing happens where there is none."""
        self._place.remove_note(_plain(path))

    def notes(self, prefix: str = "") -> Iterator[tuple[str, float]]:
        """The notes below a path, with the time of their last change [s since the epoch]."""
        return self._place.notes(_plain(prefix.rstrip("/")) if prefix else "")


def _plain(path: str) -> str:
    if not is_plain(path):
        raise NameRefused(f"{path!r:.300} is no path of a note. Use plain words (A-Z a-z 0-9 . _ -) with / between.")
    return path
