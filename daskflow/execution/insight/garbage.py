"""What nobody needs in the artifact store: asks all projects that keep results there, and removes the rest."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import NamedTuple

from daskflow.artifacts.owners import Owner, forget_owner, owner_id, owners
from daskflow.artifacts.store import ObjectStore
from daskflow.artifacts.sweeping import GRACE, Garbage, Sweep
from daskflow.errors import DaskflowError, UsageError
from daskflow.execution.project import Project
from daskflow.execution.worker.saving import KEPT, forget_old
from daskflow.stores import Database, Journal, this_host

_SKEW = 3600.0
"""How far the clocks of machines and stores may be apart [s]."""


class Collected(NamedTuple):
    """What was found, and what became of it."""

    garbage: Garbage
    before: float
    """What was written later was spared; seconds since the epoch [s]."""
    removed: int
    """How many objects are gone."""
    freed: int
    """How much they were [bytes]; with what was left half written."""


def collect(project: Project, *, grace: float = GRACE, gone: Sequence[str] = (), dry_run: bool = False) -> Collected:
    """Remove from the artifact store what no result, name or pin needs.

    Parameters
    ----------
    grace
        What was written within this time is spared [s]; so is all that was written since the oldest run began that is
        still performed.
    gone
        Ids of other projects that are no more: what only they need may go.
    dry_run
        Change nothing.

    Raises
    ------
    UsageError
        There is no store, this project never wrote to it, or another one did whose journal cannot be read from here.
    """
    store = store_of(project)
    with ExitStack() as stack:
        journals = [project.journal, *_others(project.journal, store, gone, stack)]
        if not dry_run:
            for id in gone:
                forget_owner(store, id)
        starts = [start - _SKEW for journal in journals if (start := journal.oldest_performed()) is not None]
        before = min([time.time() - grace, *starts])
        sweep = Sweep(store, lambda: _needed(journals), before=before)
        garbage = sweep.find()
        if dry_run:
            return Collected(garbage, before, 0, 0)
        forget_old(store, min(before, time.time() - KEPT))
        # What large objects are made of is counted with them: first that which belongs to none.
        freed = store.sweep(time.time() - before)
        removed, size = sweep.remove(garbage)
        store.sweep(time.time() - before)
        return Collected(garbage, before, removed, freed + size)


def store_of(project: Project) -> ObjectStore:
    """The artifact store of a project. Raises UsageError."""
    if project.values.store is None:
        raise UsageError("There is no artifact store. Name one by `artifacts` in the configuration.")
    return project.values.store


def _needed(journals: Sequence[Journal]) -> Iterator[tuple[str, str]]:
    for journal in journals:
        yield from journal.needed()
        yield from ((digest, "") for digest in journal.mentioned())


def _others(journal: Journal, store: ObjectStore, gone: Sequence[str], stack: ExitStack) -> list[Journal]:
    """The journals of the other projects that keep results in a store."""
    known, own = owners(store), owner_id(journal)
    if own not in {owner.id for owner in known}:
        raise UsageError(
            f"The project of {journal.database.place} has kept nothing in {store.url} so far, so that nothing there is "
            "known to be its own. Run a flow first, or go where the project is."
        )
    if unknown := set(gone) - {owner.id for owner in known} | {own} & set(gone):
        raise UsageError(f"{', '.join(sorted(unknown))}: no other project with this id keeps results in {store.url}.")
    found = {owner: _opened(owner, stack) for owner in known if owner.id not in (own, *gone)}
    if silent := [owner for owner, journal in found.items() if journal is None]:
        raise UsageError(_refusal(store, silent))
    return [journal for journal in found.values() if journal is not None]


def _opened(owner: Owner, stack: ExitStack) -> Journal | None:
    """The journal of another project; None where it cannot be read from here."""
    place = owner.journal.removeprefix(f"{this_host()}:")
    try:
        journal = Journal(stack.enter_context(Database(place, readonly=True)))
        return journal if owner_id(journal) == owner.id else None
    except DaskflowError:
        return None


def _refusal(store: ObjectStore, silent: Sequence[Owner]) -> str:
    told = "; ".join(f"{owner.journal} of {owner.user}, id {owner.id}" for owner in silent)
    return (
        f"Other projects keep results in {store.url}, and their journals cannot be read from here: {told}. Go where "
        f"all of them can be read, or, where one is no more: daskflow artifact gc --gone {silent[0].id}"
    )
