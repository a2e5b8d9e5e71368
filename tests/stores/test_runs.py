from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from daskflow.errors import NotFound
from daskflow.model.states import RunState
from daskflow.stores import Journal, this_host
from tests.stores.samples import RUN, run_record


def test_a_run_comes_back_as_it_was(journal: Journal) -> None:
    record = run_record(
        arguments={"n": 10, "names": ["a", "b"]},
        payload=b"\x00\x01",
        target="flow.py:study",
        state=RunState.failed,
        started=2.0,
        stopped=3.5,
        heartbeat=3.0,
        host="node1",
        pid=7,
        error="it failed",
    )
    journal.add_run(record)
    assert journal.run(RUN) == record


def test_arguments_that_json_does_not_know_are_shown(journal: Journal) -> None:
    journal.add_run(run_record(arguments={"path": Path("/data")}))
    assert journal.run(RUN).arguments == {"path": "/data"}


def test_updating_changes_only_what_is_named(journal: Journal) -> None:
    journal.add_run(run_record(stopped=5.0, payload=b"p", arguments={"n": 1}))
    updated = journal.update_run(RUN, state=RunState.running, stopped=None)
    assert updated == journal.run(RUN)
    assert updated == run_record(payload=b"p", arguments={"n": 1}, state=RunState.running)


def test_updates_at_the_same_time_are_all_kept(journal: Journal) -> None:
    journal.add_run(run_record())
    fields: dict[str, Any] = {
        "site": "cedar",
        "error": "none",
        "started": 2.0,
        "stopped": 3.0,
        "target": "t",
        "pid": 9,
    }
    threads = [
        threading.Thread(target=journal.update_run, args=(RUN,), kwargs={name: value}) for name, value in fields.items()
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert journal.run(RUN) == run_record(**fields)


def test_updating_refuses_what_is_not_there(journal: Journal) -> None:
    with pytest.raises(NotFound, match="nonsense"):
        journal.update_run("nonsense", state=RunState.failed)
    journal.add_run(run_record())
    with pytest.raises(ValidationError):
        journal.update_run(RUN, nonsense=1)


def test_the_heartbeat(journal: Journal) -> None:
    journal.add_run(run_record())
    journal.heartbeat(RUN, 17.5)
    assert journal.run(RUN).heartbeat == 17.5


@pytest.fixture
def several(journal: Journal) -> Journal:
    for id, flow, created in [
        ("20260314-101502-study-7f3a", "study", 1.0),
        ("20260314-101502-STUDY-7F3B", "study", 2.0),
        ("20260315-101502-melt_x-0abc", "melt", 3.0),
        ("20260316-101502-melt-x-0def", "melt", 4.0),
    ]:
        journal.add_run(run_record(id, flow=flow, created=created))
    return journal


@pytest.mark.parametrize(
    ("ident", "created"),
    [
        ("20260314-101502-study-7f3a", 1.0),
        ("20260315", 3.0),
        ("7f3a", 1.0),
        ("7F3B", 2.0),
        ("melt_x-0abc", 3.0),
        ("last", 4.0),
    ],
)
def test_finding_a_run(several: Journal, ident: str, created: float) -> None:
    assert several.run(ident).created == created


@pytest.mark.parametrize("ident", ["nothing", "", "%", "_", "melt", "Last", "0ABC"])
def test_not_finding_a_run_names_it(several: Journal, ident: str) -> None:
    with pytest.raises(NotFound, match=f"No run {ident!r}"):
        several.run(ident)


def test_what_fits_several_runs_lists_them(several: Journal) -> None:
    with pytest.raises(NotFound, match=r"2 runs: .*7F3B, .*7f3a"):
        several.run("20260314")


def test_last_of_an_empty_store(journal: Journal) -> None:
    with pytest.raises(NotFound, match="No run is recorded"):
        journal.run("last")


def test_runs_are_listed_newest_first(several: Journal) -> None:
    assert [record.created for record in several.runs()] == [4.0, 3.0, 2.0, 1.0]
    assert [record.created for record in several.runs(limit=2)] == [4.0, 3.0]
    assert [record.created for record in several.runs(flow="study")] == [2.0, 1.0]


def test_a_run_without_driver_shows_as_interrupted(journal: Journal) -> None:
    journal.add_run(run_record(state=RunState.running, host="elsewhere", pid=1, heartbeat=1.0))
    assert journal.run(RUN).state is RunState.interrupted
    assert journal.runs()[0].state is RunState.interrupted
    # What is stored is what the driver said.
    updated = journal.update_run(RUN, host=this_host(), pid=os.getpid(), started=time.time())
    assert updated.state is RunState.running
    assert journal.run(RUN).state is RunState.running
