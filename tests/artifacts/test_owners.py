from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest

from daskflow.artifacts.owners import OWNERS, forget_owner, mark_owner, owner_id, owners
from daskflow.artifacts.store import ObjectStore
from daskflow.errors import UsageError


class Ledger(NamedTuple):
    name: str
    place: str

    def identity(self) -> str:
        return self.name

    def whereabouts(self) -> str:
        return self.place


OURS = Ledger("a" * 32, "node1:/home/ann/project/journal.db")
THEIRS = Ledger("b" * 32, "/shared/team/journal.db")


@pytest.fixture(params=["directory", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    return ObjectStore(tmp_path if request.param == "directory" else f"memory://{tmp_path}")


def test_projects_mark_what_they_use(store: ObjectStore) -> None:
    assert owners(store) == []
    first, second = mark_owner(store, OURS), mark_owner(store, THEIRS)
    assert [(owner.id, owner.journal) for owner in owners(store)] == [(first, OURS.place), (second, THEIRS.place)]


def test_marking_again_changes_nothing(store: ObjectStore) -> None:
    mark_owner(store, OURS)
    before = owners(store)
    mark_owner(store, OURS)
    assert owners(store) == before


def test_a_copy_of_a_journal_is_another_owner(store: ObjectStore) -> None:
    copy = OURS._replace(place="node2:/scratch/copy/journal.db")
    assert mark_owner(store, OURS) != mark_owner(store, copy)
    assert {owner.journal for owner in owners(store)} == {OURS.place, copy.place}


def test_who_is_no_more_is_forgotten(store: ObjectStore) -> None:
    mark_owner(store, OURS)
    forget_owner(store, mark_owner(store, THEIRS))
    assert [owner.id for owner in owners(store)] == [owner_id(OURS)]
    with pytest.raises(UsageError, match=owner_id(OURS)):
        forget_owner(store, "c" * 32)


def test_a_mark_that_nobody_understands_counts(store: ObjectStore) -> None:
    store.write_note(f"{OWNERS}/strange", b"[1]")
    assert [(owner.id, owner.journal) for owner in owners(store)] == [("strange", "an unknown place")]
