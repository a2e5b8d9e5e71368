from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import warnings
from pathlib import Path
from typing import Any

import pytest

from daskflow.execution.worker import capture
from daskflow.execution.worker.capture import CURRENT_LOG, Log, capturing, read_log
from daskflow.model.outcome import LogSlice
from tests.execution.patience import until


def text(directory: Path, log: Log) -> str:
    where = log.slice()
    assert where is not None
    return read_log(directory, *where)


def test_print_logging_warnings_and_stderr_go_to_the_log(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], recwarn: pytest.WarningsRecorder
) -> None:
    log = Log(str(tmp_path))
    with capturing(), warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = _shown  # pytest catches them otherwise
        token = CURRENT_LOG.set(log)
        print("printed", 1)
        print("to stderr", file=sys.stderr)
        sys.stdout.writelines(["line 1\n", "line 2\n"])
        logging.getLogger("fit").warning("odd %s", "value")
        warnings.warn("old", UserWarning, stacklevel=1)
        CURRENT_LOG.reset(token)
        print("not a job's")
    lines = text(tmp_path, log).splitlines()
    assert lines[:4] == ["printed 1", "to stderr", "line 1", "line 2"]
    assert lines[4].endswith("WARNING fit: odd value")
    assert lines[5] == "UserWarning: old"
    assert capsys.readouterr().out == "not a job's\n"


def test_the_last_lines(tmp_path: Path) -> None:
    log = Log(str(tmp_path))
    assert log.tail(3) == ""
    log.write("before\n")
    log = Log(str(tmp_path))
    log.write("one\ntwo\nthree\n")
    assert log.tail(2) == "two\nthree"
    assert log.tail(20) == "one\ntwo\nthree", "of this attempt only"
    log.write("x" * 100_000)
    assert len(log.tail(2)) < 2000


def _shown(message: Warning | str, category: type[Warning], *args: Any, **kwargs: Any) -> None:
    print(f"{category.__name__}: {message}", file=sys.stderr)


def test_jobs_of_one_thread_follow_each_other_in_one_file(tmp_path: Path) -> None:
    texts = []
    with capturing():
        for number in range(3):
            log = Log(str(tmp_path))
            token = CURRENT_LOG.set(log)
            print(f"job {number}, ü")
            CURRENT_LOG.reset(token)
            texts.append(text(tmp_path, log))
    assert texts == [f"job {number}, ü\n" for number in range(3)]
    assert len(list(tmp_path.iterdir())) == 1


def test_threads_that_print_at_once_get_their_own_logs(tmp_path: Path) -> None:
    logs = {name: Log(str(tmp_path)) for name in "ab"}
    gate = threading.Barrier(2)

    def work(name: str) -> None:
        with capturing():
            CURRENT_LOG.set(logs[name])
            for number in range(200):
                gate.wait(10)
                print(name, number)

    threads = [threading.Thread(target=work, args=name) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    for name, log in logs.items():
        assert text(tmp_path, log) == "".join(f"{name} {number}\n" for number in range(200))


def test_everything_is_put_back_after_the_last_user() -> None:
    before = sys.stdout, sys.stderr, list(logging.root.handlers)
    with capturing():
        stream = sys.stdout
        with capturing():
            assert sys.stdout is stream
        assert sys.stdout is stream
        assert sys.stdout.isatty() is before[0].isatty(), "else as the original"
    assert (sys.stdout, sys.stderr, logging.root.handlers) == before


def test_what_somebody_else_put_there_meanwhile_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    with open(os.devnull, "w") as other:
        monkeypatch.setattr(sys, "stdout", sys.stdout)
        with capturing():
            sys.stdout = other
        assert sys.stdout is other


def test_nothing_written_leaves_no_file(tmp_path: Path) -> None:
    log = Log(str(tmp_path / "logs"))
    with capturing():
        token = CURRENT_LOG.set(log)
        logging.getLogger("fit").debug("hidden")
        CURRENT_LOG.reset(token)
    assert log.slice() is None
    assert not (tmp_path / "logs").exists()


def test_without_a_directory_nothing_is_kept() -> None:
    log = Log("")
    log.write("text")
    log.share()
    log.catch_up()
    assert log.slice() is None


def test_a_shared_log_knows_what_another_process_wrote(tmp_path: Path) -> None:
    log = Log(str(tmp_path))
    log.share()
    assert log.slice() is None, "open, but nothing written"
    (file,) = tmp_path.iterdir()
    with open(file, "a") as stream:
        stream.write("from a child\n")
    log.catch_up()
    log.write("from here\n")
    assert text(tmp_path, log) == "from a child\nfrom here\n"
    assert log.slice() == LogSlice(file.name, 0, 23)


def test_text_that_is_no_unicode_is_kept(tmp_path: Path) -> None:
    log = Log(str(tmp_path))
    log.write("\udcff")
    assert text(tmp_path, log) == "\\udcff"


def test_a_log_whose_file_is_gone_is_empty(tmp_path: Path) -> None:
    assert read_log(tmp_path, "gone.log", 0, 10) == ""


def test_warnings_of_logging_outside_of_jobs_are_not_hushed(capsys: pytest.CaptureFixture[str]) -> None:
    code = (
        "import logging\n"
        "from daskflow.execution.worker.capture import capturing\n"
        "with capturing():\n    logging.getLogger('a').warning('seen'); logging.getLogger('a').info('not')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stderr == "seen\n"


def test_the_log_survives_a_kill(tmp_path: Path) -> None:
    code = (
        "import sys, time\n"
        "from daskflow.execution.worker.capture import CURRENT_LOG, Log, capturing\n"
        "with capturing():\n"
        f"    CURRENT_LOG.set(Log({str(tmp_path)!r}))\n"
        "    print('last words')\n"
        "    time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code]) as process:
        until(lambda: any(file.read_text().endswith("\n") for file in tmp_path.iterdir()))
        process.send_signal(signal.SIGKILL)
    (file,) = tmp_path.iterdir()
    assert str(process.pid) in file.name
    assert file.read_text() == "last words\n"


def test_each_begin_has_its_end() -> None:
    assert capture._users == 0
