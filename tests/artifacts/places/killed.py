"""A process that moves an object through a proxy, and is killed when a certain request comes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.services.counting import Counting, Request
from tests.services.s3 import S3

PART = 1 << 20
PARTS = 20
SIZE = PARTS * PART - 5
PROGRAM = f"""
import json, sys
from pathlib import Path
from daskflow.artifacts.places import parts
from daskflow.artifacts.store import ObjectStore

parts.PART_SIZE, parts.PART_LIMIT = {PART}, {2 * PART}
store = ObjectStore(sys.argv[1], json.loads(sys.argv[2]))
path = Path(sys.argv[4])
print(store.put_file(path) if sys.argv[3] == "up" else store.download(sys.argv[3], path, {SIZE}))
"""


def move(server: S3, prefix: str, *what: str | Path, kill: tuple[Counting, str, int] | None = None) -> str:
    """Move an object in a process of its own; it is killed when request number `kill` of a method comes."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, server.url(prefix), json.dumps(server.options), *map(str, what)],
        stdout=subprocess.PIPE,
        text=True,
    )
    if kill is not None:
        counting, method, number = kill

        def look(request: Request) -> None:
            if request.method == method and counting.count(method, "/objects/") >= number:
                os.kill(process.pid, signal.SIGKILL)
                raise EOFError

        counting.on_request = look
    said, _ = process.communicate(timeout=100)
    if kill is not None:
        kill[0].on_request = None
        kill[0].settle()
    assert process.returncode == (0 if kill is None else -signal.SIGKILL)
    return said.strip()
