from __future__ import annotations

import math
import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from daskflow.errors import NotFound, RunBusy
from daskflow.model.states import JobState, RunState
from daskflow.stores import Journal, this_host
from daskflow.stores.runs import Runs
from tests.stores.samples import RUN, job_row, run_record


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
        parent="20260314-101501-campaign-1c2d",
        ordinal=3,
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


def test_a_driver_whose_run_another_one_has_begun_says_and_ends_nothing(journal: Journal) -> None:
    before = run_record(state=RunState.interrupted, started=1.25, host="elsewhere", pid=7, heartbeat=2.0)
    journal.add_run(before)
    assert journal.driver(RUN) == before.driver == (1.25, "elsewhere", 7)
    journal.heartbeat(RUN, 3.0, before.driver)
    assert journal.run(RUN).heartbeat == 3.0
    after = journal.claim_run(RUN, time=1000.0, host="mars", pid=8, seen=before)
    journal.heartbeat(RUN, 1001.0, before.driver)
    assert not journal.end_run(RUN, before.driver, state=RunState.failed, stopped=1002.0)
    (found,) = journal.trees([RUN])
    assert (found.heartbeat, found.stopped, found.host) == (1000.0, None, "mars")
    assert journal.end_run(RUN, after.driver, state=RunState.succeeded, stopped=1003.0)
    assert (journal.run(RUN).state, journal.run(RUN).stopped) == (RunState.succeeded, 1003.0)
    assert journal.driver("nobody") is None
    with pytest.raises(NotFound):
        journal.end_run("nobody", after.driver, state=RunState.succeeded)


def test_jobs_without_an_end_that_were_not_called_again_end_with_their_run(journal: Journal) -> None:
    journal.add_run(run_record(state=RunState.interrupted))
    journal.add_run(run_record("another"))
    states = ["succeeded", "queued", "running", "waiting", "created", "created", "failed"]
    journal.add_jobs([job_row(number, state=state) for number, state in enumerate(states)])
    journal.add_jobs([job_row(1, run="another", state="queued")])
    first = journal.claim_run(RUN, time=10.0, host="mars", pid=8)
    assert journal.end_run(RUN, first.driver, state=RunState.interrupted)
    assert [str(job.state) for job in journal.jobs(RUN)] == states, "they may still be performed"
    last = journal.claim_run(RUN, time=20.0, host="mars", pid=9)
    assert not journal.end_run(RUN, first.driver, called={5}, state=RunState.succeeded)
    assert [str(job.state) for job in journal.jobs(RUN)] == states, "it is another's run"
    assert journal.end_run(RUN, last.driver, called={5}, state=RunState.succeeded)
    found = journal.jobs(RUN)
    assert [str(job.state) for job in found] == ["succeeded", *["cancelled"] * 4, "created", "failed"]
    assert {job.reason for job in found if job.state is JobState.cancelled} == {
        "its run was resumed, and did not call it any more"
    }
    assert journal.job("another", 1).state is JobState.queued


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


@pytest.fixture
def family(journal: Journal) -> Journal:
    """A run `a` with the runs `b` and `c`, `c` with `d`; and one of nobody's."""
    for created, (id, parent, ordinal) in enumerate([("a", "", 0), ("z", "", 0), ("c", "a", 1), ("b", "a", 0)]):
        journal.add_run(run_record(id, parent=parent, ordinal=ordinal, created=float(created)))
    journal.add_run(run_record("d", parent="c", created=9.0, flow="melt"))
    return journal


def test_runs_form_a_tree(family: Journal) -> None:
    assert [record.id for record in family.children("a")] == ["b", "c"]
    assert family.children("d") == []
    assert [record.id for record in family.trees(["a", "nobody"])] == ["a", "c", "b", "d"]
    assert [record.id for record in family.trees(["c", "z"])] == ["z", "c", "d"]
    assert [family.root(id) for id in "adz"] == ["a", "a", "z"]
    with pytest.raises(NotFound, match="nobody"):
        family.root("nobody")


def test_only_the_top_of_each_tree(family: Journal) -> None:
    assert [record.id for record in family.runs(top=True)] == ["z", "a"]
    assert len(family.runs()) == 5
    assert family.run("last").id == "z"


def test_a_run_without_driver_shows_as_interrupted(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    # The server of the tests may have begun a moment ago.
    monkeypatch.setattr(Runs, "_uptime", lambda self: math.inf)
    journal.add_run(run_record(state=RunState.running, host="elsewhere", pid=1, heartbeat=1.0))
    assert journal.run(RUN).state is RunState.interrupted
    assert journal.runs()[0].state is RunState.interrupted
    # What is stored is what the driver said.
    updated = journal.update_run(RUN, host=this_host(), pid=os.getpid(), started=time.time())
    assert updated.state is RunState.running
    assert journal.run(RUN).state is RunState.running


def test_a_run_whose_driver_ended_is_claimed_by_one_of_many_at_once(journal: Journal) -> None:
    journal.add_run(run_record(state=RunState.interrupted))
    taken: list[str] = []

    def claim() -> None:
        try:
            journal.claim_run(RUN, time=time.time(), host=this_host(), pid=os.getpid())
            taken.append("taken")
        except RunBusy as error:
            taken.append(str(error))

    threads = [threading.Thread(target=claim) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    refused = [text for text in taken if text != "taken"]
    assert len(refused) == 4
    assert all(f"in process {os.getpid()}" in text and f"daskflow cancel {RUN}" in text for text in refused)


def test_a_process_claims_a_run_that_it_performs_no_more(journal: Journal) -> None:
    journal.add_run(run_record(state=RunState.running, host=this_host(), pid=os.getpid(), heartbeat=time.time()))
    with pytest.raises(RunBusy):
        journal.claim_run(RUN, time=time.time(), host=this_host(), pid=os.getpid())
    record = journal.claim_run(RUN, time=time.time(), host=this_host(), pid=os.getpid(), idle=True)
    assert record.state is RunState.running


def test_a_run_that_was_begun_again_since_it_was_looked_at_is_not_claimed(journal: Journal) -> None:
    journal.add_run(run_record(state=RunState.succeeded))
    seen = journal.run(RUN)
    first = journal.claim_run(RUN, time=1e10, host="node", pid=7, seen=seen)
    journal.update_run(RUN, state=RunState.succeeded, stopped=2e10)
    with pytest.raises(RunBusy, match=r"begun again meanwhile, by process 7 on node, and is succeeded"):
        journal.claim_run(RUN, time=3e10, host="node", pid=8, seen=seen)
    assert journal.run(RUN).pid == 7
    journal.claim_run(RUN, time=3e10, host="node", pid=8, seen=first)
    journal.update_run(RUN, state=RunState.succeeded)
    journal.claim_run(RUN, time=4e10, host="node", pid=9)


def test_a_driver_elsewhere_is_given_time_when_the_server_has_begun_again(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time()
    journal.add_run(run_record(state=RunState.running, host="elsewhere", pid=1, started=now - 5e8, heartbeat=now - 4e8))
    monkeypatch.setattr("daskflow.stores.liveness.SILENCE", 3e8)
    known = journal.database.kind == "postgresql"
    assert journal.run(RUN).state is (RunState.running if known else RunState.interrupted)
    assert journal.runs()[0].state is journal.run(RUN).state
    monkeypatch.setattr("daskflow.stores.liveness.SILENCE", 0.0)
    assert journal.run(RUN).state is RunState.interrupted


def test_runs_that_have_not_ended(journal: Journal) -> None:
    for number, state in enumerate(RunState):
        journal.add_run(run_record(f"run-{number}", state=state, created=float(-number)))
    journal.add_run(run_record("gone", state=RunState.running, host=this_host(), pid=2**22 + 1))
    found = {record.id: record.state for record in journal.unfinished()}
    assert list(found.values()) == [state for state in reversed(RunState) if not state.final] + [RunState.interrupted]
    assert found["gone"] is RunState.interrupted
