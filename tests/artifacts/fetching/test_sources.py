from __future__ import annotations

from pathlib import Path

import pytest

from daskflow.artifacts.fetching.sources import NOTHING, FileSource, Seen, normal_url, path_of, shown
from daskflow.errors import ArgumentsInvalid, FetchFailed


@pytest.mark.parametrize(
    ("url", "normal"),
    [
        ("https://a.org/x?id=1&b=2#part", "https://a.org/x?id=1&b=2"),
        ("s3://bucket/a key", "s3://bucket/a key"),
        ("file:///data/x", "file:///data/x"),
        ("/data/a/../x y", "file:///data/x%20y"),
        (Path("/data/x"), "file:///data/x"),
    ],
)
def test_normal(url: str, normal: str) -> None:
    assert normal_url(url) == normal


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("data/x", "no URL of a known kind"),
        ("ftp://a.org/x", "no URL of a known kind"),
        ("https:///x", "no URL of a known kind"),
        ("file://elsewhere/x", "no file of this machine"),
    ],
)
def test_what_cannot_be_fetched(url: str, why: str) -> None:
    with pytest.raises(ArgumentsInvalid, match=why):
        normal_url(url)


def test_a_password_is_refused_and_not_repeated() -> None:
    with pytest.raises(ArgumentsInvalid, match=r"credentials\('a\.org'\)") as caught:
        normal_url("https://me:hush@a.org/x")
    assert "hush" not in str(caught.value)


def test_what_lets_people_in_is_not_shown() -> None:
    url = "https://me:hush@a.org/x?id=3&X-Amz-Signature=hush&access_token=hush&n=1"
    assert shown(url) == "https://***@a.org/x?id=3&X-Amz-Signature=***&access_token=***&n=1"


@pytest.mark.parametrize(
    ("seen", "validator", "exact"),
    [
        (Seen('"a"', "today", 3), 'etag "a"', '"a"'),
        (Seen('W/"a"', "today", 3), 'etag W/"a"', ""),
        (Seen("", "today", 3), "modified today size 3", "today"),
        (Seen("", "today"), "", "today"),
        (Seen(size=3), "", ""),
    ],
)
def test_what_tells_states_of_a_file_apart(seen: Seen, validator: str, exact: str) -> None:
    assert (seen.validator, seen.exact) == (validator, exact)


def test_a_file_of_this_machine(tmp_path: Path) -> None:
    file = tmp_path / "a b"
    file.write_bytes(b"content")
    assert path_of(normal_url(file)) == file
    reading = FileSource(file).read(3, NOTHING)
    assert (reading.start, reading.seen.size, b"".join(map(bytes, reading.blocks))) == (0, 7, b"content")
    with pytest.raises(FetchFailed, match=r"nowhere cannot be fetched: No such file"):
        FileSource(tmp_path / "nowhere").read(0, NOTHING)
    with pytest.raises(FetchFailed, match="directory"):
        FileSource(tmp_path).read(0, NOTHING)
