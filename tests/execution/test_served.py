"""The artifact store of a server, used as any store."""

from __future__ import annotations

import io
import os
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from daskflow.artifacts.contents.digests import digest_bytes
from daskflow.artifacts.names import Names
from daskflow.artifacts.store import ObjectStore
from daskflow.artifacts.uploading import Upload
from daskflow.artifacts.values import Values
from daskflow.errors import ArtifactDamaged, ArtifactError, ArtifactMissing, NameRefused
from daskflow.execution.served import ServedNames, ServedStore, freight_of, names_of, reach, reached
from daskflow.stores.buckets.freight import Freight
from daskflow.stores.buckets.line import Line
from daskflow.stores.buckets.remote import RemoteShelf
from daskflow.stores.buckets.table import WorkTable
from daskflow.stores.database import Database
from tests.services.s3 import S3
from tests.services.servers import serving

DATA = os.urandom(300_000)
DIGEST = digest_bytes(DATA)


@pytest.fixture(params=["directory", "s3"])
def inside(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    """The store of the server."""
    if request.param == "directory":
        return ObjectStore(tmp_path / "artifacts")
    s3, prefix = request.getfixturevalue("s3"), request.getfixturevalue("prefix")
    assert isinstance(s3, S3)
    return ObjectStore(s3.url(prefix), s3.options)


@pytest.fixture
def store(inside: ObjectStore, tmp_path: Path) -> Iterator[ServedStore]:
    with serving(tmp_path, artifacts=inside.url, storage=inside.options) as service:
        line = Line(service.url, None, patience=5.0)
        freight = Freight(line)
        yield ServedStore(freight)
        freight.close()
        line.close()


def test_bytes_files_and_streams(store: ServedStore, inside: ObjectStore, tmp_path: Path) -> None:
    assert store.put(DATA) == DIGEST
    assert bytes(inside.get(DIGEST)) == bytes(store.get(DIGEST, len(DATA))) == DATA
    assert (store.size(DIGEST), store.exists(DIGEST), store.local) == (len(DATA), True, False)
    assert bytes(store.read(DIGEST, 5, 9)) == DATA[5:9]
    file = tmp_path / "file"
    file.write_bytes(DATA[1:])
    other = store.put_file(file)
    assert bytes(inside.get(other)) == DATA[1:]
    third, size = store.put_stream(io.BytesIO(DATA[2:]))
    assert (bytes(inside.get(third)), size) == (DATA[2:], len(DATA) - 2)
    done: list[int] = []
    store.download(third, tmp_path / "brought", size, done.append)
    assert ((tmp_path / "brought").read_bytes(), sum(done)) == (DATA[2:], size)
    with store.temporary() as path:
        path.write_bytes(DATA[3:])
        assert bytes(inside.get(store.take(path))) == DATA[3:]


def test_what_is_not_there(store: ServedStore, tmp_path: Path) -> None:
    assert not store.exists("0" * 32)
    for act in (
        lambda: store.get("0" * 32),
        lambda: store.download("0" * 32, tmp_path / "a"),
        lambda: store.size("0" * 32),
    ):
        with pytest.raises(ArtifactMissing):
            act()


def test_a_file_that_changes_is_no_object(store: ServedStore, inside: ObjectStore, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(DATA)
    with pytest.raises(ArtifactDamaged, match="changed while it was stored"):
        store.put_file(file, digest_bytes(b"as it was before"))
    assert not inside.exists(DIGEST)


@pytest.mark.parametrize("inside", ["directory"], indirect=True)
def test_bytes_that_the_server_has_not_got_right_are_told(
    store: ServedStore, inside: ObjectStore, tmp_path: Path
) -> None:
    store.put(DATA)
    path = inside.local_path(DIGEST)
    path.chmod(0o644)
    path.write_bytes(DATA[::-1])
    with pytest.raises(ArtifactDamaged):
        store.get(DIGEST)
    with pytest.raises(ArtifactDamaged):
        store.download(DIGEST, tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_a_name_that_stands_for_something_is_left_to_it(store: ServedStore, inside: ObjectStore) -> None:
    names = names_of(store)
    upload = Upload(store, None, False)
    first = names.claim(upload(DATA, "works/1/fit"))
    assert (first.digest, first) == (DIGEST, Names(inside).find("works/1/fit"))
    assert names.claim(upload(DATA[1:], "works/1/fit")) == first == names.find("works/1/fit")
    given = names.give(upload(DATA[1:], "works/1/fit"))
    assert given == names.find("works/1/fit") != first
    with pytest.raises(ArtifactMissing):
        names.claim(first._replace(name="works/2", digest="0" * 32))
    with pytest.raises(NameRefused):
        names.claim(first._replace(name="../a"))


def test_names_of_files_and_directories(store: ServedStore, inside: ObjectStore, tmp_path: Path) -> None:
    (tmp_path / "plots" / "a").mkdir(parents=True)
    (tmp_path / "plots" / "a" / "b.png").write_bytes(DATA)
    names = names_of(store)
    assert isinstance(names, ServedNames)
    given = names.give(Upload(store, None, False)(tmp_path / "plots", "works/1/plots"))
    assert given == Names(inside).find("works/1/plots") == names.find("works/1/plots") == names.look("works/1/plots")
    assert given.kind == "tree"
    names.give(Upload(store, None, False)(DATA, "works/1/data"))
    assert names.list("works/1/") == ["works/1/data", "works/1/plots"]
    assert names.look("works/2") is None
    with pytest.raises(ArtifactMissing):
        names.find("works/2")
    with pytest.raises(NameRefused):
        names.find("../a")
    assert type(names_of(inside)) is Names


def test_values_of_jobs_go_there(store: ServedStore, inside: ObjectStore) -> None:
    value = list(range(100_000))
    stored = Values(store, 1000).dump(value)
    assert inside.exists(stored.digest)
    assert Values(store, 1000).load(stored) == value


def test_another_process_reaches_it_too(store: ServedStore) -> None:
    store.put(DATA)
    other = pickle.loads(pickle.dumps(store))
    assert (other.url, other.exists(DIGEST)) == (store.freight.url, True)
    other.freight._line.close()


@pytest.mark.parametrize(
    "act",
    [
        lambda store: list(store.objects()),
        lambda store: store.remove(DIGEST),
        lambda store: store.discard(DIGEST, 1.0),
        lambda store: store.sweep(),
        lambda store: store.read_note("names/a"),
        lambda store: store.write_note("names/a", b""),
        lambda store: store.remove_note("names/a"),
        lambda store: list(store.notes("names")),
        lambda store: store.url_of(DIGEST, 60),
    ],
)
def test_what_only_the_server_does(act: Callable[[ServedStore], object]) -> None:
    with pytest.raises(ArtifactError, match="only where the server is"):
        act(ServedStore(Freight(Line("http://127.0.0.1:9", None))))


def test_only_works_of_a_server_lead_to_its_store(tmp_path: Path) -> None:
    table, remote = WorkTable(Database(tmp_path / "works.db")), RemoteShelf(Line("http://127.0.0.1:9", None))
    assert freight_of(table) is None
    found = freight_of(remote)
    assert found is not None
    assert found.url == "http://127.0.0.1:9"
    for shelf, url in ((remote, found.url), (table, None), (remote, found.url), (None, None)):
        reach(shelf)
        here = reached()
        assert (None if here is None else here.url) == url
    table.close()
