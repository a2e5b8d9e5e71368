"""Names of artifacts: which digest each of them stands for at present, and which digests are pinned."""

from __future__ import annotations

import difflib
import json
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from daskflow.artifacts.contents.digests import digest_bytes
from daskflow.artifacts.store import ObjectStore
from daskflow.errors import ArtifactDamaged, ArtifactMissing, NameRefused

NAMES, PINS = "names", "pins"
"""Where the notes of names and of pins lie in a store."""

_LONGEST = 512
_SEGMENT, _PATH = 200, 600
"""Longest segment and path of a note that say the name themselves: buckets take 1,024 characters, filesystems 255."""
_END = "_.json"
"""Ends the last word, so that the notes of `a` and of `a/b` are no file and directory of the same path."""
_LONG = f"{NAMES}/_long/"
_SPECIAL = re.compile(r"[^A-Za-z0-9.-]")
_ESCAPED = re.compile(r"_(_|[0-9A-F]{2})")
_NEAR, _COMPARED = 3, 2_000
"""How many names that are like a missing one are told, and how many are compared with it: each takes some 50 µs."""
_AT_ONCE = 16
"""So many notes are read at a time: a bucket takes its time for each."""


class Named(NamedTuple):
    """What a name stands for."""

    name: str
    digest: str
    size: int
    """Size of the file, or of all files of the tree [bytes]."""
    kind: str = "file"
    """`file` or `tree`."""
    time: float = 0.0
    """When the name was given [s since the epoch]."""
    source: str = ""
    """From where the bytes came, for people."""


_changes: dict[str, int] = {}


def changes(store: ObjectStore) -> int:
    """How often this process has changed names in a store."""
    return _changes.get(store.url, 0)


class Names:
    """The names in one object store.

    Parameters
    ----------
    store
        Keeps a note for each name.

    Notes
    -----
    Safe for threads and processes. A name is given whole: of two who give it at once one is the last, and nobody sees
    a mixture. The bytes that a name stood for before stay until a collection finds that nobody needs them.

    Examples
    --------
    >>> names = Names(ObjectStore("memory://names"))
    >>> _ = names.give(Named("raw/sky map.fits", "0" * 32, 2880))
    >>> names.find("raw/sky map.fits").size
    2880
    >>> [named.name for named in names.all("raw/")]
    ['raw/sky map.fits']
    """

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def give(self, named: Named) -> Named:
        """Let a name stand for a digest from now on; returns what was written, with its time.

        Raises
        ------
        NameRefused
            The text is no name.
        """
        named = named._replace(time=named.time or time.time())
        self._store.write_note(note_of(named.name), json.dumps(named._asdict()).encode())
        _changes[self._store.url] = changes(self._store) + 1
        return named

    def claim(self, named: Named) -> Named:
        """Let a name stand for a digest if nobody gave it yet; returns what it stands for then, to whomever it is.

        Raises
        ------
        NameRefused
            The text is no name.

        Notes
        -----
        Of two who claim one name at once one gets it, where the store honours conditions.

        Examples
        --------
        >>> names = Names(ObjectStore("memory://claims"))
        >>> names.claim(Named("fit.png", "0" * 32, 5)).digest == names.claim(Named("fit.png", "1" * 32, 5)).digest
        True
        """
        named = named._replace(time=named.time or time.time())
        data = json.dumps(named._asdict()).encode()
        while (found := self.look(named.name)) is None:
            if self._store.write_note(note_of(named.name), data, create=True):
                _changes[self._store.url] = changes(self._store) + 1
                return named
        return found

    def look(self, name: str) -> Named | None:
        """What a name stands for; None where nobody gave it."""
        data = self._store.read_note(note_of(name))
        return None if data is None else _read(data, name)

    def find(self, name: str) -> Named:
        """What a name stands for.

        Raises
        ------
        ArtifactMissing
            Nobody gave the name; the message has those that are like it.
        """
        found = self.look(name)
        if found is None:
            raise ArtifactMissing(
                f"There is no artifact {name!r} in {self._store.url}.{self._near(name)} "
                f"Upload it: `daskflow artifact put PATH {name!r}`, or Artifact({name!r}).upload(PATH)."
            )
        return found

    def take(self, name: str) -> bool:
        """Take a name away; False where nobody gave it. The bytes stay."""
        note = note_of(name)
        there = self._store.read_note(note) is not None
        self._store.remove_note(note)
        _changes[self._store.url] = changes(self._store) + 1
        return there

    def all(self, start: str = "") -> Iterator[Named]:
        """All names that start so, in their order."""
        with ThreadPoolExecutor(_AT_ONCE, "daskflow-names") as pool:
            for found in pool.map(self.look, self.list(start)):
                if found is not None:  # taken away meanwhile
                    yield found

    def list(self, start: str = "") -> list[str]:
        """All names that start so, sorted; what they stand for is not read."""
        # Only whole words of a path can be asked for.
        folder = "/".join([NAMES, *map(_quoted, start.split("/")[:-1])])
        notes = [path for path, _ in self._store.notes(folder)]
        if folder != NAMES:
            notes += [path for path, _ in self._store.notes(_LONG.rstrip("/"))]
        return sorted({name for note in notes if (name := self._name_of(note)) and name.startswith(start)})

    def pin(self, named: Named) -> None:
        """Keep the bytes that a name stands for now, whatever becomes of the name."""
        self._store.write_note(f"{PINS}/{named.digest}", json.dumps(named._asdict()).encode())

    def unpin(self, digest: str) -> None:
        """Keep them no longer."""
        self._store.remove_note(f"{PINS}/{digest}")

    def pinned(self) -> Iterator[Named]:
        """What is pinned, in no order."""
        for note, _ in list(self._store.notes(PINS)):
            data = self._store.read_note(note)
            if data is not None:
                yield _read(data, note)

    def _name_of(self, note: str) -> str:
        """The name that a note is of; empty where it is of none."""
        if not note.startswith(_LONG):
            return _unquoted(note.removeprefix(f"{NAMES}/").removesuffix(_END)) if note.endswith(_END) else ""
        data = self._store.read_note(note)
        return "" if data is None else _read(data, note).name

    def _near(self, name: str) -> str:
        near = difflib.get_close_matches(name, self.list()[:_COMPARED], _NEAR)
        return f" Like it are: {', '.join(map(repr, near))}." if near else ""


def checked(name: str) -> str:
    """A name, if a text is one.

    Raises
    ------
    NameRefused
        It is none; the message says why.

    Examples
    --------
    >>> checked("survey 7/Ω.h5")
    'survey 7/Ω.h5'
    """
    why = _wrong(name)
    if why:
        raise NameRefused(f"{name!r:.100} is no name of an artifact: {why}. Use plain words, with `/` between them.")
    return name


def note_of(name: str) -> str:
    """Path of the note of a name.

    Examples
    --------
    >>> note_of("raw/sky map_2.fits")
    'names/raw/sky_20map__2.fits_.json'
    """
    words = [_quoted(word) for word in checked(name).split("/")]
    path = "/".join([NAMES, *words]) + _END
    if len(path) > _PATH or max(map(len, words)) > _SEGMENT:
        return f"{_LONG}{digest_bytes(name.encode())}{_END}"
    return path


def _wrong(name: object) -> str:
    if not isinstance(name, str):
        return f"it is a {type(name).__name__}, not a text"
    if not name or len(name) > _LONGEST:
        return f"it has {len(name)} characters, and 1 to {_LONGEST} are possible"
    if not name.isprintable() and any(ord(letter) < 0x20 or 0x7F <= ord(letter) < 0xA0 for letter in name):
        return "it has control characters"
    if any(0xD800 <= ord(letter) < 0xE000 for letter in name):
        return "it has bytes that are no UTF-8"
    words = name.split("/")
    if "" in words:
        return "a `/` stands at its beginning, at its end, or beside another"
    return "`.` and `..` are no words" if {".", ".."} & set(words) else ""


def _quoted(word: str) -> str:
    text = _SPECIAL.sub(_escaped, word)
    # A segment that starts with a dot is hidden in directories, and `.` is none at all.
    return f"_2E{text[1:]}" if text.startswith(".") else text


def _escaped(found: re.Match[str]) -> str:
    letter = found.group()
    return "__" if letter == "_" else "".join([f"_{byte:02X}" for byte in letter.encode()])


def _unquoted(text: str) -> str:
    def byte(found: re.Match[bytes]) -> bytes:
        code = found.group(1)
        return b"_" if code == b"_" else bytes([int(code, 16)])

    return re.sub(_ESCAPED.pattern.encode(), byte, text.encode()).decode("utf-8", "replace")


def _read(data: bytes, name: str) -> Named:
    try:
        return Named(**json.loads(data))
    except (ValueError, TypeError) as error:
        raise ArtifactDamaged(
            f"What is noted of the artifact {name!r} cannot be read ({error}). Upload it again, or remove the name."
        ) from error
