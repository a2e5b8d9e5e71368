from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import daskflow
from daskflow.compat.prominence.errors import ConnectionError, JobGetError, WorkflowGetError
from daskflow.compat.prominence.ledger import Entry, Kind, Output, is_id, new_id
from daskflow.errors import SignatureWrong
from daskflow.settings.front import launcher


def test_ids_are_all_different_and_are_ids() -> None:
    found = {new_id() for _ in range(100)}
    assert len(found) == 100
    assert all(map(is_id, found))
    assert not any(map(is_id, ["", "a/b", "..", "a.b", "x" * 81, None, 3]))


def test_parts_are_kept_replaced_and_removed(here: Path) -> None:
    entry = Entry("job", new_id())
    assert entry.read("state") is None
    assert not entry.has("deleted")
    entry.write("state", {"status": "idle"})
    entry.write("state", {"status": "running"})
    entry.write_bytes("stdout", b"\xff")
    entry.write("deleted", 1.0)
    again = Entry("job", entry.id)
    assert again.read("state") == {"status": "running"}
    assert again.read_bytes("stdout") == b"\xff"
    again.undelete()
    assert not entry.has("deleted")
    again.remove()
    assert entry.read("state") is None
    again.remove()


def test_jobs_and_workflows_of_one_id_are_apart(here: Path) -> None:
    Entry("job", "a").write("state", 1)
    assert Entry("workflow", "a").read("state") is None


def test_a_job_of_a_workflow_knows_its_own() -> None:
    child = Entry("job", "abc.12")
    assert child.workflow is not None
    assert (child.workflow.kind, child.workflow.id, child.number) == ("workflow", "abc", 12)
    assert Entry("job", "abc").workflow is None
    assert Entry("workflow", "abc").workflow is None


def test_a_store_that_cannot_be_written_is_told(here: Path) -> None:
    Path("artifacts").write_text("no directory")
    Path("daskflow.yaml").write_text("artifacts: artifacts\n")
    launcher.close()
    launcher.project()
    with pytest.raises(ConnectionError, match="Nothing can be kept of the job a"):
        Entry("job", "a").write("state", {})


def test_outputs_are_found_by_what_is_written_down(here: Path) -> None:
    stored = daskflow.Artifact("somewhere").upload(b"data")
    written = Output.of(stored)
    assert Output(*json.loads(json.dumps(written))).artifact("out.dat").path().read_bytes() == b"data"


def test_notes_come_and_go(here: Path) -> None:
    entry, other = Entry("job", "a"), Entry("job", "ab")
    other.note("asked", "t", {})
    assert entry.notes("asked") == []
    for token in ("u", "t"):
        entry.note("asked", token, {"path": token})
    entry.note("answered", "t", {"code": 0})
    assert sorted(entry.notes("asked")) == ["t", "u"]
    assert (entry.noted("asked", "u"), entry.noted("answered", "u")) == ({"path": "u"}, None)
    entry.drop("asked", "u")
    entry.drop("asked", "u")
    assert (entry.notes("asked"), entry.notes("answered")) == (["t"], ["t"])
    entry.remove()
    assert (entry.notes("asked"), entry.notes("answered"), other.notes("asked")) == ([], [], ["t"])


def test_what_others_ask_for_is_not_done(here: Path) -> None:
    entry = Entry("job", "a")
    asked: dict[str, Any] = {"document": {"name": "x", "resources": {"memory": 1.5}}, "createTime": 1.25}
    entry.write("request", asked)
    entry.note("asked", "t", {"argv": ["ls"]})
    assert entry.request() == asked
    assert {name: entry.read("request")[name] for name in asked} == asked, "anybody may read it"
    changed = {**entry.read("request"), "document": {"name": "y"}}
    entry.write_bytes("request", json.dumps(changed).encode())
    moved = daskflow.Artifact("prominence/asked/a/a/t").path().read_bytes()
    daskflow.Artifact("prominence/asked/a/a/other").upload(moved)
    for read in (entry.request, lambda: entry.noted("asked", "other")):
        with pytest.raises(SignatureWrong, match="could be anybody's commands"):
            read()


@pytest.mark.parametrize("kind", ["job", "workflow"])
def test_what_nobody_signed_and_what_is_gone_is_told_apart(here: Path, kind: Kind) -> None:
    entry = Entry(kind, "a")
    with pytest.raises(
        (JobGetError, WorkflowGetError), match=rf"no {kind} a any more: it was removed\. Create it again"
    ):
        entry.request()
    for older in ({"document": {}, "createTime": 1.0}, ["document"], 1, None):
        entry.write_bytes("request", json.dumps(older).encode())
        with pytest.raises(SignatureWrong, match=r"is not signed: an older version wrote it.* Create it again"):
            entry.request()
    entry.write_bytes("request", b"{")
    with pytest.raises(SignatureWrong, match="is not signed"):
        entry.request()


def test_one_look_sees_what_any_job_of_a_process_is_asked(here: Path) -> None:
    whole, first, other = Entry("workflow", "w"), Entry("job", "w.0"), Entry("job", "w1")
    first.note("asked", "t", {})
    Entry("job", "w.11").note("asked", "u", {})
    other.note("asked", "v", {})
    other.note("answered", "v", {})
    assert sorted(whole.asked()) == [("w.0", "t"), ("w.11", "u")]
    assert (first.notes("asked"), other.asked()) == (["t"], [("w1", "v")])
