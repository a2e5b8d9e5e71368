from __future__ import annotations

import os
import pickle
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from daskflow.artifacts.owners import mark_owner, owners
from daskflow.errors import UsageError
from daskflow.execution.insight.garbage import collect, store_of
from daskflow.execution.project import Project
from daskflow.model.records import RunRecord
from daskflow.model.states import RunState
from daskflow.settings.parts import open_project
from daskflow.stores import this_host
from tests.conftest import settings_in

DAY = 86400.0

Opener = Callable[[str], Project]


@pytest.fixture
def project_in(tmp_path: Path) -> Iterator[Opener]:
    """Opens projects that share one artifact store."""
    opened = []

    def project(name: str) -> Project:
        made = open_project(settings_in(tmp_path / name, artifacts=str(tmp_path / "artifacts")))
        opened.append(made)
        mark_owner(store_of(made), made.journal)
        return made

    yield project
    for made in opened:
        made.close()


def keep(project: Project, data: bytes, *, age: float = 30 * DAY) -> str:
    """An object that was written so long ago [s]."""
    store = store_of(project)
    digest = store.put(data)
    os.utime(store.local_path(digest), (time.time() - age,) * 2)
    return digest


def remember(project: Project, digest: str) -> None:
    row = (f"key-{digest}", "fit", "f1", None, None, digest, 3, "npy", None, "run", 1.0, 1.0, 0)
    project.journal.add_results([row])


def garbage(project: Project, **options: object) -> set[str]:
    found = collect(project, dry_run=True, **options)  # type: ignore[arg-type]
    return {each.digest for each in found.garbage.objects}


def test_remembered_results_stay_and_forgotten_ones_go(project_in: Opener) -> None:
    project = project_in("ours")
    needed, spare = keep(project, b"needed"), keep(project, b"spare")
    remember(project, needed)
    assert garbage(project) == {spare}
    found = collect(project)
    assert (found.removed, found.freed) == (1, 5)
    project.journal.forget([f"key-{needed}"])
    assert collect(project).removed == 1


def test_what_values_hold_stays(project_in: Opener) -> None:
    project = project_in("ours")
    held, spare = keep(project, b"held"), keep(project, b"spare")
    remember(project, "0" * 32)
    project.journal.add_holdings([("0" * 32, held)])
    assert garbage(project) == {spare}


def test_what_is_younger_than_the_grace_period_stays(project_in: Opener) -> None:
    project = project_in("ours")
    old, _ = keep(project, b"old", age=9 * DAY), keep(project, b"young", age=6 * DAY)
    assert garbage(project) == {old}
    assert len(garbage(project, grace=DAY)) == 2
    assert garbage(project, grace=10 * DAY) == set()


def test_what_was_written_since_a_run_began_that_goes_on_stays(project_in: Opener) -> None:
    project = project_in("ours")
    before, _ = keep(project, b"before", age=30 * DAY), keep(project, b"since", age=10 * DAY)
    run = RunRecord(id="r", flow="study", state=RunState.running, started=time.time() - 20 * DAY,
                    heartbeat=time.time(), host=this_host(), pid=os.getpid())  # fmt: skip
    project.journal.add_run(run)
    assert garbage(project) == {before}
    project.journal.update_run("r", state=RunState.succeeded)
    assert len(garbage(project)) == 2


def test_arguments_of_interrupted_runs_stay(project_in: Opener) -> None:
    project = project_in("ours")
    argument, spare = keep(project, b"argument"), keep(project, b"spare")
    project.journal.add_run(
        RunRecord(id="r", flow="study", state=RunState.interrupted, payload=pickle.dumps({"cube": argument}))
    )
    assert garbage(project) == {spare}


def test_what_another_project_remembers_stays(project_in: Opener) -> None:
    ours, theirs = project_in("ours"), project_in("theirs")
    needed, spare = keep(ours, b"needed"), keep(ours, b"spare")
    remember(theirs, needed)
    assert garbage(ours) == garbage(theirs) == {spare}


def test_another_project_that_cannot_be_asked_forbids_it(project_in: Opener) -> None:
    ours, theirs = project_in("ours"), project_in("theirs")
    spare = keep(ours, b"spare")
    theirs.close()
    Path(theirs.journal.database.place).rename(Path(theirs.journal.database.place).with_suffix(".moved"))
    [other] = [owner for owner in owners(store_of(ours)) if "theirs" in owner.journal]
    with pytest.raises(UsageError, match=f"--gone {other.id}"):
        collect(ours)
    assert garbage(ours, gone=[other.id]) == {spare}
    assert len(owners(store_of(ours))) == 2
    assert collect(ours, gone=[other.id]).removed == 1
    assert garbage(ours) == set()


def test_a_journal_that_took_the_place_of_another_is_not_believed(project_in: Opener) -> None:
    ours, theirs = project_in("ours"), project_in("theirs")
    theirs.close()
    Path(theirs.journal.database.place).unlink()
    theirs.journal.identity()
    with pytest.raises(UsageError, match="cannot be read from here"):
        collect(ours)


def test_only_others_can_be_gone(project_in: Opener) -> None:
    project = project_in("ours")
    [own] = owners(store_of(project))
    for id in (own.id, "nonsense"):
        with pytest.raises(UsageError, match=id):
            collect(project, gone=[id])


def test_a_project_that_kept_nothing_here_removes_nothing(tmp_path: Path) -> None:
    project = open_project(settings_in(tmp_path))
    spare = keep(project, b"spare")
    with pytest.raises(UsageError, match="Run a flow first"):
        collect(project, grace=0.0)
    assert store_of(project).exists(spare)
    project.close()


def test_what_was_left_half_written_goes_too(project_in: Opener, tmp_path: Path) -> None:
    project = project_in("ours")
    keep(project, b"spare")
    left = tmp_path / "artifacts" / "incoming" / "half"
    left.write_bytes(bytes(10))
    os.utime(left, (1.0, 1.0))
    assert collect(project).freed == 15
    assert not left.exists()
