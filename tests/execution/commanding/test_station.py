"""What nodes offer to command jobs."""

import os
import pickle
from pathlib import Path

import pytest

from daskflow.artifacts.cache import NodeCache
from daskflow.commands.containers.container import Containers
from daskflow.errors import ContainerError
from daskflow.execution.commanding.station import Station


def test_scratch_lies_where_it_is_configured_or_beside_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def root(scratch: str) -> Path:
        return Station(scratch, Containers(tmp_path), NodeCache(tmp_path)).scratch_root()

    monkeypatch.setenv("NODE_DISK", str(tmp_path))
    mine = f"daskflow-{os.geteuid()}"
    assert root(str(tmp_path)) == root("$NODE_DISK") == tmp_path / mine
    assert root("~/scratch") == Path.home() / "scratch" / mine
    assert root("") == tmp_path / "scratch"
    monkeypatch.setenv("DASKFLOW_SHARED_SCRATCH", str(tmp_path / "seen by all nodes"))
    assert root("") == tmp_path / "seen by all nodes"
    assert root(str(tmp_path)) == tmp_path / mine


def test_images_lie_beside_the_copies_of_the_node(tmp_path: Path) -> None:
    station = Station("", Containers(tmp_path, ("udocker",)), NodeCache(tmp_path / "cache"))
    again: Station = pickle.loads(pickle.dumps(station))
    with pytest.raises(ContainerError, match="no-such-image"):
        again.container("/no-such-image.sif", network=False, show=())
    assert (tmp_path / "cache" / "images").is_dir()
