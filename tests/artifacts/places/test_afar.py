from __future__ import annotations

import errno
from pathlib import Path

import pytest

from daskflow.artifacts.places.afar import Afar
from daskflow.artifacts.places.place import Progress
from daskflow.errors import ArtifactError, CacheFull


class Far(Afar):
    """Keeps what it is given in memory."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}

    def store_file(self, path: Path, *, digest: str | None, progress: Progress) -> str:
        assert digest is not None
        self.kept[digest] = path.read_bytes()
        progress(len(self.kept[digest]))
        return digest


def test_what_is_made_here_is_kept_there_and_not_here() -> None:
    place = Far()
    with place.temporary() as path:
        path.write_bytes(b"data")
        place.take(path, "a")
        assert not path.exists()
        path.write_bytes(b"more")
    assert place.kept == {"a": b"data"}
    assert not path.parent.exists()
    assert (place.path("a"), place.folder("names")) == (None, None)


@pytest.mark.parametrize(("number", "kind"), [(errno.ENOSPC, CacheFull), (errno.EACCES, ArtifactError)])
def test_what_cannot_be_written_here_says_so(number: int, kind: type[ArtifactError]) -> None:
    with pytest.raises(ArtifactError, match="cannot be written on this node: no way") as told, Far().written():
        raise OSError(number, "no way")
    assert type(told.value) is kind
