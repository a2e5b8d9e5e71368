"""The journal's chapter of contexts: what the stages of a run share, with the history of each value."""

from __future__ import annotations

import json
from collections.abc import Sequence

from daskflow.model.records import ContextRecord
from daskflow.stores.chapter import Chapter
from daskflow.stores.dialect import Row
from daskflow.stores.patience import reading, writing

_FIELDS = (
    "run", "name", "stage", "version", "epoch", "turn", "time", "content", "digest", "format", "size", "value",
    "inline",
)  # fmt: skip


class Contexts(Chapter):
    """Values by run, name and stage; nothing is overwritten, each change is a new version.

    Notes
    -----
    A run that is resumed executes its flow again from the start, in a new epoch, and sees only what it changed itself.
    A change that an earlier execution made in the same place of the history is not recorded twice: it is taken over.
    """

    @writing
    def add_context(self, changes: Sequence[tuple[int, ContextRecord]]) -> bool:
        """Record changes of some values: all of them, or none.

        Parameters
        ----------
        changes
            Each with the version of the value from which it was made, 0 for none. Name and stage occur once.

        Returns
        -------
        bool
            False where one of the values is of another version by now; nothing is written then.

        Notes
        -----
        Whoever reads the latest version, makes the next one from it, and does so again until it is taken loses no
        change, in whatever threads and processes others do the same.
        """
        with self.database.transaction():
            found = [self._context_versions(record) for _, record in changes]
            if any(now != before for (now, _, _), (before, _) in zip(found, changes, strict=True)):
                return False
            for (_, record), (_, newest, equal) in zip(changes, found, strict=True):
                self._add_change(record, newest, equal)
        return True

    def _context_versions(self, record: ContextRecord) -> Row:
        place = {name: getattr(record, name) for name in ("run", "name", "stage", "epoch", "content")}
        return self.database.rows("context_versions", **place)[0]

    def _add_change(self, record: ContextRecord, newest: int, equal: int | None) -> None:
        turn = self.database.rows("context_turn", run=record.run)[0][0] + 1
        if equal is None:
            self.database.many("add_context", [_row(record.model_copy(update={"version": newest + 1, "turn": turn}))])
        else:
            place = {name: getattr(record, name) for name in ("run", "name", "stage", "epoch")}
            self.database.write("context_again", **place, version=equal, turn=turn)

    @reading
    def context_history(
        self, run: str, name: str, *, stage: str | None = None, epoch: float | None = None
    ) -> list[ContextRecord]:
        """The changes of a value in order: in one stage or in all, in one execution or in all."""
        rows = self.database.rows(
            "context_history",
            run=run,
            name=name,
            stage=stage or "",
            every_stage=int(stage is None),
            epoch=epoch or 0.0,
            every_epoch=int(epoch is None),
        )
        return [_record(row) for row in rows]

    @reading
    def context_latest(self, run: str, name: str, *, epoch: float, stage: str | None = None) -> ContextRecord | None:
        """The latest change of a value in one execution: in one stage, or in the one where it was changed last."""
        rows = self.database.rows(
            "context_latest", run=run, name=name, stage=stage or "", every_stage=int(stage is None), epoch=epoch
        )
        return _record(rows[0]) if rows else None

    @reading
    def context_now(self, run: str, epoch: float) -> list[ContextRecord]:
        """The latest change of each value in each stage, in order."""
        return [_record(row) for row in self.database.rows("context_now", run=run, epoch=epoch)]

    @reading
    def context_places(self, run: str, epoch: float) -> list[tuple[str, str]]:
        """The names and stages of all values, in the order of their first changes."""
        return [(name, stage) for name, stage, _ in self.database.rows("context_places", run=run, epoch=epoch)]


def _row(record: ContextRecord) -> Row:
    columns = dict(record) | {"value": "" if record.format else json.dumps(record.value)}
    return tuple(columns[name] for name in _FIELDS)


def _record(row: Row) -> ContextRecord:
    fields = dict(zip(_FIELDS, row, strict=True))
    fields["value"] = None if fields["format"] else json.loads(fields["value"])
    return ContextRecord(**fields)
