"""Stores in forks of a process that used them."""

from __future__ import annotations

import json
import subprocess
import sys

from tests.services.s3 import S3

PROGRAM = """
import json, os, signal, sys
from daskflow.artifacts.store import ObjectStore

store = ObjectStore(sys.argv[1], json.loads(sys.argv[2]))
digest = store.put(b"data of the parent")
memory = ObjectStore("memory://fork")
memory.put(b"x")

def child(depth):
    pid = os.fork()
    if pid == 0:
        signal.alarm(30)  # what hangs is ended
        ended = 1
        try:
            assert bytes(store.get(digest)) == b"data of the parent"
            assert store.exists(store.put(b"of a child %d" % depth))
            assert not memory.exists("0" * 32)
            if depth:
                child(depth - 1)
            ended = 0
        finally:
            os._exit(ended)
    assert os.waitpid(pid, 0)[1] == 0

child(1)
child(0)
assert bytes(store.get(digest)) == b"data of the parent"
"""


def test_forks_read_and_write(s3: S3, prefix: str) -> None:
    command = [sys.executable, "-c", PROGRAM, s3.url(prefix), json.dumps(s3.options)]
    ended = subprocess.run(command, check=False, timeout=100, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
