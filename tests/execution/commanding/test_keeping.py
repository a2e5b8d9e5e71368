"""What commands left goes to the store."""

import pickle
from pathlib import Path

import pytest

from daskflow.execution.commanding.keeping import keep
from tests.conftest import Lab


@pytest.mark.parametrize("name", ["plain.txt", "a b/'quoted'.txt", "new\nline", "grüße.dat", "100%.txt"])
def test_files_keep_their_bytes_whatever_their_names(lab: Lab, tmp_path: Path, name: str) -> None:
    path = tmp_path / "out"
    path.write_bytes(b"content")
    kept = keep(lab.launcher.store(), path, name)
    assert kept.path().read_bytes() == b"content"
    assert (kept.size, kept.kind) == (7, "file")


def test_directories_are_trees(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "out" / "below").mkdir(parents=True)
    (tmp_path / "out" / "below" / "file").write_bytes(b"content")
    kept = keep(lab.launcher.store(), tmp_path / "out", "out")
    assert kept.kind == "tree"
    assert (kept.path() / "below" / "file").read_bytes() == b"content"


def test_where_it_lay_does_not_count(lab: Lab, tmp_path: Path) -> None:
    made = []
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "out").write_bytes(b"content")
        made.append(pickle.dumps(keep(lab.launcher.store(), tmp_path / folder / "out", "out")))
    assert made[0] == made[1]
