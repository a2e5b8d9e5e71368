from __future__ import annotations

import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from daskflow.compat.prominence.errors import (
    DeletionError,
    ExecError,
    JobCreationError,
    JobGetError,
    SnapshotCreateError,
    StdStreamsError,
)
from daskflow.compat.prominence.files import Artifact, InputFile
from daskflow.compat.prominence.job import Job
from daskflow.compat.prominence.ledger import Entry
from daskflow.compat.prominence.policies import JobPolicies
from daskflow.compat.prominence.resources import Resources
from daskflow.compat.prominence.tasks import Task

Make = Callable[..., Job]
Perform = Callable[[Any], None]


def test_a_description_needs_no_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "daskflow.yaml").write_text("this is: [no configuration")
    job = Job()
    job.tasks.append(Task(command="date"))
    assert job.to_dict() == {
        "name": "",
        "tasks": [{"cmd": "date", "type": "basic"}],
        "resources": {"nodes": 1, "disk": 10, "cpus": 1, "memory": 1},
    }
    assert (job.id, job.status, job.done()) == (None, "", False)


def test_it_comes_back_from_its_description(job: Make) -> None:
    made = job("date", name="a", labels={"app": "x"}, output_files=["a"], output_directories=["b"])
    made.input_files = [InputFile("in", b"\0"), {"filename": "raw", "content": ""}]
    made.artifacts = [Artifact("c")]
    made.policies = JobPolicies(maximum_retries=1)
    made.resources = Resources(cpus=2, memory=3)
    assert Job.from_dict(made.to_dict()).to_dict() == made.to_dict()
    with pytest.raises(JobCreationError, match="tasks"):
        Job.from_dict({})


def test_lists_are_not_shared() -> None:
    first, second = Job(), Job()
    first.output_files.append("a")
    first.labels["a"] = "b"
    assert (second.output_files, second.labels) == ([], {})


def test_what_cannot_be_created_leaves_nothing(here: Path, job: Make) -> None:
    with pytest.raises(JobCreationError, match="tasks"):
        Job().create()
    made = job("true", artifacts=[Artifact("no-such.h5")])
    with pytest.raises(JobCreationError, match=r"no artifact 'no-such\.h5'.*Upload it"):
        made.create()
    assert made.id is None


def test_found_again_by_its_id(perform: Perform, job: Make) -> None:
    made = job("echo hello", name="first", labels={"app": "x"})
    perform(made)
    again = Job(id=made.id)
    assert again.to_dict() == made.to_dict() | {"resources": again.resources.to_dict()}
    assert (again.name, again.status, again.stdout()) == ("first", "completed", "hello\n")
    assert again.wait()
    with pytest.raises(JobCreationError, match="created before"):
        again.create()


@pytest.mark.parametrize("id", ["20260314-101502-00000000", "../../x", "", "a.b", "20260314-101502-00000000.1"])
def test_ids_of_nothing(here: Path, id: str) -> None:
    with pytest.raises(JobGetError, match="no job"):
        Job(id=id)


def test_output_files_are_text_bytes_or_saved(perform: Perform, job: Make, here: Path) -> None:
    made = job("/bin/sh -c 'echo text > a; printf \"\\377\" > b; mkdir -p d/e; echo x > d/e/f'")
    made.output_files, made.output_directories = ["?"], ["d"]
    perform(made)
    assert made.get_output_file("a") == "text\n"
    assert made.get_output_file("a", text=False) == b"text\n"
    assert made.get_output_file("b") == b"\xff", "binary files are not decoded"
    assert made.get_output_file("a", save_as="saved") == (here / "saved")
    assert (here / "saved").read_text() == "text\n"
    with pytest.raises(JobGetError, match="no output 'c'; it left 'a', 'b', 'd'"):
        made.get_output_file("c")
    assert made.get_output_directory("d", "copy") == here / "copy"
    assert (here / "copy/e/f").read_text() == "x\n"
    assert made.get_output_directory("d", "d.tgz") == Path("d.tgz")
    with tarfile.open("d.tgz") as tar:
        assert "d/e/f" in tar.getnames()
    assert isinstance(made.get_output_directory("d"), bytes)
    with pytest.raises(JobGetError, match="cannot be had"):
        made.get_output_file("d")


def test_input_files_come_back_as_they_were(perform: Perform, job: Make) -> None:
    made = job("true", input_files=[InputFile("a", "text"), InputFile("b", b"\xff")])
    perform(made)
    again = Job(made.id)
    assert (again.get_input_file("a"), again.get_input_file("b")) == ("text", b"\xff")
    assert again.get_input_file("a", text=False) == b"text"
    with pytest.raises(JobGetError, match="no input file 'c'"):
        again.get_input_file("c")


def test_what_there_is_not_says_what_to_do(perform: Perform, job: Make) -> None:
    made = job("true")
    with pytest.raises(JobGetError, match="not created yet"):
        made.wait()
    perform(made)
    with pytest.raises(StdStreamsError, match="node 1"):
        made.stdout(1)
    with pytest.raises(ExecError, match="is completed, and has to run"):
        made.execute("date")
    with pytest.raises(SnapshotCreateError, match="is completed, and has to run"):
        made.get_snapshot("a")


def test_removed(perform: Perform, job: Make) -> None:
    made = job("true")
    perform(made)
    assert not made.delete(), "it had ended"
    assert made.remove()
    with pytest.raises(JobGetError, match="no job"):
        Job(made.id)


def test_what_has_not_ended_is_not_removed(here: Path, job: Make) -> None:
    entry = Entry("job", "a")
    entry.write("request", {"document": job("true").to_dict(), "createTime": 1.0})
    entry.write("process", {"site": "local", "name": "prominence-job-a", "time": 1e11, "begun": 0})
    waiting = Job("a")
    assert (waiting.status, waiting.done(), waiting.wait(0.01)) == ("idle", False, False)
    with pytest.raises(DeletionError, match="idle"):
        waiting.remove()
    with pytest.raises(JobGetError, match="it is idle: wait"):
        waiting.get_output_file("a")


def test_ids_may_be_numbers(here: Path, job: Make) -> None:
    Entry("job", "12345").write("request", {"document": job("date", name="old").to_dict(), "createTime": 1.0})
    found = Job(id=12345)
    assert (found.id, found.name) == ("12345", "old")
