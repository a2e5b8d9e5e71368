"""Artifacts: files and directories under names, as users hold them."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import xarray as xr

from daskflow.artifacts import artifact as artifacts
from daskflow.artifacts.artifact import Artifact
from daskflow.artifacts.cache import NodeCache
from daskflow.artifacts.caching.leases import KEPT_LEASES
from daskflow.artifacts.contents.digests import digest_bytes
from daskflow.artifacts.holdings import holding
from daskflow.artifacts.names import Names
from daskflow.artifacts.store import ObjectStore, use_here
from daskflow.errors import ArgumentsInvalid, ArtifactError, ArtifactMissing, NameRefused
from daskflow.graph.encoding import Encoder

DATA = b"visibilities" * 1000
DIGEST = digest_bytes(DATA)


class Asked(ObjectStore):
    """Counts how often a name is looked up."""

    times = 0

    def read_note(self, path: str) -> bytes | None:
        self.times += 1
        return super().read_note(path)


@pytest.fixture(params=["directory", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Asked]:
    url = str(tmp_path / "store") if request.param == "directory" else f"memory://{tmp_path.name}"
    made = Asked(url, cache=NodeCache(tmp_path / "cache"))
    monkeypatch.setattr(Artifact, "home", lambda: made)
    monkeypatch.setattr(Artifact, "digests", None)
    yield made
    KEPT_LEASES.drop()


@pytest.fixture
def local(tmp_path: Path) -> Path:
    path = tmp_path / "local.h5"
    path.write_bytes(DATA)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "survey" / "sub").mkdir(parents=True)
    (tmp_path / "survey" / "sub" / "data").write_bytes(DATA)
    return tmp_path / "survey"


def content(artifact: Artifact) -> bytes:
    with artifact.open() as file:
        return file.read()


def test_a_file_goes_up_and_comes_down(store: Asked, local: Path, tmp_path: Path) -> None:
    artifact = Artifact("raw/deep field.h5")
    assert not artifact.exists()
    assert artifact.upload(local) is artifact
    assert artifact.exists()
    assert (artifact.digest, artifact.size, artifact.kind) == (DIGEST, len(DATA), "file")
    again = Artifact("raw/deep field.h5")
    assert again.download(tmp_path / "copy").read_bytes() == DATA
    assert again.path().read_bytes() == DATA
    with again.open() as file:
        file.seek(-6, 2)
        assert file.read() == DATA[-6:]


def test_a_directory_goes_up_and_comes_down(store: Asked, folder: Path, tmp_path: Path) -> None:
    artifact = Artifact("raw/survey.ms").upload(folder)
    assert (artifact.size, artifact.kind, artifact.exists()) == (len(DATA), "tree", True)
    assert (artifact.download(tmp_path / "copy") / "sub" / "data").read_bytes() == DATA
    assert (artifact.path() / "sub" / "data").read_bytes() == DATA
    artifact.stage(tmp_path / "scratch").check()
    assert (tmp_path / "scratch" / "sub" / "data").read_bytes() == DATA
    assert Artifact("other", digest=artifact.digest, kind="tree").size == len(DATA)
    for what in (artifact.open, artifact.url):
        with pytest.raises(ArtifactError, match=r"is a directory, which has no .* Use path"):
            what()


def test_equal_bytes_are_one_object(store: Asked, local: Path) -> None:
    one, other = Artifact("one").upload(local), Artifact("other").upload(DATA)
    assert one.digest == other.digest
    one.remove()
    assert not one.exists()
    assert other.exists()


def test_a_name_moves_on(store: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(artifacts, "_FRESH", 0.0)
    first = Artifact("map").upload(b"one")
    Artifact("map").upload(b"two")
    assert first.path().read_bytes() == b"two"


def test_a_name_is_not_looked_up_all_the_time(store: Asked) -> None:
    Artifact("map").upload(DATA)
    artifact = Artifact("map")
    store.times = 0
    for _ in range(1000):
        copy.deepcopy(artifact).key_text()
    assert store.times < 10


def test_an_upload_that_fails_leaves_the_name(store: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    artifact = Artifact("map").upload(b"one")

    def full(data: Any, digest: str | None = None) -> str:
        raise ArtifactError("full")

    monkeypatch.setattr(store, "put", full)
    with pytest.raises(ArtifactError, match="full"):
        Artifact("map").upload(b"two")
    assert content(artifact) == b"one"


def test_what_is_not_there_is_told(store: Asked, tmp_path: Path) -> None:
    Artifact("deep field.h5").upload(b"one")
    missing = Artifact("deep_field.h5")
    for what in (missing.path, missing.open, missing.remove, missing.pinned, missing.key_text):
        with pytest.raises(ArtifactMissing, match=r"'deep field.h5'.*daskflow artifact put"):
            what()
    with pytest.raises(NameRefused):
        Artifact("../escape")
    gone = Artifact("deep field.h5")
    store.remove(gone.digest)
    assert not gone.exists()


def test_a_pinned_one_stays_what_it_was(store: Asked) -> None:
    artifact = Artifact("map").upload(b"one")
    fixed = copy.deepcopy({"input": [artifact]})["input"][0]
    artifact.upload(b"two")
    assert content(fixed) == b"one"
    assert fixed != artifact
    assert fixed == Artifact("map", digest=digest_bytes(b"one"))
    assert repr(fixed) == f"Artifact('map', digest={digest_bytes(b'one')!r})"
    assert len({fixed, artifact, Artifact("map")}) == 2
    artifact.remove()
    assert fixed.size == 3
    assert artifact != "map"


def test_it_counts_in_keys_as_its_file_does(store: Asked, tmp_path: Path) -> None:
    (tmp_path / "map.fits").write_bytes(DATA)
    artifact = Artifact("raw/map.fits").upload(tmp_path / "map.fits")
    encoder = Encoder(code=lambda value: "", file_digest=lambda path: digest_bytes(Path(path).read_bytes()))
    assert encoder.encode(artifact) == encoder.encode(tmp_path / "map.fits")


def test_it_pickles_without_its_store(store: Asked) -> None:
    artifact = Artifact("map").upload(b"one")
    data = pickle.dumps([artifact, artifact.pinned()])
    artifact.upload(b"two")
    free, fixed = pickle.loads(data)
    assert (content(free), content(fixed)) == (b"two", b"one")
    assert len(data) < 400


def test_where_a_result_is_written_it_is_pinned_and_told(store: Asked) -> None:
    artifact = Artifact("map").upload(b"one")
    with holding() as held:
        data = pickle.dumps([artifact, Artifact("nobody uploaded it")])
    assert held == {digest_bytes(b"one")}
    artifact.upload(b"two")
    assert content(pickle.loads(data)[0]) == b"one"


def test_its_store_is_found_where_it_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Artifact, "home", None)
    monkeypatch.setattr("daskflow.artifacts.store._HERE", [])
    with pytest.raises(ArtifactError, match=r"`artifacts` in daskflow\.yaml"):
        _ = Artifact("map").store
    store = ObjectStore(tmp_path / "one")
    monkeypatch.setattr(Artifact, "home", lambda: store)
    data = pickle.dumps(Artifact("map").upload(b"one").pinned())
    monkeypatch.setattr(Artifact, "home", None)
    assert pickle.loads(data).store is store
    monkeypatch.setattr("daskflow.artifacts.store._KNOWN", {})
    assert pickle.loads(data).store.url == store.url
    # The project may have moved.
    other = ObjectStore(tmp_path / "other")
    monkeypatch.setattr("daskflow.artifacts.store._KNOWN", {})
    monkeypatch.setattr(Artifact, "home", lambda: other)
    assert pickle.loads(data).store is other


def test_on_a_worker_it_is_that_of_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Artifact, "home", None)
    monkeypatch.setattr("daskflow.artifacts.store._HERE", [])
    store = ObjectStore(tmp_path / "one")
    use_here(store)
    assert Artifact("map").upload(b"one").store is store


def test_a_name_that_is_given_anew_here_is_seen_at_once(store: Asked) -> None:
    artifact = Artifact("map").upload(b"one")
    Artifact("map").upload(b"two")
    assert artifact.digest == digest_bytes(b"two")


@pytest.mark.parametrize("expires", ["2 apples", 0, "-5 s", None])
def test_a_time_that_is_none_is_told(store: Asked, expires: object) -> None:
    artifact = Artifact("map").upload(DATA)
    with pytest.raises(ArgumentsInvalid, match="expires"):
        artifact.url(expires)


def test_datasets_are_opened_where_they_are(store: Asked, tmp_path: Path) -> None:
    values = np.arange(1000.0)
    xr.Dataset({"flux": ("time", values)}).to_netcdf(tmp_path / "flux.nc", engine="h5netcdf")
    artifact = Artifact("flux.nc").upload(tmp_path / "flux.nc")
    with artifact.open_dataset() as dataset:
        assert dataset.flux[500] == 500.0
    with artifact.open_h5() as file:
        assert isinstance(file, h5py.File)
        assert file["flux"][7] == 7.0


def test_names_are_those_of_the_store(store: Asked, local: Path) -> None:
    Artifact("raw/map").upload(local)
    (named,) = Names(store).all()
    assert (named.name, named.source, named.digest) == ("raw/map", str(local), DIGEST)
