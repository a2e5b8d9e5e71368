"""Finds what nobody needs in an object store, and removes it."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from daskflow.artifacts.contents.frames import Buffer
from daskflow.artifacts.owners import OWNERS
from daskflow.artifacts.store import ObjectStore
from daskflow.artifacts.trees import is_tree
from daskflow.errors import ArtifactMissing

MANIFESTS = "manifests"
"""Where the notes lie that tell of which parts large objects are made."""
GRACE = 7 * 86400.0
"""What was written within this time is spared [s]."""
TREES = "-tree"
"""How the names of formats end whose values are trees."""

_WEAK = (MANIFESTS, OWNERS, "downloads")
"""Notes that need nothing themselves. All others do, also those of a kind that is not known here."""
_ALIASES = "named"
"""In a directory: where objects have links with names of their own."""
_DIGEST = re.compile(rb"(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])")
_HEAD = 32
"""So many bytes tell whether an object is a tree."""
_THREADS = 16

Needed = Callable[[], Iterable[tuple[str, str]]]
"""Gives digest and format of what is needed; the format is empty where none is known."""


class Found(NamedTuple):
    """One object, or one part of a large one, as it lies in the store."""

    digest: str
    size: int
    """[bytes]"""
    time: float
    """When it was written last; seconds since the epoch [s]."""


class Large(NamedTuple):
    """A large object, as the note tells of which parts it is made."""

    path: str
    digest: str
    """That of the large object."""
    parts: frozenset[str]
    """Digests of the parts."""
    time: float
    """When it was written last; seconds since the epoch [s]."""


class Garbage(NamedTuple):
    """What nobody needs."""

    objects: tuple[Found, ...]
    """The largest first."""
    manifests: tuple[Large, ...]
    """Those of large objects that nobody needs, or of which parts are missing."""
    kept: int
    """How many objects stay."""
    kept_size: int
    """How much they are [bytes]."""

    @property
    def size(self) -> int:
        """How much would be freed [bytes]."""
        return sum(found.size for found in self.objects)


class Sweep:
    """One search of a store for what nobody needs.

    Parameters
    ----------
    store
        The store.
    needed
        Tells what is needed beside names, pins and other notes. It is called after the objects were listed.
    before
        What was written later is spared, with all that it names; seconds since the epoch [s].

    Notes
    -----
    Others may read and write meanwhile. Objects are listed before it is asked who needs them, and looked at again when
    they are removed; whoever needs one again that is older than a day writes or touches it first, by which it is
    young. So with a `before` that is more than a day ago nothing goes that anybody relies on. In a directory that is
    exact; buckets remove without conditions, so there a moment remains between the look and the removal.
    """

    def __init__(self, store: ObjectStore, needed: Needed, *, before: float) -> None:
        self._store = store
        self._needed = needed
        self._before = before

    def find(self) -> Garbage:
        """Find what could be removed; changes nothing.

        Raises
        ------
        ArtifactError
            The store cannot be read.
        """
        with ThreadPoolExecutor(_THREADS) as pool:
            # Parts are written before their manifest: of what is listed here first, all parts are listed then.
            manifests = {found.digest: found for found in pool.map(self._manifest, self._manifests().items())}
            objects = {found[0]: Found(*found) for found in self._store.objects()}
            live = self._live(objects, manifests, pool)
        spare = [found for found in objects.values() if found.digest not in live]
        kept = [found for found in objects.values() if found.digest in live]
        broken = {digest for digest, found in manifests.items() if not found.parts <= objects.keys()}
        useless = [found for digest, found in manifests.items() if digest not in live or digest in broken]
        return Garbage(
            tuple(sorted(spare, key=lambda found: (-found.size, found.digest))),
            tuple(found for found in useless if found.time < self._before),
            len(kept),
            sum(found.size for found in kept),
        )

    def remove(self, garbage: Garbage) -> tuple[int, int]:
        """Remove what was found, unless it was written or touched meanwhile; how many objects, how much [bytes].

        Raises
        ------
        ArtifactError
            The store cannot be written.
        """
        spared: set[str] = set()
        # Manifests first: nothing may look whole when its parts are gone.
        times = self._manifests() if garbage.manifests else {}
        for manifest in garbage.manifests:
            if times.get(manifest.path, 0.0) < self._before:
                self._store.remove_note(manifest.path)
            else:
                spared |= manifest.parts
        objects = [found for found in garbage.objects if found.digest not in spared]
        with ThreadPoolExecutor(_THREADS) as pool:
            went = list(pool.map(self._discard, objects))
        sizes = [found.size for found, gone in zip(objects, went, strict=True) if gone]
        return len(sizes), sum(sizes)

    def _discard(self, found: Found) -> bool:
        gone = self._store.discard(found.digest, self._before)
        if gone and self._store.local:
            shutil.rmtree(self._store.folder(_ALIASES) / found.digest, ignore_errors=True)
        return gone

    def _manifests(self) -> dict[str, float]:
        """Paths of the manifests, and when they were written [s since the epoch]."""
        return dict(self._store.notes(MANIFESTS))

    def _manifest(self, note: tuple[str, float]) -> Large:
        path, time = note
        parts = digests_in(self._store.read_note(path) or b"")
        return Large(path, path.rpartition("/")[2], frozenset(parts), time)

    def _live(self, objects: dict[str, Found], manifests: dict[str, Large], pool: ThreadPoolExecutor) -> set[str]:
        """Digests of all that is needed, and of all that is too young to tell."""
        live, perhaps_trees = self._roots(pool)
        whole = objects | manifests
        perhaps_trees.update(digest for digest, found in whole.items() if found.time >= self._before)
        perhaps_trees -= live
        for members in pool.map(self._members, perhaps_trees & whole.keys()):
            live |= members
        live |= perhaps_trees
        for digest in live & manifests.keys():
            live |= manifests[digest].parts
        return live

    def _roots(self, pool: ThreadPoolExecutor) -> tuple[set[str], set[str]]:
        """What is needed for itself: that which is no tree, and that which may be one."""
        plain: set[str] = set()
        notes = [path for path, _ in self._store.notes() if path.partition("/")[0] not in _WEAK]
        perhaps_trees = {digest for found in pool.map(self._mentioned, notes) for digest in found}
        for digest, format in self._needed():
            (perhaps_trees if not format or format.endswith(TREES) else plain).add(digest)
        return plain, perhaps_trees

    def _mentioned(self, path: str) -> set[str]:
        return digests_in(path.encode() + b"\n" + (self._store.read_note(path) or b""))

    def _members(self, digest: str) -> set[str]:
        """What a tree names; nothing for other objects."""
        try:
            if is_tree(self._store.read(digest, 0, _HEAD)):
                return digests_in(self._store.get(digest))
        except ArtifactMissing:  # somebody removed it meanwhile
            pass
        return set()


def digests_in(text: Buffer) -> set[str]:
    """All that may be a digest in a text.

    Examples
    --------
    >>> digests_in(b'{"digest": "af1349b9f5f9a1a6a0404dea36dcc949"}')
    {'af1349b9f5f9a1a6a0404dea36dcc949'}
    """
    return {match.decode() for match in _DIGEST.findall(text)}
