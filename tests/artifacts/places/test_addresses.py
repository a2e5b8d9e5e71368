"""URLs of stores, and plain words."""

from __future__ import annotations

import os

import pytest

from daskflow.artifacts.places.addresses import is_plain, normal_url, shown
from daskflow.errors import SettingsInvalid


@pytest.mark.parametrize(
    ("url", "normal"),
    [
        ("/a b/c", "file:///a%20b/c"),
        ("file:///a/../b", "file:///b"),
        ("file://localhost/a", "file:///a"),
        ("memory://x", "memory://x"),
        ("s3://bucket", "s3://bucket"),
        ("s3://bucket/a//b/", "s3://bucket/a/b"),
        ("gs://bucket/a", "gs://bucket/a"),
        ("az://container/a", "az://container/a"),
    ],
)
def test_normal(url: str, normal: str) -> None:
    assert os.path.normpath(normal_url(url)) == os.path.normpath(normal)


@pytest.mark.parametrize(
    "url",
    [
        "https://x.org/a",
        "ftp://x",
        "file://otherhost/dir",
        "file://",
        "s3://",
        "s3:///a",
        "s3://bucket/../a",
        "s3://bucket/a b",
        "s3://bucket/a?x=1",
        "s3://bucket/é",
    ],
)
def test_refused(url: str) -> None:
    with pytest.raises(SettingsInvalid, match="of no known kind"):
        normal_url(url)


def test_login_is_neither_taken_nor_shown() -> None:
    with pytest.raises(SettingsInvalid, match="of no known kind") as caught:
        normal_url("s3://key:secret@bucket/a")
    assert "secret" not in str(caught.value)
    assert shown("s3://key:secret@bucket/a") == "s3://...@bucket/a"


def test_plain_words() -> None:
    assert is_plain("a/b-c_d.e/F9")
    assert not any(map(is_plain, ["", "/", "a//b", ".", "a/..", "a b", "a\n", "x" * 256]))
