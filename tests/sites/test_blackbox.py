from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from daskflow.sites.blackbox import HOST, BlackBox, black_box, last_notes
from tests.execution.patience import until


def test_notes_and_silence(tmp_path: Path) -> None:
    directory = str(tmp_path / "boxes")
    box = BlackBox(directory)
    assert last_notes(directory, HOST, os.getpid()) == {}
    box = BlackBox(directory)
    box.note("a-long-node", "a-long-job")
    box.note("node", "job")
    assert last_notes(directory, HOST, os.getpid()) == {"node": "job"}
    assert last_notes(directory, HOST, os.getpid()) is None, "read once"
    box = BlackBox(directory)
    box.note("node", "job")
    box.clear()
    assert last_notes(directory, HOST, os.getpid()) == {}


def test_long_names_are_cut(tmp_path: Path) -> None:
    box = BlackBox(str(tmp_path))
    box.note("n" * 200, "j" * 1000)
    found = last_notes(str(tmp_path), HOST, os.getpid())
    assert found is not None
    assert list(found) == ["n" * 200]
    assert found["n" * 200].startswith("j" * 300)


def test_each_thread_has_a_box(tmp_path: Path) -> None:
    directory = str(tmp_path)
    gate = threading.Barrier(3)

    def work(name: str) -> None:
        box = black_box(directory)
        assert black_box(directory) is box
        box.note(f"node-{name}", f"job-{name}")
        gate.wait(30)
        gate.wait(30)

    threads = [threading.Thread(target=work, args=name) for name in "ab"]
    for thread in threads:
        thread.start()
    gate.wait(30)
    assert last_notes(directory, HOST, os.getpid()) == {"node-a": "job-a", "node-b": "job-b"}
    gate.wait(30)
    for thread in threads:
        thread.join(30)


def test_another_directory_is_another_box(tmp_path: Path) -> None:
    one, two = str(tmp_path / "one"), str(tmp_path / "two")
    assert black_box(one).directory == one
    assert black_box(two).directory == two


@pytest.mark.parametrize("place", ["", "a-file"])
def test_where_no_box_can_be_notes_go_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a-file").touch()
    box = BlackBox(place)
    box.note("node", "job")
    box.clear()
    assert [path.name for path in tmp_path.iterdir()] == ["a-file"]


def test_notes_of_others_stay(tmp_path: Path) -> None:
    (tmp_path / "here-1234-1.box").write_bytes(b"node\njob\n")
    (tmp_path / "here-123-1.box").write_bytes(b"other\njob\n")
    (tmp_path / "there-123-1.box").write_bytes(b"far\njob\n")
    assert last_notes(str(tmp_path), "here", 123) == {"other": "job"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["here-1234-1.box", "there-123-1.box"]


def test_a_box_that_is_damaged_tells_what_it_can(tmp_path: Path) -> None:
    (tmp_path / "here-5-1.box").write_bytes(b"\xff\xfe")
    (tmp_path / "here-5-2.box").write_bytes(b"")
    assert last_notes(str(tmp_path), "*", 5) == {"��": ""}


def test_notes_survive_a_kill(tmp_path: Path) -> None:
    code = (
        "import time\n"
        "from daskflow.sites.blackbox import black_box\n"
        f"box = black_box({str(tmp_path)!r})\n"
        "box.note('node', 'the culprit')\n"
        "print('noted', flush=True)\n"
        "time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        until(lambda: process.stdout is not None and process.stdout.readline() == "noted\n")
        process.send_signal(signal.SIGKILL)
    assert last_notes(str(tmp_path), HOST, process.pid) == {"node": "the culprit"}
