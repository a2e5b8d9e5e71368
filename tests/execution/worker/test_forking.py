from __future__ import annotations

import importlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

from daskflow.execution.worker.forking import fork
from tests.execution.patience import until


def exit_code(child: Callable[[], object]) -> int:
    """What a forked child ends with that leaves with code 7 after a call; killed if it takes too long."""

    def serve() -> NoReturn:
        try:
            child()
            os._exit(7)
        finally:
            os._exit(1)

    ends = []
    pid = fork(serve)

    def reaped() -> bool:
        found, status = os.waitpid(pid, os.WNOHANG)
        ends.append(status)
        return found == pid

    try:
        until(reaped, 10)
    except AssertionError:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        raise
    return os.waitstatus_to_exitcode(ends[-1])


def test_a_child_has_a_group_of_its_own_and_can_be_stopped() -> None:
    assert exit_code(lambda: os.getpgrp() == os.getpid() or os._exit(1)) == 7
    assert exit_code(lambda: os.kill(os.getpid(), signal.SIGTERM)) == -signal.SIGTERM


def test_modules_that_another_thread_is_importing_are_there_in_the_child(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "slowly.py").write_text(
        "import pathlib, threading\n"
        f"here = pathlib.Path({str(tmp_path)!r})\n"
        "(here / 'begun').touch()\n"
        "while not (here / 'gate').exists():\n"
        "    threading.Event().wait(0.01)\n"
        "value = 1\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(time, "sleep", lambda _: (tmp_path / "gate").touch())
    importing = threading.Thread(target=importlib.import_module, args=("slowly",))
    importing.start()
    until((tmp_path / "begun").exists)
    try:
        assert exit_code(lambda: importlib.import_module("slowly").value == 1 or os._exit(1)) == 7
    finally:
        (tmp_path / "gate").touch()
        importing.join(30)
        sys.modules.pop("slowly", None)


def test_imports_that_failed_or_wait_for_this_thread_hold_up_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "failing.py").write_text("raise ImportError('not here')\n")
    (tmp_path / "forks.py").write_text(
        "from tests.execution.worker.test_forking import exit_code\ncode = exit_code(lambda: None)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    errors = []
    try:
        importlib.import_module("failing")
    except ImportError as error:
        errors.append(error)
    start = time.monotonic()
    assert importlib.import_module("forks").code == 7
    assert time.monotonic() - start < 10
    assert errors
