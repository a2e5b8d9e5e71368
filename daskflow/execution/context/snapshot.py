"""What a context holds at one moment, for tasks; and the changes that a task proposes."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self

from daskflow.artifacts.values import Values
from daskflow.errors import NotFound
from daskflow.execution.context.changes import unpacked
from daskflow.graph.tokens import digest
from daskflow.model.records import ContextRecord

UNSET: Any = object()
"""Stands for a default that was not given, where None may be one."""


@dataclasses.dataclass(frozen=True)
class Patch:
    """Changes that a task proposes: it returns them, and the flow applies them by `ctx.apply(patch)`."""

    stage: str
    values: dict[str, Any]
    """The new values by name."""
    base: dict[str, str]
    """Contents of the values that the task had seen under these names, in this stage; empty where there was none."""


class Snapshot:
    """The values of a context at one moment. Made by `ctx.snapshot()`; may be an argument of tasks.

    Notes
    -----
    Nothing changes it, and it pickles. Large values are brought from the artifact store when they are asked for. Its
    key is made of the contents, so equal snapshots, in whatever runs, give equal keys.

    Examples
    --------
    >>> from daskflow.execution.context.changes import packed
    >>> values = Values(None)
    >>> snapshot = Snapshot([packed(ContextRecord(run="r", name="noise", stage="import"), 0.2, values)], values)
    >>> snapshot["noise"], snapshot.get("peak"), list(snapshot)
    (0.2, None, ['noise'])
    >>> snapshot.patch(stage="import", noise=0.1).values
    {'noise': 0.1}
    """

    def __init__(
        self, records: Sequence[ContextRecord], values: Values, defaults: Sequence[ContextRecord] = ()
    ) -> None:
        self._records = {(record.name, record.stage): record for record in records}
        # In order of the changes, so that of several stages the one that spoke last stays.
        self._latest = {record.name: record for record in records}
        self._values = values
        self._defaults = {record.name: record for record in defaults}

    def __getitem__(self, name: str) -> Any:
        """The latest value of any stage.

        Raises
        ------
        NotFound
            There is none of that name; the message lists those that are.
        """
        found = self.get(name, UNSET)
        if found is UNSET:
            raise NotFound(missing(name, self))
        return found

    def get(self, name: str, default: Any = None, *, stage: str | None = None) -> Any:
        """The latest value of one stage, or of any; the default where there is none, else that of the template."""
        found = self._latest.get(name) if stage is None else self._records.get((name, stage))
        record = found or self._defaults.get(name)
        return default if record is None else unpacked(record, self._values)

    def __contains__(self, name: object) -> bool:
        return name in self._latest or name in self._defaults

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys([*self._latest, *self._defaults]))

    def __len__(self) -> int:
        return len(self._latest.keys() | self._defaults.keys())

    def keys(self) -> list[str]:
        """The names, so that `dict(snapshot)` works."""
        return list(self)

    def stages(self) -> list[str]:
        """The stages that hold values."""
        return list(dict.fromkeys(stage for _, stage in self._records))

    def patch(self, values: Mapping[str, Any] | None = None, /, *, stage: str = "", **named: Any) -> Patch:
        """Propose changes, for the flow to apply.

        Parameters
        ----------
        values, named
            The new values by name; a dictionary is merged with one that is there.
        """
        changes = {**(values or {}), **named}
        base = {name: self._records[name, stage].content if (name, stage) in self._records else "" for name in changes}
        return Patch(stage, changes, base)

    def key_text(self) -> str:
        """How the snapshot stands in the keys of jobs."""
        parts = [(*place, record.content) for place, record in self._records.items()]
        latest = [(name, record.stage) for name, record in self._latest.items()]
        defaults = [(name, record.content) for name, record in self._defaults.items()]
        return f"context({digest(repr((sorted(parts), sorted(latest), sorted(defaults))))})"

    def __dask_tokenize__(self) -> str:
        return self.key_text()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Snapshot) and self.key_text() == other.key_text()

    def __hash__(self) -> int:
        return hash(self.key_text())

    def __deepcopy__(self, memo: object) -> Self:
        # Jobs copy their arguments, lest somebody change them; nobody can change this.
        return self

    def __repr__(self) -> str:
        return f"<Snapshot of {len(self)} values: {', '.join(self)}>"


def missing(name: str, present: Iterator[str] | Any) -> str:
    """The message that there is no value of a name."""
    return f"The context has no {name!r}. It has: {', '.join(present) or 'nothing yet'}."
