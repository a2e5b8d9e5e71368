from __future__ import annotations

import mmap
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from daskflow.sites.processes import (
    BOOTTIME,
    ProcessTree,
    has_children,
    kill_descendants,
    own_memory,
)
from tests.execution.patience import alive, until

FAMILY = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN if sys.argv[2] == "stubborn" else signal.SIG_DFL)
def note():
    with open(sys.argv[1], "a") as file:
        file.write(f"{os.getpid()}\\n")
note()
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        note()
    else:
        note()
while True:
    time.sleep(1000)
"""


@pytest.fixture(params=["meek", "stubborn"])
def family(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[list[int]]:
    pids = tmp_path / "pids"
    with subprocess.Popen([sys.executable, "-c", FAMILY, str(pids), request.param]) as process:
        until(lambda: pids.exists() and len(pids.read_text().split()) == 3)
        yield [int(line) for line in pids.read_text().split()]
        process.kill()


def test_a_family_is_known_and_killed_with_all_its_sessions(family: list[int]) -> None:
    tree = ProcessTree(family[0])
    assert {process.pid for process in tree.look()} == set(family)
    assert tree.look()[0].pid == family[0]
    assert tree.kill(0.2)
    assert not any(map(alive, family))
    assert tree.look() == []


def test_orphans_are_known_once_they_were_seen(family: list[int]) -> None:
    tree = ProcessTree(family[0])
    tree.look()
    os.kill(family[0], 9)
    until(lambda: not alive(family[0]))
    assert {process.pid for process in tree.look()} == set(family[1:])
    assert tree.kill(0.0)
    assert not any(map(alive, family))


def test_a_process_that_is_gone_has_no_tree() -> None:
    process = subprocess.Popen(["true"])
    process.wait()
    tree = ProcessTree(process.pid)
    assert tree.look() == []
    assert tree.kill(1.0)
    assert tree.memory() == 0


def test_exit_codes_are_left_to_those_who_wait_for_them() -> None:
    process = subprocess.Popen(["sleep", "1000"])
    assert ProcessTree(process.pid).kill(5.0)
    assert process.wait() == -15


def test_memory_of_its_own() -> None:
    process = psutil.Process()
    before = own_memory(process)
    # What was freed before would be taken from what the process has already.
    with mmap.mmap(-1, 100 * 2**20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as data:
        for page in range(0, len(data), 4096):
            data[page] = 1
        assert own_memory(process) - before > 90 * 2**20
        assert ProcessTree(os.getpid()).memory() > 90 * 2**20
        assert ProcessTree(os.getpid()).memory(precise=True) > 90 * 2**20


def test_pages_of_files_are_nobodys_own(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(50 * 2**20))
    before = own_memory(psutil.Process())
    with open(tmp_path / "file", "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        assert sum(mapped[::4096]) == 0
        assert own_memory(psutil.Process()) - before < 10 * 2**20
        me = ProcessTree(os.getpid()).residents()[0]
        assert me.own - before < 10 * 2**20
        assert me.files > 50 * 2**20


POOL = """
import mmap, os, sys, time
if "below" in sys.argv and os.fork():
    time.sleep(1000)
if "shared" in sys.argv:
    data = mmap.mmap(-1, 100 * 2**20)
    data[:] = bytes(len(data))
else:
    data = bytearray(b"x") * (100 * 2**20)
for _ in range(3):
    ready, done = os.pipe()
    if os.fork() == 0:
        assert sum(data[::4096]) >= 0
        os.write(done, b"!")
        time.sleep(1000)
    os.read(ready, 1)
print("ready", flush=True)
time.sleep(1000)
"""


@pytest.mark.parametrize("kind", [[], ["below"], ["shared"], ["shared", "below"]])
def test_pages_that_processes_share_count_once_when_looked_at_precisely(kind: list[str]) -> None:
    with subprocess.Popen([sys.executable, "-c", POOL, *kind], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        tree = ProcessTree(process.pid)
        coarse, precise = tree.memory(), tree.memory(precise=True)
        tree.kill(0.0)
    assert coarse > 390 * 2**20
    assert 100 * 2**20 < precise < 200 * 2**20


def test_orphans_are_adopted() -> None:
    code = (
        "import os, time\n"
        "from daskflow.sites.processes import ProcessTree, adopt, has_children\n"
        "adopt()\n"
        "print(has_children())\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    if os.fork() == 0:\n"
        "        time.sleep(1000)\n"
        "    os._exit(0)\n"
        "os.wait()\n"
        "me, orphan = ProcessTree(os.getpid()).look()\n"
        "print(has_children(), orphan.ppid() == me.pid)\n"
        "orphan.kill()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\nTrue True\n"


def test_who_is_adopted_ends_with_the_parent() -> None:
    code = (
        "import os, time\n"
        "from daskflow.sites.processes import adopt\n"
        "pid = os.fork()\n"
        "if pid == 0:\n"
        "    adopt()\n"
        "    print(os.getpid(), flush=True)\n"
        "time.sleep(1000)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        assert alive(pid)
        process.kill()
    until(lambda: not alive(pid))


def test_only_what_was_started_since_is_killed() -> None:
    older = subprocess.Popen(["sleep", "1000"])
    born = time.clock_gettime(BOOTTIME)
    until(lambda: time.clock_gettime(BOOTTIME) > born + 0.05)  # the kernel's clock ticks that slowly
    since = time.clock_gettime(BOOTTIME)
    younger = subprocess.Popen(["sleep", "1000"])
    assert has_children()
    kill_descendants(since)
    assert (alive(older.pid), alive(younger.pid)) == (True, False)
    for process in (older, younger):
        process.kill()
        process.wait()
