"""What attempts save of their state while they run, so that the next attempt at the same job goes on from it."""

from __future__ import annotations

import base64
import json
import secrets
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from daskflow.artifacts.contents.digests import digest_bytes
from daskflow.artifacts.store import ObjectStore
from daskflow.artifacts.values import Values
from daskflow.errors import ArtifactDamaged, ArtifactError, DaskflowError, UsageError
from daskflow.model.outcome import Stored

STATES = "states"
"""Where the notes of states lie in a store."""
KEPT = 30 * 86400.0
"""States that nobody came back for are removed after this time [s]."""
_MARK = "daskflow state"


class HandedOver(BaseException):
    """The attempt ends here, and another one is to go on. No `Exception`: the user's code is not to catch it."""


class State:
    """The saved state of one job.

    Parameters
    ----------
    values
        Writes it; its store is where it lies. None: there is none, and nothing can be saved.
    key
        Key of the job.

    Notes
    -----
    A note of the store tells where the latest state lies, and is written when all of it is there: whoever reads finds
    one state or the other, whole. A state is signed like other values that run code when they are loaded. It has a
    digest that no result has, so that it can be removed when a later one takes its place.
    """

    def __init__(self, values: Values | None, key: str) -> None:
        self.known = False
        """Whether there is one, as far as this process has seen."""
        self._values = values
        self._key = key
        self._note = note_of(key)

    def save(self, state: Any) -> None:
        """Keep a state in place of the one before.

        Raises
        ------
        UsageError
            There is no artifact store, or no job.
        NotSerialisable
            The state has no form outside this process.
        ArtifactError
            The store is full or cannot be written; the state before is still there.
        """
        values, store = self._parts()
        stored = values.dump((_MARK, self._key, secrets.token_hex(8), state))
        before = self._look(store)
        store.write_note(self._note, _written(stored, self._key))
        self.known = True
        _discard(store, before)

    def restore(self, default: Any = None) -> Any:
        """The state; where there is none, the default.

        One that cannot be read counts as none: the job begins anew, and its log says why.
        """
        values, store = self._parts()
        seen = None
        while (stored := self._look(store)) is not None and stored != seen:
            seen = stored
            self.known = True
            try:
                mark, key, _, state = values.load(stored)
                if (mark, key) == (_MARK, self._key):
                    return state
                raise ArtifactDamaged(f"It belongs to {key!r}.")
            except ArtifactError as error:
                # An attempt elsewhere that is not known to be dead may have saved another one just now.
                told = f"The state that was saved of {self._key} cannot be read, so that it begins anew: {error}"
            except (TypeError, ValueError) as error:
                told = f"What was saved of {self._key} is no state, so that it begins anew: {error}"
            if self._look(store) == seen:
                print(told)
        return default

    def forget(self) -> None:
        """The job has its result: nobody comes back for its state. Never raises for the store's sake."""
        with suppress(DaskflowError):
            _, store = self._parts()
            before = self._look(store)
            store.remove_note(self._note)
            self.known = False
            _discard(store, before)

    def _parts(self) -> tuple[Values, ObjectStore]:
        if self._values is None or not self._key:
            raise UsageError(
                "Only a task that a run performs has a state. What the body of a flow has done is remembered anyway."
            )
        if self._values.store is None:
            raise UsageError("There is no artifact store to save a state in. Name one by `artifacts`.")
        return self._values, self._values.store

    def _look(self, store: ObjectStore) -> Stored | None:
        data = store.read_note(self._note)
        return None if data is None else stored_in(data)


def note_of(key: str) -> str:
    """Where the note of the state of a job lies in a store."""
    return f"{STATES}/{digest_bytes(key.encode())}.json"


def forget_old(store: ObjectStore, before: float) -> int:
    """Remove the states that were saved before some time [s since the epoch]; returns how many these were."""
    old = [path for path, _ in _notes_before(store, before)]
    for path in old:
        data = store.read_note(path)
        store.remove_note(path)
        _discard(store, stored_in(data) if data is not None else None)
    return len(old)


def _notes_before(store: ObjectStore, before: float) -> Iterator[tuple[str, float]]:
    for path, changed in list(store.notes(STATES)):
        if changed < before:
            yield path, changed


def _discard(store: ObjectStore, stored: Stored | None) -> None:
    """Remove the bytes of a state that another one has replaced; where that fails they are garbage."""
    if stored is not None and stored.inline is None:
        with suppress(ArtifactError):
            store.remove(stored.digest)


def _written(stored: Stored, key: str) -> bytes:
    inline = None if stored.inline is None else base64.b64encode(stored.inline).decode()
    fields = {"digest": stored.digest, "size": stored.size, "format": stored.format, "inline": inline}
    return json.dumps({**fields, "key": key, "time": time.time(), "holds": stored.holds}).encode()


def stored_in(data: bytes) -> Stored | None:
    """Where a state lies; None where the note makes no sense."""
    try:
        fields = json.loads(data)
        inline = None if fields["inline"] is None else base64.b64decode(fields["inline"])
        return Stored(fields["digest"], fields["size"], fields["format"], inline, tuple(fields["holds"]))
    except (ValueError, TypeError, KeyError):
        return None
