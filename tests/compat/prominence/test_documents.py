from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

from daskflow.compat.prominence.documents import JobDocument, parse
from daskflow.compat.prominence.errors import JobCreationError

TASK = {"cmd": "date"}


def job(**changes: Any) -> JobDocument:
    return parse(JobDocument, {"tasks": [TASK], **changes}, JobCreationError)


def test_defaults() -> None:
    made = job()
    assert (made.resources.cores, made.resources.gigabytes, made.resources.nodes) == (1, 1, 1)
    assert (made.policies.maximum_retries, made.policies.maximum_time_in_queue) == (0, -1)
    assert made.tasks[0].image is None


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"tasks": []}, "tasks: a job needs at least one task"),
        ({"tasks": [{"cmd": " "}]}, r"fit: tasks\.0: the task needs a command: [^;]*\.$"),
        (
            {"tasks": [{"cmd": "echo 'unclosed"}]},
            r"fit: tasks\.0\.cmd: .*unclosed.* cannot be read .*No closing quotation",
        ),
        ({"tasks": [{"image": "centos:7"}]}, r"fit: tasks\.0: the task needs a command: [^;]*\.$"),
        ({"tasks": [{"cmd": ["date"]}]}, r"tasks\.0\.cmd"),
        ({"tasks": [{**TASK, "type": "sidecar"}]}, "sidecars"),
        ({"tasks": [{**TASK, "app": "x"}]}, "app: is not known here: give the command"),
        ({"tasks": [{**TASK, "imagePullCredential": {}}]}, "imagePullCredential: is not known here: log in"),
        ({"tasks": [{**TASK, "imageSha256": "0"}]}, "imageSha256: is not known here: .*name@sha256"),
        ({"tasks": [{**TASK, "other": "0"}]}, r"other: is not known here\."),
        ({"tasks": [{**TASK, "image": "https://example.org/x.tar"}]}, "x.tar lies on the web. Download it"),
        ({"inputs": [{"filename": "a", "content": "file:///no-such.in"}]}, "/no-such.in cannot be read"),
        ({"inputs": [{"filename": "a", "content": "file://~no-such-user/x"}]}, "~no-such-user/x cannot be read: "),
        ({"tasks": [{"cmd": "/usr/bin/mpirun -n 4 lmp", "type": "openmpi"}]}, "leave that out"),
        ({"tasks": [{**TASK, "procsPerNode": 2}]}, "2 processes per node"),
        (
            {"tasks": [{**TASK, "type": "mpich", "image": "a.sif"}], "resources": {"nodes": 2}},
            "on 2 nodes has an image: .* apptainer exec a.sif date",
        ),
        ({"name": "x!"}, "name"),
        ({"name": "x" * 513}, "name"),
        ({"labels": {"a b": "c"}}, "no label"),
        ({"labels": {"a": "c d"}}, "no label"),
        ({"inputs": [{"filename": "a", "content": "no base64!"}]}, "base64"),
        ({"artifacts": [{"url": "a", "mountpoint": "x:/y"}]}, "no task has an image"),
        ({"tasks": [{**TASK, "image": "a"}], "artifacts": [{"url": "a", "mountpoint": "x:/y"}] * 2}, "one mount point"),
        *[
            ({"tasks": [{**TASK, "image": "a"}], "artifacts": [{"url": "a", "mountpoint": mount}]}, "no mount point")
            for mount in ("", "x", "x:", ":/y", "x:y", "x:/", "/x:/y", "../x:/y", "x:/y/../..", "x:/y:/z")
        ],
        ({"resources": {"cpus": 1, "cpusRange": [1, 2]}}, "cpus and cpusRange say the same"),
        ({"resources": {"cpusRange": [4, 2]}}, "no range"),
        ({"resources": {"memory": 1, "memoryPerCpu": 1}}, "say the same"),
        ({"resources": {"nodes": 0}}, "nodes"),
        ({"policies": {"ignoreTaskTailures": True}}, "ignoreTaskTailures"),
        ({"policies": {"runSerialTasksOnAllNodes": True}}, "runSerialTasksOnAllNodes"),
        ({"policies": {"maximumTimeInQueue": -3}}, "maximumTimeInQueue"),
        ({"name": 5}, r"name: it must be a text\."),
        ({"tasks": 5}, r"tasks: it must be a list\."),
        ({"storage": {}}, "storage: is not known here: let `binds` of the site"),
        ({"notifications": [{"event": "never"}]}, "event"),
    ],
)
def test_what_does_not_fit_is_named(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(JobCreationError, match=told):
        job(**changes)


def test_memory_may_be_a_fraction_and_waiting_for_ever() -> None:
    made = job(resources={"memory": 0.5}, policies={"maximumTimeInQueue": -1, "ignoreTaskFailures": True})
    assert made.resources.gigabytes == 0.5
    assert made.policies.ignore_task_failures


@pytest.mark.parametrize(
    ("given", "cores"),
    [
        ({"cpus": 4}, 4),
        ({"cpusRange": [2, 8]}, 2),
        ({"cpusOptions": [4, 8]}, 4),
        ({"totalCpusRange": [5, 16], "nodes": 2}, 3),
    ],
)
def test_of_several_numbers_the_smallest_is_taken(given: dict[str, Any], cores: int) -> None:
    made = job(resources={**given, "memoryPerCpu": 2}).resources
    assert (made.cores, made.gigabytes) == (cores, 2 * cores)


def test_placement() -> None:
    def site(**placement: Any) -> str | None:
        return job(policies={"placement": placement}).policies.placement.site

    assert site() is None
    assert site(requirements={"sites": ["a", "b"]}, preferences={"sites": ["c", "b"]}) == "b"
    assert site(preferences={"sites": ["c"]}) == "c"


def test_content_is_any_bytes_also_none() -> None:
    content = base64.b64encode(bytes(range(256))).decode()
    made = job(inputs=[{"filename": "a", "content": content}, {"filename": "b", "content": ""}])
    assert [file.data for file in made.inputs] == [bytes(range(256)), b""]


def test_it_comes_back_from_json() -> None:
    made = job(labels={"app": "a"}, resources={"cpus": 2}, outputFiles=["*.dat"])
    assert JobDocument.model_validate(made.model_dump(mode="json", by_alias=True)) == made


def test_descriptions_may_name_local_files(tmp_path: Path) -> None:
    (tmp_path / "small.in").write_bytes(b"\xff\n")
    found = job(inputs=[{"filename": "a", "content": f"file://{tmp_path}/small.in"}]).inputs[0]
    assert found.data == b"\xff\n"
    assert found.content == base64.b64encode(b"\xff\n").decode(), "what is kept of the job does not need the file"
