from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import daskflow
from daskflow.compat.prominence import ProminenceClient, starting
from daskflow.compat.prominence.errors import (
    ExecError,
    JobGetError,
    KeyValueError,
    NoSuchKey,
    ProminenceError,
    SnapshotCreateError,
    SnapshotGetError,
    StdStreamsError,
    UsageError,
)
from daskflow.compat.prominence.factories import Repeat
from daskflow.compat.prominence.job import Job
from daskflow.compat.prominence.ledger import Entry, Output
from daskflow.compat.prominence.workflow import Workflow
from daskflow.errors import ArtifactMissing, SiteUnknown

Make = Callable[..., Job]
Perform = Callable[[Any], None]


@pytest.fixture
def client(here: Path) -> ProminenceClient:
    return ProminenceClient(authenticated=True)


def test_descriptions(client: ProminenceClient, perform: Perform, job: Make) -> None:
    one = job("/bin/sh -c 'exit 2'", name="a", labels={"app": "x"})
    perform(one)
    assert one.id is not None
    assert client.describe_job(one.id, input_only=True) == Job(one.id).to_dict()
    found = client.describe_job(one.id)
    assert (found["id"], found["status"], found["statusReason"]) == (one.id, "failed", "Task 0 ended with exit code 2")
    assert set(found["events"]) == {"createTime", "startTime", "endTime"}
    assert found["execution"]["tasks"] == [{"exitCode": 2}]
    assert client.stderr_job(one.id) == ""


def test_jobs_of_workflows(client: ProminenceClient, perform: Perform, job: Make) -> None:
    made = Workflow()
    made.name, made.jobs = "wf", [job("echo $PROMINENCE_JOB_ID", name="a")]
    made.factories = [Repeat(None, ["a"], 2)]
    perform(made)
    assert made.id is not None
    assert client.stdout_workflow(made.id, 0, "a", 1) == f"{made.id}.1\n"
    assert client.stdout_workflow(made.id, 0, "a") == f"{made.id}.0\n"
    assert client.stderr_workflow(made.id, 0, "a") == ""
    with pytest.raises(JobGetError, match=r"has no job 'b'\. It has 'a'"):
        client.stdout_workflow(made.id, 0, "b")
    with pytest.raises(JobGetError, match="2 jobs"):
        client.stdout_workflow(made.id, 0, "a", 2)
    with pytest.raises(StdStreamsError, match="node 1"):
        client.stdout_workflow(made.id, 1, "a")
    with pytest.raises(StdStreamsError, match="The order is: workflow, node, job, instance"):
        client.stderr_workflow(made.id, "a", 0)  # type: ignore[arg-type]
    assert client.describe_workflow(made.id)["progress"]["done"] == 2
    assert client.describe_workflow(made.id, input_only=True)["name"] == "wf"
    assert [one["name"] for one in client.list_jobs("all", workflow_id=made.id)] == ["wf/a/0", "wf/a/1"]
    assert client.remove("workflow", made.id)


def _keep(job: Job, id: str, status: str, site: str = "local") -> None:
    entry = Entry("job", id)
    entry.write("request", {"document": job.to_dict(), "createTime": 1.0})
    entry.write("state", {"status": status})
    entry.write("process", {"site": site, "name": f"prominence-job-{id}", "time": 1e11, "begun": 0})
    starting.services(site).spawn("true", name=f"prominence-job-{id}")


def test_lists(client: ProminenceClient, job: Make) -> None:
    first, second = "20260101-000000-00000001", "20260101-000000-00000002"
    _keep(job("true", name="fit-1", labels={"app": "x"}), first, "completed")
    _keep(job("true", name="plot", labels={"app": "y"}), second, "failed")
    assert [one["id"] for one in client.list_jobs("all")] == [second, first]
    assert [one["id"] for one in client.list_jobs("all", num=1)] == [second]
    assert [one["name"] for one in client.list_jobs("completed")] == ["fit-1"]
    assert [one["name"] for one in client.list_jobs("all", constraint={"app": "y*"})] == ["plot"]
    assert [one["name"] for one in client.list_jobs("all", name_constraint="fit-*")] == ["fit-1"]
    with pytest.raises(
        ProminenceError, match=r"no status 'done'\. Ask for one of active, all, idle, running, completed,"
    ):
        client.list_jobs("done")
    assert client.list_jobs("all", constraint={"other": "y"}) == client.list_jobs() == client.list_workflows() == []
    assert client.list_jobs("all", detail=True)[0]["tasks"]
    starting.services("local").monitor(timeout=60)
    assert client.remove("job", first)
    assert [one["id"] for one in client.list_jobs("all")] == [second]


def test_what_is_listed_is_at_any_site(
    client: ProminenceClient, job: Make, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The batch system of `hpc` is not installed here, and nothing of it is asked for.
    hpc = {"kind": "slurm", "cores": 1, "memory": "1 GiB", "walltime": "1 h"}
    other = {"kind": "dask", "address": "tcp://127.0.0.1:9"}
    sites = {"laptop": {"kind": "threads"}, "hpc": hpc, "other": other}
    (here / "daskflow.yaml").write_text(json.dumps({"site": "threads", "sites": sites}))
    first, second = "20260101-000000-00000001", "20260101-000000-00000002"
    _keep(job("true"), first, "completed")
    _keep(job("true"), second, "completed", site="laptop")
    for site in ("laptop", "local"):
        monkeypatch.setenv(starting.SITE, site)
        assert [one["id"] for one in client.list_jobs("all")] == [second, first]
    monkeypatch.setenv(starting.SITE, "moon")
    with pytest.raises(SiteUnknown, match="moon"):
        client.list_jobs("all")
    for site in ("local", "laptop"):
        starting.services(site).monitor(timeout=60)


def test_objects(client: ProminenceClient, here: Path) -> None:
    (here / "a").write_text("x")
    client.upload(file="large", filename="a", checksum="of no use")
    client.upload("runs/b", "a")
    # What is kept of values and jobs is not theirs to look at.
    client.kv_set("key", "value")
    assert [(found["name"], found["size"]) for found in client.list_objects()] == [("large", 1), ("runs/b", 1)]
    assert [found["name"] for found in client.list_objects("runs/")] == ["runs/b"]
    assert client.list_objects("none") == []
    client.delete_object("large")
    with pytest.raises(ArtifactMissing):
        client.delete_object("large")


def test_values(client: ProminenceClient) -> None:
    client.kv_set("best/chisq", "1.5")
    client.kv_set("raw", b"\xff")
    assert (client.kv_get("best/chisq"), client.kv_get("raw")) == ("1.5", b"\xff")
    assert client.kv_list() == ["best/chisq", "raw"]
    assert client.kv_list("best/") == client.kv_list("b") == ["best/chisq"]
    client.kv_delete("raw")
    assert client.kv_list("raw") == []
    for call in (client.kv_get, client.kv_delete):
        with pytest.raises(NoSuchKey, match="raw"):
            call("raw")
    with pytest.raises(KeyValueError, match="no name"):
        client.kv_set("../x", "1")


def test_what_there_is_not(client: ProminenceClient) -> None:
    with pytest.raises(UsageError):
        client.get_usage("2026-01-01")
    with pytest.raises(ProminenceError, match="daskflow site ls"):
        client.resources()


def test_what_only_jobs_that_run_give(client: ProminenceClient, perform: Callable[[Job], None], job: Make) -> None:
    made = job("true")
    perform(made)
    id = str(made.id)
    with pytest.raises(ExecError, match="has to run"):
        client.execute_command(id, "date")
    with pytest.raises(SnapshotCreateError, match="has to run"):
        client.create_snapshot(id, "x")
    with pytest.raises(SnapshotGetError, match="Make one"):
        client.get_snapshot_url(id)
    kept = daskflow.Artifact("any").upload(b"data")
    Entry("job", id).write("snapshot", {"path": "x", "output": Output.of(kept)})
    with pytest.raises(SnapshotGetError, match="has no URL"):
        client.get_snapshot_url(id)
