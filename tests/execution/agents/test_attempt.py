import base64
import errno
import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from daskflow.artifacts.forms.signing import _KEYS
from daskflow.artifacts.store import ObjectStore
from daskflow.artifacts.values import Values
from daskflow.execution.agents import attempt as attempts
from daskflow.execution.agents.attempt import Attempt
from daskflow.execution.agents.terms import Allowed
from daskflow.execution.bucketing.parcel import PERFORM, Parcel, seal
from daskflow.execution.served import reached
from daskflow.model.work import LOG_LIMIT, Work, WorkStatus
from daskflow.stores.buckets.line import Line
from daskflow.stores.buckets.remote import RemoteShelf
from tests.execution.agents import performed
from tests.execution.agents.conftest import make, terms
from tests.execution.patience import alive, until


def attempted(work: Work, function: object = None, **changes: object) -> Work:
    """The work after an attempt."""
    with Attempt(work, terms(**changes), function) as attempt:
        attempt.make()
    assert not attempt.scratch.exists()
    return work


def test_what_comes_out_is_written_into_the_work(there: Path) -> None:
    work = attempted(make("measure", parameters={"dm": 2.5}))
    assert work.status is WorkStatus.success
    assert (work.results, work.products, work.plots) == ({"dm": 2.5}, ["fit.h5"], ["fit.png"])
    assert work.error is None
    assert work.log is not None
    assert work.log.startswith("measuring\n")
    assert "WARNING measure: noisy" in work.log
    assert work.host == os.uname().nodename
    assert work.stop is not None


def test_what_is_performed_may_use_the_store_of_the_server_that_it_came_from() -> None:
    for shelf, url in ((RemoteShelf(Line("http://127.0.0.1:9", None)), "http://127.0.0.1:9"), (None, None)):
        with Attempt(make("server"), terms(), shelf=shelf) as attempt:
            attempt.make()
        assert attempt.work.results == url
    assert reached() is None, "it is known to the process of the attempt only"


def test_an_error_is_told_with_its_traceback_from_the_function_on() -> None:
    work = attempted(make("raising"))
    assert work.status is WorkStatus.failure
    assert not work.final
    assert work.error is not None
    assert work.error.startswith("ValueError: no peak was found\n")
    assert 'raise ValueError("no peak was found")' in work.error
    assert "agents/attempt.py" not in work.error


@pytest.mark.parametrize(
    ("name", "fields", "text"),
    [
        ("unspeakable", {}, "JSON cannot hold"),
        ("large", {}, "4 MiB"),
        ("add", {"parameters": {"z": 1}}, "do not fit add"),
        ("clicked", {"parameters": {"z": 1}}, "no parameter 'z'"),
    ],
)
def test_what_would_fail_again_is_final(name: str, fields: dict[str, object], text: str) -> None:
    work = attempted(make(name, **fields))
    assert (work.status, work.final) == (WorkStatus.failure, True)
    assert text in str(work.error)


def test_functions_and_commands_that_are_not_allowed_are_refused_and_left_to_others() -> None:
    for work in (make("add"), make(command=["true", "x"])):
        attempted(work, allowed=Allowed())
        assert (work.status, work.final, work.given_back) == (WorkStatus.failure, False, 1)
        assert "daskflow.yaml" in str(work.error)


def test_a_job_that_another_key_has_signed_is_refused_and_left_to_others(tmp_path: Path) -> None:
    stranger = Values(ObjectStore(tmp_path / "artifacts"), key=os.urandom(32))
    parcel = seal(Parcel("a-run", "job", "node", b"", (), b"", "", (), {}, (), 0, (), (), {}), stranger.signer)
    _KEYS.pop(stranger.signer.id)  # of another machine
    for _ in range(2):
        work = make(function=PERFORM, parameters={"parcel": base64.b64encode(parcel).decode()})
        attempted(work, allowed=Allowed((PERFORM,)))
        assert (work.status, work.final, work.given_back) == (WorkStatus.failure, False, 1)
        assert f"The signing key {stranger.signer.id} is not on this machine" in str(work.error)
        parcel = parcel[:-1] + bytes([parcel[-1] ^ 1])  # nobody can perform what was damaged, and nobody is to blame


def test_a_function_that_finds_a_wrong_signature_has_failed() -> None:
    work = attempted(make("wrongly_signed"))
    assert (work.status, work.given_back) == (WorkStatus.failure, 0)
    assert str(work.error).startswith("daskflow.errors.SignatureWrong: not ours")


def test_directories_of_killed_agents_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    killed = f"""
import os, sys
from daskflow.execution.agents.attempt import Attempt
from tests.execution.agents.conftest import make, terms
with Attempt(make("add"), terms()) as attempt:
    (attempt.scratch / "large").write_text("x")
    print(attempt.scratch.parent, flush=True)
    os.kill(os.getpid(), {int(signal.SIGKILL)})
"""
    made = subprocess.run(
        [sys.executable, "-c", killed], env={**os.environ, "TMPDIR": str(tmp_path)}, capture_output=True, check=False
    )
    assert made.returncode == -signal.SIGKILL, made.stderr
    left = Path(made.stdout.decode().strip())
    assert list(tmp_path.iterdir()) == [left]
    (tmp_path / "daskflow-work-of-somebody").mkdir()
    os.utime(left, (0, 0))
    with Attempt(make("add"), terms()) as going:
        os.utime(going.scratch.parent, (0, 0))
        assert not left.exists()
        monkeypatch.setattr(attempts, "_swept", set())
        attempted(make("add", parameters={"x": 1}))
        assert going.scratch.exists(), "somebody works in it"
    assert [each.name for each in tmp_path.iterdir()] == ["daskflow-work-of-somebody"]


def test_a_directory_that_cannot_be_made_is_no_fault_of_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "file"))
    with pytest.raises(NotADirectoryError):
        attempted(make("add"))


def test_a_line_for_the_shell_that_is_not_allowed_is_told_what_would_help() -> None:
    work = attempted(make(command=["echo hello"]), allowed=Allowed((), ("echo hello *", "sh")))
    assert "'echo hello'" in str(work.error)
    assert "a line for the shell, which needs `*` under `works: commands:`" in str(work.error)
    assert "--command echo --command hello" in str(work.error)


def test_a_work_that_names_nothing_fails_for_good() -> None:
    work = attempted(make())
    assert (work.final, "neither a function nor a command" in str(work.error)) == (True, True)


def test_an_import_that_fails_is_told() -> None:
    work = attempted(make(function="nowhere.fit"), allowed=Allowed(("nowhere.*",)))
    assert not work.final
    assert "There is no module 'nowhere'" in str(work.error)


@pytest.mark.parametrize(("name", "text"), [("exiting", "SystemExit"), ("crashing", "WorkerLost: .*SIGKILL")])
def test_an_end_without_a_result_fails_the_attempt(name: str, text: str) -> None:
    work = attempted(make(name))
    assert (work.status, work.final) == (WorkStatus.failure, False)
    assert re.match(text, str(work.error))


def test_functions_and_commands_are_killed_after_their_timeout(tmp_path: Path) -> None:
    function, command = make("endless", timeout=1), make(command=[f"echo $$ > {tmp_path}/pid; sleep 600"], timeout=3)
    for work in (function, command):
        attempted(work)
        assert work.error == f"The work took longer than its timeout of {work.timeout} s, and was killed."
        assert not work.final
    assert not alive(int((tmp_path / "pid").read_text()))


def test_what_an_attempt_has_started_ends_with_it(tmp_path: Path) -> None:
    attempted(make("fathering", parameters={"started": str(tmp_path / "pid")}, timeout=4))
    until(lambda: not alive(int((tmp_path / "pid").read_text())))


def test_a_given_function_or_command_wins_over_that_of_the_work() -> None:
    assert attempted(make("raising", parameters={"x": 1}), performed.add, allowed=Allowed()).results == 2
    work = attempted(make("raising"), command=("echo given",), allowed=Allowed())
    assert work.results["stdout"] == ["given"]


def test_the_attempt_knows_its_work_and_its_directory() -> None:
    work = make(command=['echo "$DASKFLOW_JOB $DASKFLOW_ATTEMPT"; ls "$DASKFLOW_SCRATCH_DIR"'])
    work.id, work.attempt = "ab12", 2
    assert attempted(work).results["stdout"] == ["ab12 2", "log.txt"]


def test_the_end_of_a_long_log_is_kept() -> None:
    work = attempted(make("talking", parameters={"count": 20000}))
    assert work.log is not None
    assert work.log.startswith("...")
    assert work.log.endswith("line 00019999\n")
    assert len(work.log) <= LOG_LIMIT + 3


def test_the_log_of_a_command_is_what_it_printed() -> None:
    assert attempted(make(command=["echo a; echo b >&2"])).log in ("a\nb\n", "b\na\n")


def test_a_function_that_gets_the_work_may_change_its_tags() -> None:
    work = attempted(make("with_work", event=[7], tags=["a"]), argsource="work")
    assert (work.results, work.tags, work.status) == ({"event": [7]}, ["a", "seen"], WorkStatus.success)


@pytest.mark.parametrize("number", [errno.EAGAIN, errno.ENOMEM])
def test_a_machine_without_processes_or_memory_is_no_fault_of_the_work(
    number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fork() -> int:
        raise OSError(number, os.strerror(number))

    work = make("add", parameters={"x": 1})
    work.placed(status=WorkStatus.running)
    monkeypatch.setattr(os, "fork", fork)
    with pytest.raises(OSError, match=os.strerror(number)):
        attempted(work)
    assert (work.status, work.error) == (WorkStatus.running, None)
