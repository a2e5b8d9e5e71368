"""Brings artifacts to where they are used: to a path of the user, to the node, into a scratch directory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from daskflow.artifacts.caching.entries import delete
from daskflow.artifacts.caching.leases import alone
from daskflow.artifacts.contents.digests import digest_file
from daskflow.artifacts.names import Named
from daskflow.artifacts.places.place import Progress
from daskflow.artifacts.placing import Placed, Placing, alias, place
from daskflow.artifacts.planting import build, frame, seal
from daskflow.artifacts.progress import Shown, showing
from daskflow.artifacts.store import ObjectStore
from daskflow.artifacts.trees import Tree
from daskflow.errors import ArtifactDamaged, ArtifactError

_LINK = 4096
"""What a link to a file of the store counts in the node cache [bytes]."""
_LONGEST = 200
"""Longest name of a file [bytes]; filesystems take 255."""


class Shared(NamedTuple):
    """A file in a scratch directory that others read too."""

    name: str
    """Its path there."""
    digest: str
    placed: Placed


class Sharing:
    """The files of a scratch directory that others read too, so that a job must not write to them.

    Parameters
    ----------
    store
        Has the objects.
    entry
        The digest under which the node cache has them.
    shared
        Which they are.
    """

    def __init__(self, store: ObjectStore, entry: str, shared: list[Shared]) -> None:
        self._store = store
        self._entry = entry
        self._shared = shared

    def check(self) -> None:
        """See that nobody wrote to them, and let nobody read what was written.

        Raises
        ------
        ArtifactDamaged
            Somebody did; the message names the files. The copies are removed, to be had again.
        """
        for one in self._shared:
            one.placed.protect()
        suspects = [(one, path) for one in self._shared if (path := one.placed.changed) is not None]
        wrong = [one for one, path in suspects if digest_file(path) != one.digest]
        if not wrong:
            return
        if not self._store.local:
            self._store.cache.forget(self._entry)
        for one in wrong if self._store.local else []:
            self._store.remove(one.digest)
        names = ", ".join(repr(one.name) for one in wrong[:5])
        raise ArtifactDamaged(
            f"The job wrote to its input {names}, which it shares with others. Stage it as writable, "
            "or let the job write to a copy."
            + (" The store has lost it: upload it again." if self._store.local else "")
        )


def bring(store: ObjectStore, named: Named, path: Path, progress: Shown = None) -> Path:
    """Copy an artifact to a path, or into a directory that is there; returns the path of the copy."""
    target = Path(os.path.abspath(path.expanduser()))
    target = target / _last(named) if target.is_dir() else target
    _make(target.parent)
    with showing(named.name, named.size, progress) as told:
        if named.kind == "file":
            store.download(named.digest, target, named.size, told)
        else:
            _bring_tree(store, named, target, told)
    return target


def copy_here(store: ObjectStore, named: Named) -> Path:
    """A read-only file or directory on this node with the bytes of an artifact, and its name."""
    if named.kind == "tree":
        return alias(store.cache.folder("named") / named.digest, _cached_tree(store, named), _last(named))
    found = store.local_path(named.digest, named.size)
    try:
        folder = store.folder("named") if store.local else store.cache.folder("named")
        return alias(folder / named.digest, found, _last(named))
    except (ArtifactError, OSError):  # a store that we may only read
        return found


def stage(store: ObjectStore, named: Named, target: Path, how: Placing) -> Sharing:
    """Put an artifact at a new path; returns what it shares with others."""
    _make(target.parent)
    try:
        if named.kind == "file":
            return _stage_file(store, named, target, how)
        return _stage_tree(store, named, target, how)
    except FileExistsError as error:
        raise ArtifactError(f"{named.name!r} cannot be put at {target}: something is there already.") from error


def _stage_file(store: ObjectStore, named: Named, target: Path, how: Placing) -> Sharing:
    source = _sound(store.local_path(named.digest, named.size), named.digest)
    placed = place(source, target, how)
    return Sharing(store, named.digest, [Shared(target.name, named.digest, placed)] if placed else [])


def _stage_tree(store: ObjectStore, named: Named, target: Path, how: Placing) -> Sharing:
    tree = Tree.get(store, named.digest)
    # Else the copies of all its files would have to be held one by one.
    root = None if store.local else _cached_tree(store, named)
    target.mkdir()
    frame(tree, target)
    shared = []
    for path, entry in tree.files():
        source = root / path if root is not None else store.local_path(entry.digest, entry.size)
        placed = place(_sound(source, entry.digest), target / path, how, executable=entry.executable)
        if placed is not None:
            shared.append(Shared(f"{target.name}/{path}", entry.digest, placed))
    return Sharing(store, named.digest, shared)


def _sound(source: Path, digest: str) -> Path:
    """A file that is as it was stored: where somebody may write to it, that is looked at.

    Raises
    ------
    ArtifactDamaged
        Somebody wrote to it.
    """
    if source.stat().st_mode & 0o222 and digest_file(source) != digest:
        raise ArtifactDamaged(
            f"The shared copy {source} has other bytes than those of its digest: somebody wrote to it. Remove it; what "
            "was uploaded has to be uploaded again, what jobs made is made anew."
        )
    return source


def _cached_tree(store: ObjectStore, named: Named) -> Path:
    def make(target: Path) -> None:
        build(Tree.get(store, named.digest), store, target, lambda done: None, share=True)
        seal(target)

    size = len(Tree.get(store, named.digest).entries) * _LINK if store.local else named.size
    return store.cache.tree(named.digest, size, make)


def _bring_tree(store: ObjectStore, named: Named, target: Path, told: Progress) -> None:
    # The same for each try, so that the next one goes on.
    part = target.with_name(f".{target.name[:100]}.{named.digest}.part")
    tree = Tree.get(store, named.digest)
    _check_free(named, target)
    with _turn(part):
        try:
            _check_free(named, target)
        except ArtifactError:
            delete(part)
            raise
        build(tree, store, part, told)
        part.rename(target)


def _check_free(named: Named, target: Path) -> None:
    if os.path.lexists(target):
        raise ArtifactError(f"{target} is there already. Remove it, or download {named.name!r} to another path.")


@contextmanager
def _turn(part: Path) -> Iterator[None]:
    """Make a directory, and keep others waiting who would fill it."""
    while True:
        _make(part)
        with alone(part, wait=True) as mine:
            if mine:
                yield
                return


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ArtifactError(f"The directory {folder} cannot be made: {error.strerror}.") from error


def _last(named: Named) -> str:
    """The last word of the name, for files: many programs look at its end."""
    name = named.name.rpartition("/")[2]
    while len(os.fsencode(name)) > _LONGEST:
        name = name[1:]
    return name
