from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
import threading

import pytest

from daskflow.execution.interrupting import interruptible

PROGRAM = """
    import os, signal, sys
    from daskflow.execution.interrupting import interruptible

    def press():
        os.kill(os.getpid(), signal.SIGINT)

    try:
        with interruptible():
            try:
                press()
            except KeyboardInterrupt:
                print("stopping", flush=True)
                if "twice" in sys.argv:
                    press()
                raise
    except KeyboardInterrupt:
        print("stopped", signal.getsignal(signal.SIGINT) is signal.default_int_handler, flush=True)
"""


def run(directory: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    path = f"{directory}/program.py"
    with open(path, "w") as file:
        file.write(textwrap.dedent(PROGRAM))
    return subprocess.run([sys.executable, path, *arguments], capture_output=True, text=True, timeout=60, check=False)


def test_the_first_one_stops(tmp_path: object) -> None:
    ran = run(str(tmp_path))
    assert ran.stdout == "stopping\nstopped True\n"
    assert ran.returncode == 0


def test_another_one_ends_the_process_at_once(tmp_path: object) -> None:
    ran = run(str(tmp_path), "twice")
    assert ran.stdout == "stopping\n"
    assert ran.returncode == -signal.SIGINT


def test_elsewhere_nothing_is_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    found = []

    def look() -> None:
        with interruptible():
            found.append(signal.getsignal(signal.SIGINT))

    before = signal.getsignal(signal.SIGINT)
    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    monkeypatch.setattr(sys, "ps1", ">>> ", raising=False)
    look()
    monkeypatch.delattr(sys, "ps1")
    own = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        mine = signal.getsignal(signal.SIGINT)
        look()
    finally:
        signal.signal(signal.SIGINT, own)
    assert found == [before, before, mine]
