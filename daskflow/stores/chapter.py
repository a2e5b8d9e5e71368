"""What the chapters of the journal share."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from daskflow.stores.database import Database
from daskflow.stores.patience import Patience, reading


class Chapter:
    """One subject of the journal.

    Parameters
    ----------
    database
        Where it is written.
    patience
        For so long a server that is away is waited for, once it has answered [s]; 0: not at all.

    Notes
    -----
    Any thread may call any method. A method that writes is one transaction, or part of the one that
    its thread has begun.
    """

    def __init__(self, database: Database, patience: float = 0.0) -> None:
        self.database = database
        self.patience = Patience(database, patience)
        """How those who call bear that the store is away."""

    @reading
    def below(self, run: str) -> list[str]:
        """Ids of a run, of those that it started, and so on down."""
        return [id for (id,) in self.database.rows("tree_ids", run=run)]


def as_json(value: Any) -> str:
    """JSON text; what JSON does not know is shown as its text, which is enough for people."""
    return value if isinstance(value, str) else json.dumps(value, default=str)


def distinct(values: Iterable[str]) -> list[str]:
    """The values in their order, each once."""
    return list(dict.fromkeys(values))


def few(items: list[str], most: int = 8) -> str:
    """The first of these for a message."""
    return ", ".join(items[:most]) + (", ..." if len(items) > most else "")


def like(text: str) -> str:
    """A pattern for `LIKE ... ESCAPE` that fits exactly this text, in any case."""
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
