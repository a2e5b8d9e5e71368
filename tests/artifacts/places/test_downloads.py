"""Downloads in parts: killed, gone on with, verified."""

from __future__ import annotations

import os
import subprocess
import threading
from pathlib import Path

import pytest

from daskflow.artifacts.contents.digests import digest_bytes
from daskflow.artifacts.places import parts
from daskflow.artifacts.places.downloads import in_parallel
from daskflow.artifacts.places.parts import object_key
from daskflow.artifacts.store import ObjectStore
from daskflow.errors import ArtifactDamaged, ArtifactMissing, CacheFull
from tests.artifacts.places.killed import PART, PARTS, SIZE, move
from tests.services.counting import Counting
from tests.services.s3 import S3

DATA = os.urandom(SIZE)
DIGEST = digest_bytes(DATA)


@pytest.fixture
def stored(s3: S3, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ObjectStore:
    """A store with the object."""
    monkeypatch.setattr(parts, "PART_SIZE", PART)
    monkeypatch.setattr(parts, "PART_LIMIT", 2 * PART)
    source = tmp_path / "source"
    source.write_bytes(DATA)
    assert move(s3, prefix, "up", source) == DIGEST
    source.unlink()
    return ObjectStore(s3.url(prefix), s3.options)


@pytest.mark.parametrize("number", [1, 12, PARTS])
@pytest.mark.usefixtures("stored")
def test_killed_download_goes_on(s3: S3, prefix: str, counting: Counting, tmp_path: Path, number: int) -> None:
    path = tmp_path / "new file"
    move(s3.through(counting.endpoint), prefix, DIGEST, path, kill=(counting, "GET", number))
    assert not path.exists()
    [done] = [each for each in tmp_path.iterdir() if each.suffix == ".done"]
    had = len(done.read_bytes().split())
    assert had < PARTS
    counting.reset()
    move(s3.through(counting.endpoint), prefix, DIGEST, path)
    assert counting.count("GET", "/objects/") == PARTS - had
    assert counting.received < PART * (PARTS - had) + 200_000
    assert path.read_bytes() == DATA
    assert [each.name for each in tmp_path.iterdir()] == ["new file"]


@pytest.mark.usefixtures("stored")
def test_holes_of_a_power_failure_are_filled(s3: S3, prefix: str, counting: Counting, tmp_path: Path) -> None:
    path = tmp_path / "new"
    move(s3.through(counting.endpoint), prefix, DIGEST, path, kill=(counting, "GET", PARTS))
    [hidden] = [each for each in tmp_path.iterdir() if each.suffix == ".part"]
    hidden.write_bytes(bytes(SIZE))
    move(s3, prefix, DIGEST, path)
    assert path.read_bytes() == DATA


def test_two_downloads_to_one_path(s3: S3, prefix: str, stored: ObjectStore, tmp_path: Path) -> None:
    path = tmp_path / "new"
    calls = [lambda: move(s3, prefix, DIGEST, path), lambda: stored.download(DIGEST, path)]
    threads = [threading.Thread(target=call) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert path.read_bytes() == DATA
    assert [each.name for each in tmp_path.iterdir()] == ["new"]


def test_broken_connections(s3: S3, prefix: str, stored: ObjectStore, counting: Counting, tmp_path: Path) -> None:
    far = ObjectStore(stored.url, s3.through(counting.endpoint).options)
    counting.breaking = 3
    far.download(DIGEST, tmp_path / "new", SIZE)
    assert (tmp_path / "new").read_bytes() == DATA
    assert counting.breaking == 0


def test_damaged_part_is_found(stored: ObjectStore, tmp_path: Path) -> None:
    digest = digest_bytes(DATA[:PART])
    stored._place._bucket.put(object_key(digest), bytes(PART))  # type: ignore[attr-defined]
    for ask in (lambda: stored.get(DIGEST), lambda: stored.download(DIGEST, tmp_path / "new")):
        with pytest.raises(ArtifactDamaged, match=f"part {digest} .* is damaged"):
            ask()
    assert not (tmp_path / "new").exists()


def test_object_without_one_of_its_parts_is_none(stored: ObjectStore, tmp_path: Path) -> None:
    stored.remove(digest_bytes(DATA[:PART]))
    assert stored.exists(DIGEST, SIZE)
    with pytest.raises(ArtifactMissing):
        stored.download(DIGEST, tmp_path / "new", SIZE)
    assert not stored.exists(DIGEST, SIZE), "so that it is written anew"


def test_full_disk(stored: ObjectStore, tmp_path: Path) -> None:
    full = tmp_path / "full"
    full.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8M", "tmpfs", str(full)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("only root may mount")
    try:
        with pytest.raises(CacheFull, match=r"No room is left for .*new"):
            stored.download(DIGEST, full / "new", SIZE)
        assert os.listdir(full) == []
    finally:
        subprocess.run(["umount", str(full)], check=True)


def test_first_error_ends_it() -> None:
    done: list[int] = []

    def work(item: int) -> None:
        done.append(item)
        if item == 3:
            raise ValueError("three")

    with pytest.raises(ValueError, match="three"):
        in_parallel(work, range(1000), lambda _: 1)
    assert len(done) < 1000
