"""Brings a file from its URL into the artifact store: once, resumed where it broke, and verified."""

from __future__ import annotations

import logging
import time
from typing import NamedTuple
from urllib.parse import urlsplit

from daskflow.artifacts.contents.checksums import Sums
from daskflow.artifacts.contents.digests import blocks
from daskflow.artifacts.fetching.buckets import BucketSource
from daskflow.artifacts.fetching.downloads import Note, Shelf
from daskflow.artifacts.fetching.http import HttpSource
from daskflow.artifacts.fetching.sources import NOTHING, Broken, FileSource, Reading, Seen, Source, path_of, shown
from daskflow.artifacts.store import ObjectStore
from daskflow.errors import FetchFailed

LOGGER = logging.getLogger("daskflow.fetch")
CONTENT = "content "
"""How the validator of a local file begins; its digest follows."""
_PAUSE = 1.0
"""Before the second try [s]; twice as long before each further one."""
_LONGEST_PAUSE = 60.0


class Wanted(NamedTuple):
    """Which state of which file is wanted."""

    url: str
    """A normal one."""
    validator: str = ""
    """That of the state that is wanted; empty: whatever is there now."""
    checksum: str = ""
    login: tuple[str, str] | None = None

    def __repr__(self) -> str:
        return f"<Wanted {shown(self.url)}>"


def source_of(url: str, login: tuple[str, str] | None = None, timeouts: tuple[float, float] | None = None) -> Source:
    """What reads a normal URL.

    Parameters
    ----------
    timeouts
        How long connecting, and an answer, may take [s]; by default that which suits a transfer.
    """
    path = path_of(url)
    if path is not None:
        return FileSource(path)
    kind = BucketSource if urlsplit(url).scheme == "s3" else HttpSource
    return kind(url, login) if timeouts is None else kind(url, login, timeouts)


def bring(wanted: Wanted, store: ObjectStore, retries: int) -> Note:
    """Have a file in the store.

    Parameters
    ----------
    retries
        How often a transfer that broke goes on.

    Returns
    -------
    Note
        What is there now; where the wanted state was here already, nothing was transferred.

    Raises
    ------
    FetchFailed
        The server does not give it, or gives other bytes than those of the checksum; nothing is kept then.
    """
    shelf = Shelf(store, wanted.url)
    with shelf.turn():
        for left in range(retries, -1, -1):
            try:
                return _try(wanted, shelf)
            except Broken as error:
                if not left:
                    raise FetchFailed(f"{error} It was tried {retries + 1} times.") from error
                pause = max(error.pause, min(_PAUSE * 2 ** (retries - left), _LONGEST_PAUSE))
                LOGGER.warning("%s The next try is in %g s.", error, pause)
                time.sleep(pause)
    raise AssertionError("the last try returns or raises")


def _try(wanted: Wanted, shelf: Shelf) -> Note:
    source = source_of(wanted.url, wanted.login)
    known = shelf.note()
    if known is not None and _serves(known, wanted, source):
        return known
    return _transfer(wanted, source, shelf)


def _serves(known: Note, wanted: Wanted, source: Source) -> bool:
    """Whether what was fetched the last time is what is wanted."""
    if wanted.checksum:
        return known.checksum == wanted.checksum
    if wanted.validator.startswith(CONTENT):
        return wanted.validator == CONTENT + known.digest
    # In the other order a server would be asked for what it told a moment ago.
    return bool(known.validator) and known.validator == (wanted.validator or source.look().validator)


def _transfer(wanted: Wanted, source: Source, shelf: Shelf) -> Note:
    reading = _reading(source, *shelf.begun())
    seen = reading.seen
    if wanted.validator and seen.validator not in ("", wanted.validator):
        raise FetchFailed(_changed(wanted))
    sums = Sums(wanted.checksum)
    with shelf.writing(reading.start, seen) as file:
        if reading.start:
            for old in blocks(shelf.part()):
                sums.update(old)
        for block in reading.blocks:
            file.write(block)
            sums.update(block)
    if seen.size is not None and sums.size < seen.size:
        raise Broken(f"{shown(wanted.url)} broke off after {sums.size} of {seen.size} bytes.")
    note = Note(seen.validator, sums.digest, sums.size, seen.etag, sums.checksum)
    try:
        _verify(wanted, note)
    except FetchFailed:
        shelf.drop()
        raise
    shelf.finish(note)
    return note


def _reading(source: Source, size: int, begun: Seen) -> Reading:
    if not begun.exact:
        return source.read(0, NOTHING)
    # Killed between the last byte and the end: there is nothing left to ask for.
    return Reading(begun, size, iter(())) if size == begun.size else source.read(size, begun)


def _verify(wanted: Wanted, note: Note) -> None:
    if note.checksum != wanted.checksum:
        raise FetchFailed(
            f"{shown(wanted.url)} has the checksum {note.checksum} instead of {wanted.checksum}; nothing was kept. "
            "Ask who offers it which one is right."
        )
    if wanted.validator.startswith(CONTENT) and wanted.validator != CONTENT + note.digest:
        raise FetchFailed(_changed(wanted))


def _changed(wanted: Wanted) -> str:
    return (
        f"{shown(wanted.url)} changed since the flow asked for it. Run the flow again: it then fetches what is there."
    )
