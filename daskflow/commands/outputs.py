"""Finds what commands have left: files and directories, by patterns."""

from __future__ import annotations

import os
import re
import stat
from fnmatch import translate
from pathlib import Path
from typing import NamedTuple

from daskflow.commands.scratch import Scratch, checked_name
from daskflow.errors import PathRefused

_MAGIC = re.compile(r"[*?\[]")


class Found(NamedTuple):
    """An output."""

    name: str
    """Its name, relative to the working directory."""
    path: Path
    """Where it lies: no link."""


def checked_pattern(pattern: str) -> str:
    """A pattern of outputs that stays in the working directory.

    Raises
    ------
    PathRefused
        It is empty or absolute, or holds `..`.
    """
    return checked_name(pattern)


def find(scratch: Scratch, pattern: str, *, folders: bool = False) -> list[Found]:
    """The files that match a pattern, sorted by name.

    Parameters
    ----------
    pattern
        Relative to the working directory: `*`, `?` and `[...]` within a name, `**` for any directories. As in shells,
        a name that begins with a dot is found only where the pattern has that dot.
    folders
        Find directories, not files.

    Raises
    ------
    PathRefused
        The pattern leads out of the working directory, or what it names is a link that does.

    Notes
    -----
    Links are followed where they lead to something in the working directory, but `**` goes through none. Those that
    lead out are passed over where others match too: staged files may be such. Pipes, sockets and devices are no files.
    """
    kind = stat.S_ISDIR if folders else stat.S_ISREG
    found: list[Found] = []
    out: list[str] = []
    for place in _expand(scratch, pattern):
        if place.path is None:
            out.append(place.name)
        elif kind(_mode(place.path)):
            found.append(Found(place.name, Path(place.path)))
    if out and not found:
        raise PathRefused(f"The output {min(out)!r} is a link that leads out of the scratch directory: copy the file.")
    return sorted(found)


def nearby(scratch: Scratch, limit: int = 8) -> str:
    """What lies in the working directory, for messages."""
    try:
        names = sorted(entry.name + "/" * entry.is_dir() for entry in os.scandir(scratch.work))
    except OSError:
        return "It is gone."
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return f"It holds {', '.join(map(repr, names[:limit]))}{more}." if names else "It is empty."


class _Place(NamedTuple):
    """Something in the working directory."""

    name: str
    path: str | None
    """Where it really lies; None: elsewhere."""


def _expand(scratch: Scratch, pattern: str) -> set[_Place]:
    """What matches a pattern."""
    # No recursion: a command can make a tree that is deeper than Python's stack.
    found: set[_Place] = set()
    todo = [(_Place("", os.path.realpath(scratch.work)), _segments(pattern))]
    while todo:
        place, segments = todo.pop()
        if place.path is None or not segments:
            found.add(place)
        elif segments[0] == "**":
            todo.append((place, segments[1:] or ["*"]))
            todo.extend([(_Place(*inner), segments) for inner in _folders(place.name, place.path)])
        else:
            names = _matching(place.path, segments[0])
            todo.extend([(_place(scratch, place, name), segments[1:]) for name in names])
    return found


def _segments(pattern: str) -> list[str]:
    segments = checked_name(pattern).split("/")
    return [
        segment for place, segment in enumerate(segments) if segment != "**" or segments[place - 1 : place] != ["**"]
    ]


def _folders(base: str, path: str) -> list[tuple[str, str]]:
    """Directories in a directory, those that are hidden and links left out."""
    names = [name for name in _entries(path) if not name.startswith(".")]
    inner = [(_join(base, name), os.path.join(path, name)) for name in names]
    return [(name, path) for name, path in inner if stat.S_ISDIR(_mode(path))]


def _matching(path: str, segment: str) -> list[str]:
    if not _MAGIC.search(segment):
        return [segment] if _mode(os.path.join(path, segment)) else []
    match = re.compile(translate(segment)).match
    hidden = segment.startswith(".")
    return [name for name in _entries(path) if match(name) and (hidden or not name.startswith("."))]


def _place(scratch: Scratch, base: _Place, name: str) -> _Place:
    path = os.path.join(base.path or "", name)
    if stat.S_ISLNK(_mode(path)):
        real = os.path.realpath(path)
        return _Place(_join(base.name, name), real if scratch.holds(Path(real)) else None)
    return _Place(_join(base.name, name), path)


def _entries(path: str) -> list[str]:
    try:
        return os.listdir(path)
    except OSError:  # no directory, or one that may not be looked into
        return []


def _mode(path: str) -> int:
    """What a path is, without following it; 0: nothing, or its name is longer than the system allows."""
    try:
        return os.lstat(path).st_mode
    except OSError:
        return 0


def _join(base: str, name: str) -> str:
    return f"{base}/{name}" if base else name
