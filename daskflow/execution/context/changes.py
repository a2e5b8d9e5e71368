"""Values of a context as records, and back; and those of a flow that is only planned, which nobody keeps."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from typing import Any, Protocol

from daskflow.artifacts.values import Values
from daskflow.errors import NoKey
from daskflow.graph.encoding import Encoder, digest
from daskflow.graph.task import code_text
from daskflow.model.outcome import Stored
from daskflow.model.records import ContextRecord

_ATOMS = frozenset({type(None), bool, int, float, str})
Change = tuple[int, ContextRecord]


def packed(record: ContextRecord, value: Any, values: Values) -> ContextRecord:
    """A record that holds a value: as JSON where that is exact and small, else as a result is stored.

    Raises
    ------
    NotSerialisable
        The value has no form outside this process.
    """
    if _is_exact(value):
        text = json.dumps(value)
        if len(text) <= values.inline_limit:
            return record.model_copy(update={"content": content(value), "value": value, "size": len(text)})
    stored = values.dump(value)
    return record.model_copy(update={**stored._asdict(), "content": content(value) or stored.digest})


_encoder = Encoder(code_text, str)


def content(value: Any) -> str:
    """Digest of what a value is, as it counts in keys; that of a path is its text. Empty for a value that has no key.

    The stored bytes would not do: those of an equal value may be others in another process.
    """
    try:
        return digest(_encoder.encode(value))
    except NoKey:
        return ""


def unpacked(record: ContextRecord, values: Values) -> Any:
    """The value of a record, which may be changed."""
    if record.format:
        return values.load(Stored(record.digest, record.size, record.format, record.inline))
    return json.loads(json.dumps(record.value))


def _is_exact(value: Any) -> bool:
    """Whether JSON gives exactly this value back."""
    if type(value) is list:
        return all(map(_is_exact, value))
    if type(value) is dict:
        return all(type(key) is str for key in value) and all(map(_is_exact, value.values()))
    return type(value) in _ATOMS


class Ledger(Protocol):
    """Where the changes of a context are kept: the journal, or a draft."""

    def add_context(self, changes: Sequence[Change]) -> bool:
        """Record changes, each with the version of the value from which it was made; False where one is outdated."""

    def context_history(
        self, run: str, name: str, *, stage: str | None = None, epoch: float | None = None
    ) -> list[ContextRecord]:
        """The changes of a value in order."""

    def context_latest(self, run: str, name: str, *, epoch: float, stage: str | None = None) -> ContextRecord | None:
        """The latest change of a value."""

    def context_now(self, run: str, epoch: float) -> list[ContextRecord]:
        """The latest change of each value in each stage, in order."""

    def context_places(self, run: str, epoch: float) -> list[tuple[str, str]]:
        """The names and stages of all values."""


class Draft:
    """The changes that a flow makes which is only planned.

    Notes
    -----
    Safe for threads. Holds what the journal would, for one run in one epoch.
    """

    def __init__(self) -> None:
        self._records: list[ContextRecord] = []
        self._lock = threading.RLock()

    def add_context(self, changes: Sequence[Change]) -> bool:
        """Keep changes, unless one is outdated."""
        with self._lock:
            for before, record in changes:
                if len(self.context_history(record.run, record.name, stage=record.stage)) != before:
                    return False
            for before, record in changes:
                update = {"version": before + 1, "turn": len(self._records) + 1}
                self._records.append(record.model_copy(update=update))
        return True

    def context_history(
        self, run: str, name: str, *, stage: str | None = None, epoch: float | None = None
    ) -> list[ContextRecord]:
        """The changes of a value in order."""
        with self._lock:
            return [record for record in self._records if record.name == name and stage in (None, record.stage)]

    def context_latest(self, run: str, name: str, *, epoch: float, stage: str | None = None) -> ContextRecord | None:
        """The latest change of a value."""
        return next(reversed(self.context_history(run, name, stage=stage)), None)

    def context_now(self, run: str, epoch: float) -> list[ContextRecord]:
        """The latest change of each value in each stage, in order."""
        with self._lock:
            latest = {(record.name, record.stage): record for record in self._records}
        return sorted(latest.values(), key=lambda record: record.turn)

    def context_places(self, run: str, epoch: float) -> list[tuple[str, str]]:
        """The names and stages of all values."""
        with self._lock:
            return list(dict.fromkeys((record.name, record.stage) for record in self._records))
