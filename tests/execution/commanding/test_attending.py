from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from daskflow.artifacts.artifact import Artifact
from daskflow.artifacts.names import Named
from daskflow.errors import CommandError
from daskflow.execution.commanding.attending import ask, asked_folder
from daskflow.execution.commanding.job import CommandJob
from daskflow.model.command import Command
from tests.conftest import Lab
from tests.execution.patience import alive, until
from tests.services.images import make_rootfs
from tests.services.programs import needs


@contextmanager
def running(lab: Lab, tmp_path: Path, *before: Any, **options: Any) -> Iterator[CommandJob]:
    """A job that has begun its last command, and ends after the block."""
    go = tmp_path / "go"
    last = f"echo begun; until [ -e {go} ]; do sleep 0.01; done"
    job = lab.command([*before, last], site="threads", **options)
    lines = job.follow()
    until(lambda: next(lines) == "begun\n")
    yield job
    go.touch()
    list(lines)
    job.result(60)


def test_programs_run_in_the_scratch_directory(lab: Lab, tmp_path: Path) -> None:
    with running(lab, tmp_path, "mkdir d; echo one > d/x", env={"OWN": "a b"}) as job:
        answer = ask(job.as_job(), {"argv": ["sh", "-c", "cat d/x; echo $OWN; echo oh >&2; exit 3"], "timeout": 60})
        assert answer == {"code": 3, "stdout": "one\na b\n", "stderr": "oh\n"}
    assert job.stdout() == "begun\n", "what was asked is no output of the job"


def test_files_are_kept_as_they_are_now(lab: Lab, tmp_path: Path) -> None:
    def kept(path: str) -> Path:
        answer = ask(job.as_job(), {"path": path})
        assert lab.project.values.store is not None
        named = Named("x", answer["digest"], answer["size"], kind=answer["kind"])
        return Artifact.of(named, lab.project.values.store).path()

    with running(lab, tmp_path, "mkdir d; echo one > d/x; ln -s x d/link", memory=None) as job:
        first = kept("d/x")
        ask(job.as_job(), {"argv": ["sh", "-c", "echo two >> d/x"], "timeout": 60})
        assert (first.read_text(), kept("d/x").read_text()) == ("one\n", "one\ntwo\n")
        assert sorted(path.name for path in kept("d").iterdir()) == ["link", "x"]
        assert [path.name for path in kept("").iterdir()] == ["d"]


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"path": "none"}, "there is no 'none'"),
        ({"path": "../.."}, "has to be relative"),
        ({"path": "/etc"}, "has to be relative"),
        ({"argv": ["no-such-program"], "timeout": 60}, "'no-such-program' cannot be started"),
        ({"argv": ["sleep", "1000"], "timeout": 0.1}, "took too long, and was killed"),
    ],
)
def test_what_cannot_be_done_is_told(lab: Lab, tmp_path: Path, request_: dict[str, Any], message: str) -> None:
    with running(lab, tmp_path) as job, pytest.raises(CommandError, match=message):
        ask(job.as_job(), request_)


def test_what_is_being_done_ends_with_the_job(lab: Lab, tmp_path: Path) -> None:
    errors = list[str]()
    pid = tmp_path / "pid"

    def wait_long() -> None:
        with pytest.raises(CommandError) as caught:
            ask(job.as_job(), {"argv": ["sh", "-c", f"echo $$ > {pid}; exec sleep 1000"], "timeout": 1000})
        errors.append(str(caught.value))

    with running(lab, tmp_path) as job:
        thread = threading.Thread(target=wait_long)
        thread.start()
        until(lambda: pid.exists() and pid.read_text())
    thread.join(60)
    assert errors[0] in ("the job has ended", "the job has ended meanwhile")
    assert not alive(int(pid.read_text()))
    with pytest.raises(CommandError, match="the job has ended"):
        ask(job.as_job(), {"path": ""})


def test_who_is_not_heard_is_told(lab: Lab, tmp_path: Path) -> None:
    with running(lab, tmp_path) as job:
        made = job.as_job()
        host: Any = made.host
        folder = asked_folder(str(lab.project.logs / host.id), made.key, 1)
        folder.write_text("no directory")
        with pytest.raises(CommandError, match="nothing can be asked at"):
            ask(made, {"path": ""})
        folder.unlink()
        # Nobody looks where the node has other logs.
        made.attempts += 1
        with pytest.raises(CommandError, match="do not share the directory of the store"):
            ask(made, {"path": ""}, notice=0.1)
        made.attempts -= 1


@needs("ch-run")
def test_programs_run_in_a_container_like_that_of_the_command(lab: Lab, tmp_path: Path) -> None:
    image = make_rootfs(tmp_path / "image")
    loop = Command(["sh", "-c", "echo begun; until [ -e go ]; do sleep 0.01; done"], image=str(image))
    job = lab.command([Command("true"), loop], site="threads")
    lines = job.follow()
    until(lambda: next(lines) == "begun\n")
    answer = ask(job.as_job(), {"argv": ["cat", "/etc/image"], "timeout": 60})
    assert answer["stdout"] == "a small image\n"
    ask(job.as_job(), {"argv": ["touch", "go"], "timeout": 60})
    assert list(lines) == []
    assert job.exit_codes == (0, 0)
