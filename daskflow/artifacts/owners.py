"""Which projects keep their results in a store: each leaves a note, so that none removes what another needs."""

from __future__ import annotations

import getpass
import json
import socket
import time
from typing import NamedTuple, Protocol

from daskflow.artifacts.contents.digests import digest_bytes
from daskflow.artifacts.store import ObjectStore
from daskflow.errors import UsageError

OWNERS = "owners"
"""Where the notes lie."""


class Ledger(Protocol):
    """What remembers what a project needs of a store: its journal."""

    def identity(self) -> str:
        """A random id that tells it from others."""

    def whereabouts(self) -> str:
        """Where it is, as seen from other machines."""


class Owner(NamedTuple):
    """One project that keeps results in a store."""

    id: str
    """Identity of its journal, then, after a hyphen, digits that stand for the place of the journal."""
    journal: str
    """Where its journal is: a path, with the machine before it where only that one sees it."""
    user: str
    """Who was the first to write."""
    time: float
    """When; seconds since the epoch [s]."""


def owner_id(ledger: Ledger) -> str:
    """The id under which a project is an owner.

    The place counts, for a journal that was copied goes its own ways: the copy is another owner.
    """
    return f"{ledger.identity()}-{digest_bytes(ledger.whereabouts().encode())[:8]}"


def mark_owner(store: ObjectStore, ledger: Ledger) -> str:
    """Note in a store that a project keeps results there, before it writes the first; returns the id of the owner.

    Raises
    ------
    ArtifactError
        The store cannot be written.
    """
    id = owner_id(ledger)
    path = f"{OWNERS}/{id}"
    if store.read_note(path) is None:
        about = {"journal": ledger.whereabouts(), "user": _user(), "time": time.time()}
        store.write_note(path, json.dumps(about).encode(), create=True)
    return id


def owners(store: ObjectStore) -> list[Owner]:
    """The projects that keep results in a store, the oldest first."""
    found = []
    for path, changed in store.notes(OWNERS):
        data = store.read_note(path)
        if data is not None:
            found.append(_owner(path.rpartition("/")[2], data, changed))
    return sorted(found, key=lambda owner: owner.time)


def forget_owner(store: ObjectStore, id: str) -> None:
    """Let a project that is no more be no owner: what only it needs may go.

    Raises
    ------
    UsageError
        No owner has this id.
    """
    known = [owner.id for owner in owners(store)]
    if id not in known:
        raise UsageError(f"No project {id!r} keeps results in {store.url}; there are {', '.join(known) or 'none'}.")
    store.remove_note(f"{OWNERS}/{id}")


def _owner(id: str, data: bytes, changed: float) -> Owner:
    try:
        about = json.loads(data)
        return Owner(id, str(about["journal"]), str(about["user"]), float(about["time"]))
    except (ValueError, KeyError, TypeError):
        # Somebody wrote it whom we do not know; all the more it must count.
        return Owner(id, "an unknown place", "an unknown user", changed)


def _user() -> str:
    try:
        return f"{getpass.getuser()}@{socket.gethostname()}"
    except (OSError, KeyError):  # a user id without a name, as in some containers
        return socket.gethostname()
