from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

import daskflow
from daskflow.compat.prominence.building import Terms, build, variables
from daskflow.compat.prominence.documents import JobDocument, PlacementDocument
from daskflow.errors import CommandFailed, JobFailed, MountMissing
from daskflow.settings.front import launcher
from tests.services.images import make_rootfs
from tests.services.programs import needs


def document(*commands: str, **changes: Any) -> JobDocument:
    return JobDocument.model_validate({"tasks": [{"cmd": command} for command in commands], **changes})


ALONE = Terms("a")


def stdout(given: JobDocument, terms: Terms = ALONE) -> str:
    return build(given, terms).stdout()


def test_no_shell_sees_the_commands(here: Path) -> None:
    assert stdout(document("echo 'a b' > $HOME; {x} # c", "/bin/sh -c 'echo $((1 + 2))'")) == (
        "a b > $HOME; {x} # c\n3\n"
    )


def test_tasks_share_one_directory_which_is_their_home(here: Path) -> None:
    said = stdout(document("/bin/sh -c 'echo one > a; pwd'", "/bin/sh -c 'cat a; echo $HOME; echo $TMP; echo $TEMP'"))
    first, one, *homes = said.split()
    assert one == "one"
    assert {os.path.realpath(home) for home in homes} == {os.path.realpath(first)}


def test_what_a_task_finds_in_its_environment(here: Path) -> None:
    given = document("env", "env", resources={"cpus": 2, "memory": 1.5}, parameters={"x": "a=b", "y": 2})
    given = given.model_copy(
        update={"tasks": (given.tasks[0], given.tasks[1].model_copy(update={"env": {"A": "b=c"}}))}
    )
    lines = stdout(given, Terms("j.1", "w")).splitlines()
    assert {
        "PROMINENCE_CPUS=2",
        "PROMINENCE_MEMORY=1.5",
        "PROMINENCE_NODES=1",
        "PROMINENCE_NODE_NUM=0",
        "PROMINENCE_TASK_NUM=0",
        "PROMINENCE_TASK_NUM=1",
        "PROMINENCE_JOB_ID=j.1",
        "PROMINENCE_WORKFLOW_ID=w",
        "PROMINENCE_PARAMETER_x=a=b",
        "PROMINENCE_PARAMETER_y=2",
        "A=b=c",
    } <= set(lines)
    assert "PROMINENCE_RERUN" not in variables(given, Terms("a"))
    assert variables(given, Terms("a", "w", round=1))["PROMINENCE_RERUN"] == "1"


def test_ids_stand_in_commands_and_in_working_directories(here: Path) -> None:
    given = document("echo $PROMINENCE_JOB_ID ${PROMINENCE_WORKFLOW_ID} $OTHER", "pwd")
    task = given.tasks[1].model_copy(update={"workdir": "$PROMINENCE_JOB_ID/sub"})
    said = stdout(given.model_copy(update={"tasks": (given.tasks[0], task)}), Terms("j", "w")).split()
    assert said[:3] == ["j", "w", "$OTHER"]
    assert said[3].endswith("/j/sub")


def test_ranks_are_started_on_each_node(here: Path) -> None:
    task = {"cmd": "sh -c 'echo rank'", "type": "openmpi"}
    assert stdout(document(tasks=[task], resources={"cpus": 3})) == "rank\n" * 3
    one = {**task, "procsPerNode": 2}
    assert stdout(document(tasks=[one], resources={"cpus": 3})) == "rank\n" * 2


@pytest.mark.parametrize(
    ("kind", "spread"), [("openmpi", "--map-by ppr:2:node"), ("mpich", "-ppn 2"), ("intelmpi", "-ppn 2")]
)
def test_several_nodes_have_equally_many_ranks(here: Path, kind: str, spread: str) -> None:
    tasks = [{"cmd": "code in", "type": kind, "procsPerNode": 2}]
    made = build(document(tasks=tasks, resources={"cpus": 3, "nodes": 4}), ALONE)
    (command,) = made.commands
    assert " ".join(command.argv).endswith(f" mpirun -n 8 {spread} code in")


def test_a_sidecar_runs_beside_the_others(here: Path) -> None:
    tasks = [
        {"cmd": "/bin/sh -c 'echo up > up; sleep 1000'", "type": "sidecar"},
        {"cmd": "/bin/sh -c 'until [ -e up ]; do sleep 0.01; done; cat up'"},
    ]
    assert stdout(JobDocument.model_validate({"tasks": tasks})) == "up\n"


def test_files_come_in_and_go_out(here: Path) -> None:
    daskflow.Artifact("data/large.h5").upload(b"large ")
    archive = daskflow.CommandJob("mkdir -p d; echo packed > d/x; tar czf a.tgz d", output_files=["a.tgz"])
    daskflow.Artifact("data/a.tgz").upload(archive.files()["a.tgz"].path())
    given = document(
        "cat sub/small large.h5 d/x",
        "/bin/sh -c 'echo more >> large.h5; for i in 1 2; do echo $i > out.$i; done'",
        inputs=[{"filename": "sub/small", "content": "c21hbGwg"}],
        artifacts=[{"url": "data/large.h5"}, {"url": "data/a.tgz"}],
        outputFiles=["out.*", "large.h5"],
        outputDirs=["d"],
    )
    job = build(given, Terms("a"))
    assert job.stdout() == "small large packed\n"
    assert sorted(job.files()) == ["d", "large.h5", "out.1", "out.2"], "one pattern may match several"
    assert job.get_output_file("large.h5") == b"large more\n", "it has a copy of its own"
    assert daskflow.Artifact("data/large.h5").path().read_bytes() == b"large "


def test_policies(here: Path) -> None:
    again = document("/bin/sh -c 'test -e a || { touch a; false; }'", policies={"maximumTaskRetries": 1})
    assert build(again, Terms("a")).exit_codes == (0,)
    tried = document(f"/bin/sh -c 'echo >> {here}/tries; false'", policies={"maximumRetries": 1})
    with pytest.raises(JobFailed) as failed:
        build(tried, Terms("a", retries=2)).result()
    assert isinstance(failed.value.__cause__, CommandFailed)
    assert (here / "tries").read_text() == "\n" * 3, "the larger of both"
    on = document("false", "echo on", policies={"ignoreTaskFailures": True})
    assert build(on, Terms("b")).exit_codes == (1, 0)


def test_each_job_is_performed_though_an_equal_one_was(here: Path) -> None:
    given = document(f"/bin/sh -c 'echo >> {here}/tries'")
    for id in ("a", "b"):
        build(given, Terms(id)).result()
    assert (here / "tries").read_text() == "\n\n"


def test_what_a_job_needs(here: Path) -> None:
    (here / "daskflow.yaml").write_text("sites:\n  cedar: {kind: threads}\n")
    launcher.close()
    given = document("true", resources={"cpusRange": [2, 4], "memoryPerCpu": 2, "walltime": 3})
    placed = PlacementDocument.model_validate({"requirements": {"sites": ["cedar"]}})
    made = build(given, Terms("a", placement=placed)).as_job()
    policy = made.task.policy
    assert (policy.resources.cores, policy.resources.memory, policy.resources.walltime) == (2, 4 << 30, 180)
    assert (policy.timeout, made.site, policy.cache) == (180, "cedar", "run")
    assert build(document("true"), Terms("a")).as_job().task.policy.timeout == 12 * 3600


@needs("ch-run")
def test_each_task_has_its_own_image_or_none(here: Path) -> None:
    images = [make_rootfs(here / name) for name in ("one", "two")]
    for image in images:
        (image / "etc/image").write_text(f"{image.name}\n")
    line = "/bin/sh -c 'cat /etc/image || echo none; echo $PROMINENCE_CONTAINER_RUNTIME >> runtimes'"
    tasks = [
        {"cmd": line, "image": "./one", "runtime": "singularity"},
        {"cmd": line},
        {"cmd": line, "image": str(images[1]), "runtime": "udocker"},
        {"cmd": "cat runtimes", "image": str(images[0])},
    ]
    assert stdout(JobDocument.model_validate({"tasks": tasks})) == "one\nnone\ntwo\nsingularity\n\nudocker\n"


@needs("ch-run")
def test_what_an_artifact_brings_is_shown_where_it_is_to_be(here: Path) -> None:
    archive = daskflow.CommandJob("mkdir -p d; echo packed > d/x; tar czf a.tgz d", output_files=["a.tgz"])
    daskflow.Artifact("a.tgz").upload(archive.files()["a.tgz"].path())
    daskflow.Artifact("sub/one.conf").upload(b"one file\n")
    make_rootfs(here / "image")
    tasks = [
        {"cmd": "/bin/sh -c 'cat /data/deep/x /conf/one.conf; echo more > /data/deep/y'", "image": "./image"},
        {"cmd": "/bin/sh -c 'cat d/y /data/deep/y'", "image": "./image"},
    ]
    artifacts = [
        {"url": "a.tgz", "mountpoint": "d:/data/deep"},
        {"url": "sub/one.conf", "mountpoint": "one.conf:/conf/one.conf"},
    ]
    given = {"tasks": tasks, "artifacts": artifacts, "outputFiles": ["d/y"]}
    job = build(JobDocument.model_validate(given), ALONE)
    assert job.stdout() == "packed\none file\nmore\nmore\n"
    assert job.get_output_file("d/y") == b"more\n"
    assert daskflow.Artifact("sub/one.conf").path().read_bytes() == b"one file\n"


@needs("ch-run")
def test_what_an_artifact_does_not_bring_cannot_be_shown(here: Path) -> None:
    daskflow.Artifact("large.h5").upload(b"large")
    make_rootfs(here / "image")
    tasks = [{"cmd": "true", "image": "./image"}]
    given = {"tasks": tasks, "artifacts": [{"url": "large.h5", "mountpoint": "d:/data"}]}
    with pytest.raises(JobFailed, match=r"'d' cannot be mounted.*It holds 'large.h5'") as failed:
        build(JobDocument.model_validate(given), ALONE).result()
    assert isinstance(failed.value.__cause__, MountMissing)
