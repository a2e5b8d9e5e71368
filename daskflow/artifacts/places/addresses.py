"""URLs of object stores, and the plain words of which keys are made."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from daskflow.errors import SettingsInvalid

CLOUDS = frozenset({"s3", "gs", "az"})
"""Schemes of URLs whose objects lie in a bucket."""

_SCHEME = re.compile(r"(file|memory|s3|gs|az):/")
_SEGMENT = re.compile(r"[A-Za-z0-9._-]{1,255}")


def normal_url(url: str) -> str:
    """One URL for each store, however it is written.

    Raises
    ------
    SettingsInvalid
        No such kind of store is known.

    Examples
    --------
    >>> normal_url("/scratch/my store")
    'file:///scratch/my%20store'
    >>> normal_url("s3://bucket//team/")
    's3://bucket/team'
    """
    if "://" not in url:
        if _SCHEME.match(url):
            raise SettingsInvalid(f"The artifact store {url!r} is neither a path nor a URL: write s3://bucket/prefix.")
        return Path(os.path.abspath(os.path.expanduser(url))).as_uri()
    parts = urlsplit(url)
    if parts.scheme == "memory":
        return url
    if parts.scheme == "file" and parts.netloc in ("", "localhost") and parts.path:
        return Path(unquote(parts.path)).as_uri()
    if parts.scheme in CLOUDS and _SEGMENT.fullmatch(parts.netloc) and not (parts.query or parts.fragment):
        words = [word for word in parts.path.split("/") if word]
        if not words or is_plain("/".join(words)):
            return "/".join([f"{parts.scheme}://{parts.netloc}", *words])
    raise SettingsInvalid(
        f"The artifact store {shown(url)!r} is of no known kind. Give a directory, as /path or file:///path, "
        "or s3://bucket/prefix, gs://bucket/prefix, az://container/prefix with plain words (A-Z a-z 0-9 . _ -)."
    )


def shown(url: str) -> str:
    """A URL without a login that it may hold.

    Examples
    --------
    >>> shown("s3://key:secret@bucket")
    's3://...@bucket'
    """
    return re.sub(r"//[^/]*@", "//...@", url)


def is_plain(path: str) -> bool:
    """Whether a path consists of words that every store takes as they are, with ``/`` between them.

    Examples
    --------
    >>> is_plain("names/a.b-c"), is_plain("names/../a"), is_plain("/names")
    (True, False, False)
    """
    return all(_SEGMENT.fullmatch(word) and word not in (".", "..") for word in path.split("/"))
