"""The states that jobs save, on their way to an agent that reaches no artifact store, and back."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping

from daskflow.artifacts.store import ObjectStore
from daskflow.artifacts.values import Values
from daskflow.errors import ArtifactError
from daskflow.execution.bucketing.objects import Taken
from daskflow.execution.bucketing.transit import send
from daskflow.execution.worker.saving import State, note_of, stored_in
from daskflow.stores.buckets.freight import Freight

_LOG = logging.getLogger(__name__)

Notes = Mapping[str, bytes | None]
"""By the keys of jobs the notes that tell where their states lie; empty: there is none any more; None: it is lost."""


def notes_in(store: ObjectStore, keys: Iterable[str]) -> dict[str, bytes]:
    """The notes of the jobs that have a state in a store, which can be had.

    Raises
    ------
    ArtifactError
        The store cannot be read.
    """
    found = {}
    for key in keys:
        note = store.read_note(note_of(key))
        if note is not None and _is_whole(store, note):
            found[key] = note
    return found


def objects_of(note: bytes) -> list[str]:
    """Digests of the objects in which a state lies."""
    stored = stored_in(note)
    if stored is None:
        return []
    return [*(() if stored.inline is not None else (stored.digest,)), *stored.holds]


def _is_whole(store: ObjectStore, note: bytes) -> bool:
    """Whether all is there in which a state lies: a later one may take its place at any time."""
    try:
        for digest in objects_of(note):
            store.size(digest)
    except ArtifactError:
        return False
    return True


def lay(store: ObjectStore, notes: Mapping[str, bytes]) -> None:
    """Put notes where jobs look for them; what they tell of is there."""
    for key, note in notes.items():
        store.write_note(note_of(key), note)


def collect(
    store: ObjectStore, found: Mapping[str, bytes], came: Iterable[str], room: int, freight: Freight | None
) -> tuple[dict[str, bytes | None], Taken]:
    """What jobs have left of states in a store: the notes, and the objects, as far as there is room or a server.

    Parameters
    ----------
    found
        The notes of the jobs that have a state there.
    came
        Keys of those of which a state came along.
    room
        [bytes]
    freight
        The way to the server that has what finds no room; None: there is none.
    """
    notes: dict[str, bytes | None] = dict.fromkeys(came, b"")
    objects: dict[str, bytes] = {}
    served: list[str] = []
    here = {digest for digest, _, _ in store.objects()}
    for key, note in found.items():
        digests = [digest for digest in objects_of(note) if digest not in objects]
        taken = send(freight, store, digests, max(0, room - len(note)), here)
        lost = bool(taken.absent) or len(note) > room
        notes[key] = None if lost else note
        if not lost:
            objects |= taken.objects
            served += taken.served
            room -= len(note) + taken.size
    return notes, Taken(objects, (), sum(map(len, objects.values())), tuple(served))


def keep(notes: Notes, values: Values) -> None:
    """Put notes from elsewhere into the store here, in which what they tell of is already.

    Raises
    ------
    ArtifactError
        The store cannot be written.
    """
    for key, note in notes.items():
        if note is None:
            _LOG.warning(
                "The state that %s has saved is lost: it is too large for a work, and where the job was performed the "
                "artifact store is out of reach. The next attempt goes on from the one before, if there is any.",
                key,
            )
        elif not note:
            State(values, key).forget()
        elif values.store is not None:
            values.store.write_note(note_of(key), note)
