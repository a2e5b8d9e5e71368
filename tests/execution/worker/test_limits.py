"""Limits of attempts that run in processes of their own."""

import os
import select
import subprocess
import sys
from pathlib import Path

import pytest

from daskflow.errors import OutOfMemory
from daskflow.execution.worker.limits import MemoryLimit, attempt_key, bell, took_too_long
from daskflow.sites.grip import Grip, Killed
from daskflow.sites.processes import ProcessTree
from tests.execution.patience import until

HUNGRY = "import sys; block = bytearray(200 << 20); print('full', flush=True); sys.stdin.read()"


@pytest.fixture
def hungry() -> subprocess.Popen[str]:
    """A process that has filled 200 MiB, and waits."""
    process = subprocess.Popen([sys.executable, "-c", HUNGRY], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "full\n"
    return process


def test_who_uses_too_much_is_told(hungry: subprocess.Popen[str]) -> None:
    try:
        limit = MemoryLimit(100 << 20)
        with pytest.raises(OutOfMemory, match=r"the job used .* where it may use 100 MiB"):
            limit.look(ProcessTree(hungry.pid))
        assert limit.peak > 200 << 20
        MemoryLimit(400 << 20).look(ProcessTree(hungry.pid))
        MemoryLimit(None).look(ProcessTree(hungry.pid))
    finally:
        hungry.communicate()


def test_pages_shared_with_this_process_do_not_count_for_forks() -> None:
    reader, writer = os.pipe()
    block = bytearray(200 << 20)
    limit = MemoryLimit(100 << 20, forked=True)
    pid = os.fork()
    if pid == 0:
        os.read(reader, 1)
        os._exit(len(block) % 2)
    try:
        limit.look(ProcessTree(pid))
    finally:
        os.write(writer, b"!")
        os.waitpid(pid, 0)
        os.close(reader)
        os.close(writer)


def test_the_message_says_where_the_limit_comes_from(hungry: subprocess.Popen[str]) -> None:
    try:
        limit = MemoryLimit(100 << 20, basis="its share of the node")
        with pytest.raises(OutOfMemory, match=r"it may use 100 MiB, its share of the node, and was killed\. Give it"):
            limit.look(ProcessTree(hungry.pid))
    finally:
        hungry.communicate()


def test_who_uses_much_of_it_is_looked_at_more_often(hungry: subprocess.Popen[str]) -> None:
    try:
        far, near = MemoryLimit(4000 << 20), MemoryLimit(300 << 20)
        tree = ProcessTree(hungry.pid)
        for limit in (far, near):
            limit.look(tree)
        assert far.pause >= 0.1
        assert near.pause < far.pause or near.pause > 0.1, "unless looking takes long"
    finally:
        hungry.communicate()


def test_who_was_killed_near_the_limit_was_killed_for_its_memory() -> None:
    limit = MemoryLimit(100 << 20)
    assert limit.suspect(50 << 20) is None
    assert MemoryLimit(None).suspect(1 << 40) is None
    found = limit.suspect(90 << 20)
    assert found is not None
    assert "used 90 MiB of memory where it may use 100 MiB, and the system killed it" in str(found)


def test_what_a_fork_shares_with_this_process_is_not_its_own() -> None:
    block = bytearray(200 << 20)
    limit = MemoryLimit(None, forked=True)
    assert limit.own(300 << 20) < 100 << 20
    limit.peak = 500 << 20
    assert limit.own(300 << 20) == 500 << 20
    assert block


def started(code: str, *arguments: str) -> subprocess.Popen[str]:
    """A process that waits for a line each time it has said one."""
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    heard(process)
    return process


def heard(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    assert process.stdout.readline() == "done\n"


def go_on(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def peak_of(process: subprocess.Popen[str]) -> int:
    """Peak memory of a process, as the system tells it [bytes]; `ru_maxrss` would have that of this one before."""
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))


def test_shared_memory_counts() -> None:
    process = started(
        "import mmap; block = mmap.mmap(-1, 200 << 20); block[:] = bytes(200 << 20); print('done', flush=True); input()"
    )
    try:
        with pytest.raises(OutOfMemory):
            MemoryLimit(100 << 20).look(ProcessTree(process.pid))
    finally:
        go_on(process)
        process.communicate()


def test_pages_of_files_do_not_count(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(200 << 20))
    code = (
        "import mmap, sys\n"
        "with open(sys.argv[1], 'rb') as file:\n"
        "    block = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)\n"
        "for place in range(0, len(block), 4096):\n"
        "    block[place]\n"
        "print('done', flush=True)\n"
        "input()\n"
    )
    process = started(code, str(tmp_path / "file"))
    limit = MemoryLimit(100 << 20)
    limit.look(ProcessTree(process.pid))
    resident = peak_of(process)
    go_on(process)
    process.communicate()
    assert resident > 200 << 20
    assert limit.own(resident) < 50 << 20
    assert limit.suspect(resident) is None


def test_what_was_there_between_two_looks_counts() -> None:
    code = (
        "print('done', flush=True)\n"
        "input()\n"
        "block = bytearray(200 << 20)\n"
        "del block\n"
        "print('done', flush=True)\n"
        "input()\n"
    )
    process = started(code)
    limit = MemoryLimit(4000 << 20)
    limit.look(ProcessTree(process.pid))
    assert limit.peak < 100 << 20
    go_on(process)
    heard(process)
    resident = peak_of(process)
    go_on(process)
    process.communicate()
    assert limit.own(resident) > 190 << 20


def test_the_noted_peak_counts_what_forks_share_once_and_what_becomes_their_own() -> None:
    code = (
        "import os, sys, time\n"
        "block = bytearray(b'x') * (60 << 20)\n"
        "gates = []\n"
        "for _ in range(4):\n"
        "    (opened, open), (said, say) = os.pipe(), os.pipe()\n"
        "    if os.fork() == 0:\n"
        "        os.read(opened, 1)\n"
        "        block[::4096] = bytes(len(block[::4096]))\n"
        "        os.write(say, b'!')\n"
        "        time.sleep(1000)\n"
        "    gates.append((open, said))\n"
        "print('done', flush=True)\n"
        "input()\n"
        "for open, said in gates:\n"
        "    os.write(open, b'!')\n"
        "    os.read(said, 1)\n"
        "print('done', flush=True)\n"
        "time.sleep(1000)\n"
    )
    process = started(code)
    tree = ProcessTree(process.pid)
    try:
        limit = MemoryLimit(4000 << 20)
        limit.look(tree)
        assert tree.memory() > 300 << 20
        assert 60 << 20 < limit.peak < 150 << 20
        go_on(process)
        heard(process)

        def seen() -> bool:
            limit.look(tree)
            return limit.peak > 290 << 20

        until(seen)
    finally:
        tree.kill(0.0)
        process.communicate()


def test_the_bell_rings_when_the_node_is_killed() -> None:
    grip = Grip("node")
    with bell(grip) as ringing:
        assert select.select([ringing], [], [], 0)[0] == []
        grip.kill()
        assert select.select([ringing], [], [], 10)[0] == [ringing]
    with pytest.raises(Killed), bell(grip):
        pass


def test_outside_of_attempts_messages_speak_of_the_job() -> None:
    assert attempt_key() == "the job"
    assert str(took_too_long(2)) == "the job took longer than its timeout of 2 s and was killed."
