"""Brings directories into the object store, and trees of the store into directories."""

from __future__ import annotations

import os
import posixpath
import stat
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from daskflow.artifacts.caching.entries import delete
from daskflow.artifacts.contents.digests import digest_file
from daskflow.artifacts.places.place import Progress
from daskflow.artifacts.placing import Placing, place
from daskflow.artifacts.store import ObjectStore
from daskflow.artifacts.trees import Entry, Tree, leads_out
from daskflow.errors import ArtifactError, FileMissing, UsageError

T = TypeVar("T")

_AT_ONCE = 16
"""So many small files are on their way at a time: most of that is waiting."""
_LARGE = 32 << 20
"""A file from this size [bytes] on goes alone: it travels in many parts at once, which need their memory."""
_QUEUE = 64
"""So many more wait for their turn, at most."""


def scan(root: Path) -> Tree:
    """What a directory holds; the digests of its files are empty as yet.

    Raises
    ------
    FileMissing
        It is not there.
    UsageError
        A symbolic link leads out of it, or something is neither file nor directory.
    ArtifactError
        Something cannot be read.
    """
    real = os.path.realpath(root)
    return Tree(dict(_scan(real, real, "")))


def plant(found: Tree, store: ObjectStore, keep: Callable[[str], str]) -> tuple[str, Tree]:
    """Bring the files of a directory into a store, and the manifest after them; returns its digest and the tree.

    Parameters
    ----------
    found
        What `scan` found.
    keep
        Brings the file of a path of the tree into the store; gives its digest.
    """

    def brought(item: tuple[str, Entry]) -> tuple[str, Entry]:
        return item[0], item[1]._replace(digest=keep(item[0]))

    tree = Tree({**found.entries, **dict(_all(brought, found.files()))})
    return tree.put(store), tree


def build(tree: Tree, store: ObjectStore, target: Path, progress: Progress, *, share: bool = False) -> None:
    """Make a directory what a tree says.

    Parameters
    ----------
    target
        An empty directory, or one that an earlier try left: what is right in it stays.
    share
        Whether files may be links to objects of the store, and nobody writes to them.
    """
    strays = any(target.iterdir())
    if strays:
        _clean(tree, target)
    frame(tree, target)

    def bring(item: tuple[str, Entry]) -> None:
        path, entry = target / item[0], item[1]
        if share and store.local:
            path.unlink(missing_ok=True)
            place(store.local_path(entry.digest, entry.size), path, Placing(), executable=entry.executable)
            return
        if strays and path.is_file() and digest_file(path) == entry.digest:
            progress(entry.size)
        else:
            store.download(entry.digest, path, entry.size, progress)
        mode = path.stat().st_mode
        path.chmod(mode | 0o111 if entry.executable else mode & ~0o111)

    _all(bring, tree.files())
    if strays:
        _clean(tree, target)


def frame(tree: Tree, target: Path) -> None:
    """Make the directories and links of a tree, without its files."""
    for path, entry in tree.entries.items():
        if entry.kind == "d":
            (target / path).mkdir(exist_ok=True)
        elif entry.kind == "l" and not os.path.lexists(target / path):
            (target / path).symlink_to(entry.target)


def seal(target: Path) -> None:
    """Take away the rights to write in a directory."""
    for folder, _, names in os.walk(target, topdown=False):
        for name in names:
            path = os.path.join(folder, name)
            status = os.lstat(path)
            # Files that are shared are read-only already, and may be somebody else's.
            if stat.S_ISREG(status.st_mode) and status.st_mode & 0o222:
                os.chmod(path, status.st_mode & 0o555)
        os.chmod(folder, 0o555)


def _scan(real: str, folder: str, above: str) -> Iterator[tuple[str, Entry]]:
    try:
        with os.scandir(folder) as found:
            items = list(found)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise FileMissing(f"There is no directory {folder}. Check the path.") from error
    except OSError as error:
        raise ArtifactError(f"{folder} cannot be read: {error.strerror}.") from error
    for item in items:
        path = above + item.name
        if item.is_symlink():
            yield path, Entry("l", target=_target(real, item.path, path))
        elif item.is_dir():
            yield path, Entry("d")
            yield from _scan(real, item.path, f"{path}/")
        elif item.is_file():
            status = item.stat()
            yield path, Entry("f", "", status.st_size, bool(status.st_mode & stat.S_IXUSR))
        else:
            raise UsageError(f"{item.path} is neither a file nor a directory, so it cannot be stored. Remove it.")


def _target(real: str, place: str, path: str) -> str:
    """Where a symbolic link of the directory `real` leads, relative to where it is."""
    target = os.readlink(place)
    end = os.path.realpath(place)
    if os.path.commonpath([real, end]) != real:
        raise UsageError(
            f"The symbolic link {place} leads out of the directory, to {target}. "
            "Put what it leads to in its place, or remove it."
        )
    return os.path.relpath(end, os.path.dirname(place)) if leads_out(path, target) else target


def _clean(tree: Tree, target: Path) -> None:
    """Remove what is not in the tree, or of another kind there."""
    target.chmod(0o700)
    for folder, folders, names in os.walk(target):
        above = posixpath.relpath(folder, target)
        for name in [*folders, *names]:
            path = Path(folder, name)
            entry = tree.entries.get(name if above == "." else f"{above}/{name}")
            if entry is None or entry.kind != _kind(path) or (entry.kind == "l" and os.readlink(path) != entry.target):
                delete(path)
            elif entry.kind == "d":
                path.chmod(0o700)


def _kind(path: Path) -> str:
    if path.is_symlink():
        # Of a shared file a link may stand in the place.
        return "l"
    return "d" if path.is_dir() else "f"


def _all(work: Callable[[tuple[str, Entry]], T], items: Iterable[tuple[str, Entry]]) -> list[T]:
    """The work on each item, in any order; after the first failure no more are begun."""
    small: list[tuple[str, Entry]] = []
    large: list[tuple[str, Entry]] = []
    for item in items:
        (large if item[1].size >= _LARGE else small).append(item)
    return _together(work, small) + [work(item) for item in large]


def _together(work: Callable[[tuple[str, Entry]], T], items: Iterable[tuple[str, Entry]]) -> list[T]:
    found: list[T] = []
    flying: deque[Future[T]] = deque()
    with ThreadPoolExecutor(_AT_ONCE, "daskflow-tree") as pool:
        try:
            for item in items:
                flying.append(pool.submit(work, item))
                if len(flying) == _QUEUE:  # a directory may hold millions
                    found.append(flying.popleft().result())
            found += [future.result() for future in flying]
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return found
