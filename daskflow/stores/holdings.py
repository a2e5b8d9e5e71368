"""The journal's chapter of what it needs of the artifact store."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from daskflow.stores.chapter import Chapter
from daskflow.stores.dialect import Row
from daskflow.stores.liveness import this_host
from daskflow.stores.patience import reading, writing
from daskflow.stores.runs import ENDS

PAGE = 10_000
"""How many rows are read at once where there may be very many."""

_DIGEST = re.compile(rb"(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])")
_IDENTITY = "identity"


class Reference(NamedTuple):
    """What refers to an object: a result of a job, or a value of a context."""

    run: str
    """The run that made the result, or that has the context."""
    key: str
    """Key of the job; empty for a value of a context."""
    name: str
    """Name of the task, or of the value."""
    created: float | None = None
    """When the result was made; seconds since the epoch [s]."""


class Holdings(Chapter):
    """Which objects of the artifact store the journal refers to, and its own identity beside other journals.

    Notes
    -----
    A stored value that mentions an artifact needs the bytes of that artifact for as long as it is remembered.
    """

    @writing
    def add_holdings(self, rows: Iterable[Row]) -> None:
        """Record `(value, object)`: the stored value with the one digest mentions the object with the other."""
        self.database.many("add_holdings", rows)

    @reading
    def holds_any(self) -> bool:
        """Whether any stored value mentions an object: where none does, nobody need ask which."""
        return bool(self.database.rows("any_holding"))

    @reading
    def holdings(self, digests: Iterable[str]) -> dict[str, tuple[str, ...]]:
        """The objects that these stored values mention, in order; values that mention none are left out."""
        found: dict[str, tuple[str, ...]] = {}
        for value, object in self.database.rows("holdings", digests=sorted(set(digests))):
            found[value] = (*found.get(value, ()), object)
        return found

    def needed(self) -> Iterator[tuple[str, str]]:
        """Digest and format of all in the artifact store that is remembered; the format is empty where none is known.

        These are results, values of contexts, and objects that one of them mentions; some may come twice. They are
        read in pages, so what is written meanwhile may be among them or not.
        """
        digest, format = "", ""
        while rows := self.database.rows("needed_results", digest=digest, format=format, limit=PAGE):
            yield from rows
            digest, format = rows[-1]
        yield from self.database.rows("needed_contexts")
        object = ""
        while rows := self.database.rows("needed_holdings", object=object, limit=PAGE):
            yield from ((object, "") for (object,) in rows)
            object = rows[-1][0]

    @reading
    def referring(self, object: str, limit: int = 100) -> list[Reference]:
        """The remembered values that are an object, or mention it: results, the newest first, then contexts."""
        rows = self.database.rows("referring", object=object, limit=limit)
        shared = self.database.rows("referring_contexts", object=object)
        return [*(Reference(*row) for row in rows), *(Reference(run, "", name) for run, name in shared)]

    @reading
    def mentioned(self) -> set[str]:
        """All that may be a digest in what was fetched, and in the arguments of unfinished runs and of their jobs."""
        fetched = [inline for (inline,) in self.database.rows("fetched")]
        payloads = [payload for (payload,) in self.database.rows("payloads", ends=ENDS)]
        recipes = [recipe.encode() for (recipe,) in self.database.rows("recipes", ends=ENDS)]
        return {match.decode() for text in (*fetched, *payloads, *recipes) for match in _DIGEST.findall(text)}

    @reading
    def identity(self) -> str:
        """A random id that tells this journal from others; the first call notes it.

        Notes
        -----
        Of a journal that can only be read and has none yet it is empty. A copy of the file has the same one.
        """
        found = self.database.rows("meta", name=_IDENTITY)
        if not found and not self.database.readonly:
            self.database.write("add_meta", name=_IDENTITY, value=uuid.uuid4().hex)
            found = self.database.rows("meta", name=_IDENTITY)
        return str(found[0][0]) if found else ""

    def whereabouts(self) -> str:
        """Where the journal is, as other machines see it: this machine's name stands before what only it can reach."""
        place = self.database.place
        return place if self.database.shared else f"{this_host()}:{place}"
