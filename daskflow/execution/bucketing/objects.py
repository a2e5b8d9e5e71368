"""Which objects of an artifact store go along with a parcel or an answer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from daskflow.artifacts.store import ObjectStore
from daskflow.artifacts.trees import Tree, is_tree


class Taken(NamedTuple):
    """Objects that go along."""

    objects: dict[str, bytes]
    """By digest."""
    absent: tuple[str, ...]
    """Digests of those for which there was no room."""
    size: int
    """Of all of them, and of those that are absent as far as that is known [bytes]."""


def take(store: ObjectStore, digests: Iterable[str], room: int) -> Taken:
    """Take objects of a store along, with all that directories among them are made of, as far as there is room [bytes].

    Raises
    ------
    ArtifactMissing
        One is not there.
    ArtifactError
        The store cannot be read.
    """
    objects: dict[str, bytes] = {}
    absent: dict[str, None] = {}
    left, total = list(dict.fromkeys(digests)), 0
    while left:
        digest = left.pop(0)
        if digest in objects or digest in absent:
            continue
        size = store.size(digest)
        total += size
        if size > room:
            absent[digest] = None
            continue
        data = objects[digest] = bytes(store.get(digest, size))
        room -= size
        if is_tree(data):
            left += sorted(Tree.load(data).digests)
    return Taken(objects, tuple(absent), total)
