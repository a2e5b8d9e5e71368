from __future__ import annotations

from collections.abc import Iterator

import pytest

from daskflow.artifacts.fetching.buckets import BucketSource
from daskflow.artifacts.fetching.sources import NOTHING, Broken, Reading, Seen
from daskflow.errors import FetchFailed
from tests.artifacts.web import Web, serving

DATA = bytes(range(256)) * 4000
THEN = "Sat, 21 Nov 2026 12:00:00 GMT"


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    """An object store as far as reading goes."""
    with serving() as made:
        monkeypatch.setenv("AWS_ENDPOINT_URL", made.address)
        yield made


def body(reading: Reading) -> bytes:
    return b"".join(map(bytes, reading.blocks))


def source(path: str) -> BucketSource:
    return BucketSource(f"s3:/{path}", ("key", "hush"))


def test_whole_and_in_part(web: Web) -> None:
    web.put("/bucket/a/b.fits", DATA, '"1"', modified=THEN)
    seen = source("/bucket/a/b.fits").look()
    assert seen == Seen('"1"', "2026-11-21T12:00:00+00:00", len(DATA))
    assert body(source("/bucket/a/b.fits").read(0, NOTHING)) == DATA
    reading = source("/bucket/a/b.fits").read(1000, seen)
    assert (reading.start, body(reading)) == (1000, DATA[1000:])
    assert web.gets() == ["", "bytes=1000-"]


def test_a_changed_object_starts_anew(web: Web) -> None:
    web.put("/bucket/x", DATA, '"2"', modified=THEN)
    web.answers = [412]
    reading = source("/bucket/x").read(1000, Seen('"1"'))
    assert (reading.start, body(reading)) == (0, DATA)


def test_a_body_that_breaks_off(web: Web) -> None:
    web.put("/bucket/x", DATA, modified=THEN)
    web.breaks = [100]
    with pytest.raises(Broken, match="s3://bucket/x broke off"):
        body(source("/bucket/x").read(0, NOTHING))


@pytest.mark.parametrize(
    ("status", "message"), [(404, "nothing is there"), (403, "its store refuses"), (503, "cannot be fetched")]
)
def test_what_a_store_answers(web: Web, status: int, message: str) -> None:
    web.answers = [status]
    with pytest.raises(FetchFailed, match=message) as caught:
        source("/bucket/x").read(0, NOTHING)
    assert isinstance(caught.value, Broken) is (status == 503)
    assert "hush" not in str(caught.value)
