from __future__ import annotations

import hashlib
import os
import pickle
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from daskflow.artifacts.cache import NodeCache
from daskflow.artifacts.contents.digests import digest_bytes
from daskflow.artifacts.holdings import holding
from daskflow.artifacts.store import ObjectStore
from daskflow.artifacts.values import Values
from daskflow.errors import ArgumentsInvalid, JobFailed
from daskflow.execution.credentials import Credentials
from daskflow.execution.supply import fetch as fetching
from daskflow.execution.supply.fetch import Fetch, Fetched, name_of
from daskflow.graph.encoding import Encoder
from tests.artifacts.web import Web, serving
from tests.conftest import Lab
from tests.execution.counting import count, counted
from tests.services.s3 import S3

DATA = bytes(range(256)) * 1000


@pytest.fixture
def web() -> Iterator[Web]:
    with serving() as made:
        yield made


@pytest.fixture
def fetch(lab: Lab) -> Fetch:
    return Fetch(lab.launcher)


def test_a_file_has_its_name_at_once_and_its_bytes_later(web: Web, fetch: Fetch) -> None:
    job = fetch(web.put("/raw/sky%20map.fits", DATA, '"1"'))
    assert (web.sent, job.name) == (0, "sky map.fits")
    got = job.result(60)
    assert (got.name, got.digest, got.size, got.etag) == ("sky map.fits", digest_bytes(DATA), len(DATA), '"1"')
    assert got.path.name == "sky map.fits"
    assert Path(got).read_bytes() == Path(got.filename).read_bytes() == DATA
    assert pickle.loads(pickle.dumps(got)) == got


def test_an_unchanged_file_is_not_transferred_again(web: Web, lab: Lab) -> None:
    url = web.put("/x", DATA, '"1"')
    first = Fetch(lab.launcher)(url)
    first.result(60)
    lab = lab.again()
    second = Fetch(lab.launcher)(url)
    assert second.key == first.key
    assert second.result(60).path.read_bytes() == DATA
    assert second.state == "cached"
    web.put("/x", b"new", '"2"')
    assert Fetch(lab.launcher)(url).result(60).path.read_bytes() == b"new"
    assert web.gets() == ["", ""]
    lab.close()


def test_a_rerun_without_network_finds_what_was_fetched(lab: Lab) -> None:
    with serving() as web:
        url = web.put("/x", DATA, '"1"')
        Fetch(lab.launcher)(url).result(60)
    lab = lab.again()
    fetch = Fetch(lab.launcher)
    job = fetch(url)
    assert job.result(60).path.read_bytes() == DATA
    assert job.state == "cached"
    lab.close()


def test_a_silent_server_is_not_asked_for_each_file(fetch: Fetch, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving() as web:
        pass
    fetch(web.url("/1"), retries=0)
    monkeypatch.setattr(fetching, "source_of", None)
    fetch(web.url("/2"), retries=0)


def test_bytes_that_are_gone_are_fetched_again(web: Web, lab: Lab) -> None:
    url = web.put("/x", DATA, '"1"')
    got = Fetch(lab.launcher)(url).result(60)
    lab = lab.again()
    store = lab.project.values.store
    assert store is not None
    store.remove(got.digest)
    assert Fetch(lab.launcher)(url).result(60).path.read_bytes() == DATA
    lab.close()


def test_a_project_that_moved_transfers_nothing(web: Web, lab: Lab, tmp_path: Path) -> None:
    url = web.put("/x", DATA, '"1"')
    Fetch(lab.launcher)(url).result(60)
    lab.close()
    shutil.move(tmp_path / "artifacts", tmp_path / "elsewhere")
    lab.settings = lab.settings.model_copy(update={"artifacts": str(tmp_path / "elsewhere")})
    lab = lab.again()
    got = Fetch(lab.launcher)(url).result(60)
    assert got.path.is_relative_to(tmp_path / "elsewhere")
    assert got.path.read_bytes() == DATA
    assert web.gets() == [""]
    lab.close()


def test_a_server_that_tells_nothing_is_asked_in_each_run(web: Web, lab: Lab) -> None:
    url = web.put("/x", b"one")
    assert Fetch(lab.launcher)(url).result(60).path.read_bytes() == b"one"
    web.put("/x", b"two")
    lab = lab.again()
    assert Fetch(lab.launcher)(url).result(60).path.read_bytes() == b"two"
    lab.close()


def test_with_a_checksum_nobody_is_asked(web: Web, fetch: Fetch) -> None:
    url = web.put("/x", DATA)
    good = fetch(url, checksum=f"MD5:{hashlib.md5(DATA, usedforsecurity=False).hexdigest()}")
    assert web.asked == []
    assert good.result(60).digest == digest_bytes(DATA)
    bad = fetch(url, checksum="md5:" + 32 * "0")
    with pytest.raises(JobFailed, match="nothing was kept"):
        bad.result(60)


def test_a_job_that_fails_names_url_and_status(web: Web, fetch: Fetch) -> None:
    with pytest.raises(JobFailed, match=r"FetchFailed: http://127\.0\.0\.1:\d+/nowhere cannot be fetched.*404"):
        fetch(web.url("/nowhere")).result(60)


def test_a_job_gives_the_url(web: Web, lab: Lab, tmp_path: Path) -> None:
    url = web.put("/made/big.refl", DATA)
    notes = tmp_path / "notes"
    notes.mkdir()
    directory = str(notes)
    fetch = Fetch(lab.launcher)

    @lab.task
    def reduce() -> dict[str, str]:
        count(directory, "reduce")
        return {"url": url}

    @lab.task
    def size(data: Any) -> int:
        count(directory, "size")
        return os.stat(data).st_size

    @lab.flow
    def study() -> Any:
        reduction = reduce()
        return size(fetch(reduction["url"], name="big.refl", when=reduction.succeeded))

    assert [study(), study()] == [len(DATA)] * 2
    assert counted(notes) == {"reduce": 1, "size": 1}
    assert web.methods() == ["GET"]


def test_a_local_file_counts_by_its_content(fetch: Fetch, tmp_path: Path) -> None:
    file = tmp_path / "data.txt"
    file.write_text("one")
    first = fetch(file.as_uri())
    assert first.key == fetch(str(file)).key
    assert first.result(60).path.read_text() == "one"
    file.write_text("other")
    second = fetch(file)
    assert second.result(60).path.read_text() == "other"
    assert first.result(60).path.read_text() == "one"


def test_a_login_reaches_the_job_on_its_worker_and_nothing_else(
    web: Web, lab: Lab, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # The workers are there before the variable: they do not have it themselves.
    Fetch(lab.launcher)(web.put("/open", DATA), site="local").result(60)
    url = web.put("/x", DATA, '"1"', login="me:hush-hush")
    monkeypatch.setenv("DASKFLOW_CREDENTIALS_ARCHIVE", "me:hush-hush")
    job = Fetch(lab.launcher)(url, Credentials("archive"), site="local")
    assert job.result(60).digest == digest_bytes(DATA)
    lab.close()
    written = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert not any(b"hush-hush" in data for data in written)


def test_what_is_fetched_counts_like_any_file(tmp_path: Path) -> None:
    file = tmp_path / "x"
    file.write_bytes(DATA)
    encoder = Encoder(str, lambda path: digest_bytes(path.read_bytes()))
    got = Fetched("x", digest_bytes(DATA), len(DATA), "https://a.org/x", "memory://nowhere")
    assert encoder.encode(got) == encoder.encode(file)


def test_what_is_fetched_holds_its_object() -> None:
    with holding() as held:
        pickle.dumps(Fetched("x", "d" * 32, 1, "https://a.org/x", "memory://nowhere"))
    assert held == {"d" * 32}


@pytest.fixture
def cloud(lab: Lab, s3: S3, prefix: str, tmp_path: Path) -> ObjectStore:
    """The laboratory keeps its artifacts in a bucket."""
    store = ObjectStore(s3.url(prefix), s3.options, NodeCache(tmp_path / "cache"))
    lab.project.values = Values(store)
    return store


def test_files_go_through_a_bucket_to_each_node(web: Web, lab: Lab, cloud: ObjectStore, tmp_path: Path) -> None:
    url = web.put("/raw/sky.fits", DATA, '"1"')
    fetch = Fetch(lab.launcher)

    @lab.task
    def look(path: Any) -> tuple[str, bytes]:
        return os.path.basename(path), Path(path).read_bytes()[:4]

    @lab.flow(site="local")
    def study() -> Any:
        table = fetch(url)
        return [table, look(table), look(table.output.filename)]

    got, *seen = study()
    assert seen == [("sky.fits", DATA[:4])] * 2
    assert got.path.read_bytes() == DATA
    assert study()[0] == got
    assert web.gets() == [""]
    # Another node, which has nothing yet.
    ObjectStore(cloud.url, cloud.options, NodeCache(tmp_path / "elsewhere"))
    assert got.path.is_relative_to(tmp_path / "elsewhere")
    assert (got.path.name, got.path.read_bytes()) == ("sky.fits", DATA)


def test_bytes_that_are_gone_from_a_bucket_are_fetched_again(web: Web, lab: Lab, cloud: ObjectStore) -> None:
    url = web.put("/x", DATA, '"1"')

    @lab.flow
    def study() -> Any:
        return Fetch(lab.launcher)(url)

    got = study()
    cloud.remove(got.digest)
    assert study() == got
    assert cloud.exists(got.digest)


def test_a_file_of_a_bucket(lab: Lab, s3: S3, prefix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in s3.environ.items():
        monkeypatch.setenv(name, value)
    digest = ObjectStore(s3.url(prefix), s3.options).put(DATA)
    url = s3.url(f"{prefix}/objects/{digest[:2]}/{digest}")
    job = Fetch(lab.launcher)(url, name="sky.fits")
    got = job.result(60)
    assert (got.name, got.path.read_bytes(), bool(got.etag)) == ("sky.fits", DATA, True)
    assert Fetch(lab.launcher)(url, name="sky.fits").key == job.key
    with pytest.raises(JobFailed, match="nothing is there"):
        Fetch(lab.launcher)(s3.url(f"{prefix}/nothing")).result(60)


@pytest.mark.parametrize(
    ("url", "name", "chosen"),
    [
        ("https://a.org/raw/sky.fits?x=1", None, "sky.fits"),
        ("https://a.org/", None, "a.org"),
        ("s3://bucket/a/b.nc", None, "b.nc"),
        ("https://a.org/..%2F..%2Fetc%2Fpasswd", None, "passwd"),
        ("https://a.org/raw", "sky.fits", "sky.fits"),
    ],
)
def test_names(url: str, name: str | None, chosen: str) -> None:
    assert name_of(url, name) == chosen


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/a", "a\0", 300 * "a"])
def test_what_is_no_name(name: str) -> None:
    with pytest.raises(ArgumentsInvalid, match="no name of a file"):
        name_of("https://a.org/x", name)


def test_passwords_and_other_mistakes_are_refused_at_the_call(fetch: Fetch) -> None:
    auth: Any = ("me", "hush")
    with pytest.raises(ArgumentsInvalid, match=r"takes `credentials\(NAME\)`, not a tuple") as caught:
        fetch("https://a.org/x", auth=auth)
    assert "hush" not in str(caught.value)
    with pytest.raises(ArgumentsInvalid, match="has a user in it"):
        fetch("https://me:hush@a.org/x")
    with pytest.raises(ArgumentsInvalid, match="not readable"):
        fetch("https://a.org/x", checksum="abc")
    number: Any = 3
    with pytest.raises(ArgumentsInvalid, match="takes a URL, or a job that gives one, not 3"):
        fetch(number)
