from __future__ import annotations

import json
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from daskflow.artifacts.artifact import Artifact
from daskflow.artifacts.forms.signing import Signer
from daskflow.artifacts.names import Named
from daskflow.commands.processes import Launch
from daskflow.commands.scratch import Scratch
from daskflow.errors import CommandError, SignatureWrong
from daskflow.execution.commanding import attending
from daskflow.execution.commanding.asks import Asks
from daskflow.execution.commanding.attending import Attendant, ask
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
    job = lab.command([*before, last], site="threads", **{"attended": True, **options})
    lines = job.follow()
    until(lambda: next(lines) == "begun\n")
    yield job
    go.touch()
    list(lines)
    job.result(60)


def asks_args(lab: Lab, job: CommandJob) -> tuple[str, str, str, int]:
    made = job.as_job()
    host: Any = made.host
    return str(lab.project.logs / host.id), host.id, made.key, made.attempts + 1


def asks_of(lab: Lab, job: CommandJob) -> Asks:
    """Where the attempt at a job that runs now is asked."""
    return Asks(*asks_args(lab, job), lab.project.values.signer)


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
        # Nobody looks where the node has other logs.
        made.attempts += 1
        with pytest.raises(CommandError, match="do not share the directory of the store"):
            ask(made, {"path": ""}, notice=0.1)
        made.attempts -= 1
        folder = asks_of(lab, job).path
        folder.chmod(0o770)
        with pytest.raises(CommandError, match=r"nothing can be asked at .*: .* others may enter it"):
            ask(made, {"path": ""})


def test_only_who_said_so_is_attended(lab: Lab, tmp_path: Path) -> None:
    with running(lab, tmp_path, attended=False) as job:
        assert not asks_of(lab, job).path.exists()
        with pytest.raises(CommandError, match="attended=True"):
            ask(job.as_job(), {"path": ""})


def test_what_others_ask_for_is_not_done(lab: Lab, tmp_path: Path) -> None:
    """Who may write to the logs gets nothing run by it."""
    bad = tmp_path / "bad"
    request = {"argv": ["touch", str(bad)], "timeout": 60}
    with running(lab, tmp_path) as job:
        asks = asks_of(lab, job)
        assert stat.S_IMODE(asks.path.stat().st_mode) == 0o700
        stranger = Asks(*asks_args(lab, job), Signer.of(bytes(32)))
        (asks.path / "a.asked").write_text(json.dumps(request))
        stranger.write("b.asked", request)
        # What was signed, under another name or for another attempt.
        asks.write("kept", request)
        (asks.path / "kept").rename(asks.path / "c.asked")
        (tmp_path / "d").write_bytes((asks.path / "c.asked").read_bytes())
        (asks.path / "d.asked").symlink_to(tmp_path / "d")
        until(lambda: asks.names() >= {f"{token}.answered" for token in "abcd"})
        for token in "abc":
            assert "was not written with the signing key" in asks.read(f"{token}.answered")["error"]
        assert "symbolic link" in asks.read("d.answered")["error"]
        assert ask(job.as_job(), {"argv": ["true"], "timeout": 60})["code"] == 0
        for path in asks.path.iterdir():
            path.unlink()
    assert not bad.exists()
    assert not asks.path.exists()


def test_answers_of_others_are_refused(lab: Lab, tmp_path: Path) -> None:
    with running(lab, tmp_path) as job:
        made = job.as_job()
        made.attempts += 1  # where no node looks
        asks, stranger = asks_of(lab, job), Asks(*asks_args(lab, job), Signer.of(bytes(32)))
        assert asks.make()

        def forge() -> None:
            until(lambda: any(name.endswith(".asked") for name in asks.names()))
            (name,) = [name for name in asks.names() if name.endswith(".asked")]
            stranger.write(name.replace(".asked", ".answered"), {"code": 0, "stdout": "all is well", "stderr": ""})

        thread = threading.Thread(target=forge)
        thread.start()
        with pytest.raises(SignatureWrong, match="was not written with the signing key"):
            ask(made, {"argv": ["true"], "timeout": 60})
        thread.join()
        made.attempts -= 1


@contextmanager
def keeping(
    tmp_path: Path, keep: Callable[[Callable[[int], object]], Artifact]
) -> Iterator[tuple[Attendant, Asks, Scratch]]:
    """One that has begun to keep a file, with the folder where it was asked."""
    begun = threading.Event()

    def begin(_path: Path, _name: str, progress: Callable[[int], object]) -> Artifact:
        begun.set()
        return keep(progress)

    asks = Asks(str(tmp_path), "run", "key", 1, Signer.of(bytes(32)))
    asks.path.parent.mkdir()
    assert asks.make()
    attendant = Attendant(asks, lambda launch, _: launch, begin)
    with Scratch(tmp_path / "scratch") as scratch:
        scratch.write("x", b"data")
        attendant.wrap(Launch(["true"], scratch.work, {}, {}), scratch)
        asks.write("t.asked", {"path": "x"})
        attendant.look()
        assert begun.wait(60)
        yield attendant, asks, scratch


def test_the_end_of_a_job_waits_for_no_file_that_is_being_kept(tmp_path: Path) -> None:
    def keep_for_ever(progress: Callable[[int], object]) -> Artifact:
        while True:
            progress(1)

    with keeping(tmp_path, keep_for_ever) as (attendant, asks, scratch):
        closing = threading.Thread(target=attendant.close, daemon=True)
        closing.start()
        until(lambda: "t.answered" in asks.names())
        assert asks.read("t.answered") == {"error": "the job has ended meanwhile"}
        closing.join(60)
        assert not closing.is_alive()
        assert [path.name for path in scratch.path.glob("asked-*")] == [], "no copy is left"


def test_a_store_that_does_not_answer_holds_no_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attending, "_HANGING", 0.0)
    go = threading.Event()

    def hang(_: Callable[[int], object]) -> Artifact:
        assert go.wait(60)
        raise CommandError("late")

    with keeping(tmp_path, hang) as (attendant, asks, _):
        attendant.close()
        go.set()
        until(lambda: "t.answered" in asks.names())


@needs("ch-run")
def test_programs_run_in_a_container_like_that_of_the_command(lab: Lab, tmp_path: Path) -> None:
    image = make_rootfs(tmp_path / "image")
    loop = Command(["sh", "-c", "echo begun; until [ -e go ]; do sleep 0.01; done"], image=str(image))
    job = lab.command([Command("true"), loop], site="threads", attended=True)
    lines = job.follow()
    until(lambda: next(lines) == "begun\n")
    answer = ask(job.as_job(), {"argv": ["cat", "/etc/image"], "timeout": 60})
    assert answer["stdout"] == "a small image\n"
    ask(job.as_job(), {"argv": ["touch", "go"], "timeout": 60})
    assert list(lines) == []
    assert job.exit_codes == (0, 0)
