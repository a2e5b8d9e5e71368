"""Limits of attempts that run in processes of their own."""

import os
import select
import subprocess
import sys

import pytest

from daskflow.errors import OutOfMemory
from daskflow.execution.worker.limits import MemoryLimit, attempt_key, bell, took_too_long
from daskflow.sites.grip import Grip, Killed
from daskflow.sites.processes import ProcessTree

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
