"""Where fetched files come from: what all kinds of URL have in common, and files of this machine."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Protocol
from urllib.parse import unquote, urlsplit, urlunsplit

from daskflow.artifacts.contents.digests import blocks
from daskflow.artifacts.contents.frames import Buffer
from daskflow.errors import ArgumentsInvalid, FetchFailed

SCHEMES = ("http", "https", "s3", "file")
_SECRET = re.compile(r"((?:^|[&;])[^=&;]*(?:sig|token|key|secret|passw|credential|auth)[^=&;]*=)[^&;]*", re.IGNORECASE)
"""Parameters of a query that let whoever knows them in, as those of presigned URLs."""


class Seen(NamedTuple):
    """What a server tells of a file before it gives it."""

    etag: str = ""
    modified: str = ""
    """When it was changed the last time, as the server writes it."""
    size: int | None = None
    """[bytes]"""

    @property
    def validator(self) -> str:
        """A text that changes with the file; empty where the server tells nothing by which a change could be seen."""
        if self.etag:
            return f"etag {self.etag}"
        return f"modified {self.modified} size {self.size}" if self.modified and self.size is not None else ""

    @property
    def exact(self) -> str:
        """What stands for these very bytes, so that a transfer can go on in their middle; may be empty."""
        # A weak tag stands for all bytes that mean the same: https://www.rfc-editor.org/rfc/rfc9110#section-13.1.5
        return self.modified if not self.etag else "" if self.etag.startswith("W/") else self.etag


NOTHING = Seen()


class Reading(NamedTuple):
    """Bytes on their way."""

    seen: Seen
    start: int
    """The first of them [bytes]."""
    blocks: Iterator[Buffer]


class Broken(FetchFailed):
    """A server is silent or busy, or a transfer broke. Try again: what came already is kept."""

    def __init__(self, message: str | None = None, pause: float = 0.0) -> None:
        super().__init__(message)
        self.pause = pause
        """How long the server asks to be left alone [s]."""


class Source(Protocol):
    """One URL.

    Notes
    -----
    All methods raise `Broken` where trying again can help, and FetchFailed where it cannot.
    """

    def look(self) -> Seen:
        """What is there now; nothing is transferred."""

    def read(self, start: int, known: Seen) -> Reading:
        """Read from a byte on, as long as the file is still the known one; else from its beginning."""


class FileSource:
    """A file of this machine.

    Parameters
    ----------
    path
        Where it lies.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def look(self) -> Seen:
        """Nothing: the times of files tell too little, and reading one again costs little."""
        return NOTHING

    def read(self, start: int, known: Seen) -> Reading:
        """Read the file from its beginning."""
        try:
            size = os.stat(self._path).st_size
            with open(self._path, "rb"):
                return Reading(Seen(size=size), 0, blocks(self._path))
        except OSError as error:
            raise FetchFailed(f"The file {self._path} cannot be fetched: {error.strerror}.") from error


def normal_url(url: str | os.PathLike[str]) -> str:
    """A URL as it is used and remembered; the absolute path of a file is taken for one.

    Raises
    ------
    ArgumentsInvalid
        It is none that can be fetched, or it has a user or a password in it, which would be written down everywhere.
    """
    text = os.fspath(url)
    if text.startswith("/"):
        return Path(os.path.normpath(text)).as_uri()
    parts = urlsplit(text)
    if parts.scheme not in SCHEMES or not (parts.netloc or parts.scheme == "file"):
        raise ArgumentsInvalid(
            f"{shown(text)!r} cannot be fetched: it is no URL of a known kind ({', '.join(SCHEMES)}), "
            "nor the absolute path of a file."
        )
    if "@" in parts.netloc:
        raise ArgumentsInvalid(
            f"The URL {shown(text)} has a user in it, which would end up in the journal. "
            f"Leave it away, and say `auth=credentials({parts.hostname!r})`."
        )
    if parts.scheme == "file" and (parts.netloc not in ("", "localhost") or not parts.path.startswith("/")):
        raise ArgumentsInvalid(f"{text} is no file of this machine. Write file:///path.")
    return urlunsplit(parts._replace(fragment=""))


def path_of(url: str) -> Path | None:
    """The path of the file that a normal URL names; None for files of servers."""
    parts = urlsplit(url)
    return Path(unquote(parts.path)) if parts.scheme == "file" else None


def shown(url: str) -> str:
    """A URL as it may stand in messages and records: without what lets people in."""
    parts = urlsplit(url)
    host = f"***@{parts.netloc.rpartition('@')[2]}" if "@" in parts.netloc else parts.netloc
    return urlunsplit(parts._replace(netloc=host, query=_SECRET.sub(r"\1***", parts.query)))
