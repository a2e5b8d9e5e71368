"""Trees: directories as manifests of their files, each file an object."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from daskflow.artifacts.contents.frames import Buffer
from daskflow.artifacts.store import ObjectStore
from daskflow.errors import ArtifactDamaged

_KINDS = frozenset("fdl")
_NO_PATH = re.compile(r"(?:^|/)\.{0,2}(?:/|\Z)|\0")
"""Finds empty names, `.`, `..` and NUL."""
_MAGIC = b'{"daskflow-tree":1,'


class Entry(NamedTuple):
    """One thing in a tree."""

    kind: str
    """`f`: a file, `d`: a directory, `l`: a symbolic link."""
    digest: str = ""
    """Of a file: that of its bytes."""
    size: int = 0
    """Of a file [bytes]."""
    executable: bool = False
    """Of a file."""
    target: str = ""
    """Of a link: where it leads, relative to the directory that it is in; always to something in the tree."""


class Tree:
    """What a directory holds.

    Parameters
    ----------
    entries
        By path, relative to the directory, with `/` between names. Directories that follow from others may be left
        out.

    Raises
    ------
    ArtifactDamaged
        A path or a link leads out of the directory, or goes through something that is no directory.

    Notes
    -----
    Equal directories have equal manifests, byte for byte. Owners and times do not count, nor modes but for whether a
    file may be executed.

    Examples
    --------
    >>> tree = Tree({"sky/map.fits": Entry("f", "0" * 32, 2880)})
    >>> list(tree.entries), tree.size
    (['sky', 'sky/map.fits'], 2880)
    >>> Tree.load(tree.dump()) == tree
    True
    """

    def __init__(self, entries: Mapping[str, Entry]) -> None:
        folders = _folders(entries)
        _check(entries, folders)
        self.entries: dict[str, Entry] = dict(sorted({**dict.fromkeys(folders, Entry("d")), **entries}.items()))

    def __eq__(self, other: object) -> bool:
        return self.entries == other.entries if isinstance(other, Tree) else NotImplemented

    def __hash__(self) -> int:
        return hash(tuple(self.entries.items()))

    @property
    def size(self) -> int:
        """Size of all files [bytes]."""
        return sum(entry.size for entry in self.entries.values())

    @property
    def digests(self) -> set[str]:
        """The objects that it is made of."""
        return {entry.digest for entry in self.entries.values() if entry.kind == "f"}

    def files(self) -> Iterator[tuple[str, Entry]]:
        """Paths and entries of the files, in the order of the paths."""
        return ((path, entry) for path, entry in self.entries.items() if entry.kind == "f")

    def dump(self) -> bytes:
        """The manifest; its digest stands for the tree."""
        rows = [_row(path, entry) for path, entry in self.entries.items()]
        text = json.dumps({"daskflow-tree": 1, "size": self.size, "entries": rows}, separators=(",", ":"))
        return text.encode()

    @classmethod
    def load(cls, data: Buffer) -> Tree:
        """The tree of a manifest. Raises ArtifactDamaged."""
        if not is_tree(data):
            raise ArtifactDamaged("These bytes are no manifest of a directory. Upload the directory again.")
        try:
            return cls({path: _entry(kind, *rest) for path, kind, *rest in json.loads(bytes(data))["entries"]})
        except (ValueError, TypeError, KeyError) as error:
            raise ArtifactDamaged(f"The manifest of a directory cannot be read ({error}). Upload it again.") from error

    def put(self, store: ObjectStore) -> str:
        """Keep the manifest in a store that has the files; returns its digest."""
        return store.put(self.dump())

    @classmethod
    def get(cls, store: ObjectStore, digest: str) -> Tree:
        """The tree of that digest. Raises ArtifactMissing, ArtifactDamaged."""
        return cls.load(store.get(digest))


def is_tree(data: Buffer) -> bool:
    """Whether bytes are the manifest of a tree; the first 32 of them are enough."""
    return bytes(data[: len(_MAGIC)]) == _MAGIC


def leads_out(path: str, target: str) -> bool:
    """Whether a symbolic link at `path` of a tree leads out of it.

    Notes
    -----
    `..` is good at the beginning of a target only: after a name, that may itself be a link, it leads wherever.
    """
    parts = target.split("/")
    climbs = next((i for i, part in enumerate(parts) if part != ".."), len(parts))
    return target.startswith("/") or not target or ".." in parts[climbs:] or climbs > path.count("/")


def _row(path: str, entry: Entry) -> list[Any]:
    if entry.kind == "f":
        return [path, "f", entry.digest, entry.size, int(entry.executable)]
    return [path, "l", entry.target] if entry.kind == "l" else [path, "d"]


def _entry(kind: str, *rest: Any) -> Entry:
    if kind == "f":
        digest, size, executable = rest
        return Entry("f", str(digest), int(size), bool(executable))
    return Entry("l", target=str(rest[0])) if kind == "l" else Entry(kind)


def _folders(paths: Iterable[str]) -> set[str]:
    """The directories that paths lie in."""
    found: set[str] = set()
    for path in paths:
        folder = path.rpartition("/")[0]
        while folder and folder not in found:
            found.add(folder)
            folder = folder.rpartition("/")[0]
    return found


def _check(entries: Mapping[str, Entry], folders: set[str]) -> None:
    for path, entry in entries.items():
        if entry.kind not in _KINDS or _NO_PATH.search(path):
            raise ArtifactDamaged(f"A directory cannot hold {path!r:.300} ({entry.kind!r}). Upload it again.")
        if entry.kind == "l" and leads_out(path, entry.target):
            raise ArtifactDamaged(f"The link {path!r} of a directory leads out of it, to {entry.target!r:.300}.")
    for folder in folders:
        if folder in entries and entries[folder].kind != "d":
            raise ArtifactDamaged(f"{folder!r:.300} of a directory is no directory, but something lies in it.")
