"""Black boxes: what a worker was doing when it died, written where a kill -9 does not reach.

Each thread of a worker maps a small file into memory and notes there what it performs. The note costs less than a
microsecond, since nothing is flushed: the pages belong to the kernel, which keeps them when the process is killed.
Who finds the worker gone reads the file, and knows which job to blame.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import socket
import threading
from pathlib import Path

HOST = socket.gethostname()
_SIZE = 512
_local = threading.local()


class BlackBox:
    """The black box of one thread.

    Parameters
    ----------
    directory
        Where the boxes of all workers lie. Where none can be written, for instance because it is empty, notes go
        nowhere: a job is not to fail for want of a box.
    """

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self._memory: mmap.mmap | bytearray = bytearray(_SIZE)
        if directory:
            with contextlib.suppress(OSError):
                self._memory = _mapped(Path(directory))

    def note(self, node: str, job: str) -> None:
        """Note that a job of a node is being performed."""
        text = f"{node}\n{job}\n".encode()[:_SIZE]
        self._memory[: len(text)] = text

    def clear(self) -> None:
        """Note that nothing is being performed."""
        self._memory[:2] = b"\n\n"


def _mapped(folder: Path) -> mmap.mmap:
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / f"{HOST}-{os.getpid()}-{threading.get_native_id()}.box", "w+b") as file:
        file.truncate(_SIZE)
        return mmap.mmap(file.fileno(), _SIZE)


def black_box(directory: str) -> BlackBox:
    """The black box of this thread."""
    box: BlackBox | None = getattr(_local, "box", None)
    if box is None or box.directory != directory:
        box = _local.box = BlackBox(directory)
    return box


def last_notes(directory: str, host: str, pid: int) -> dict[str, str] | None:
    """What a process that is gone was performing: the job of each node; None where it left no box.

    Parameters
    ----------
    directory
        Where the boxes lie.
    host, pid
        Name of the host, `*` where that is not known, and id of the process. Its boxes are removed.
    """
    paths = list(Path(directory).glob(f"{host}-{pid}-*.box"))
    notes = {}
    for path in paths:
        node, job, *_ = (*path.read_bytes().decode(errors="replace").replace("\0", "").split("\n"), "", "")
        path.unlink(missing_ok=True)
        if node:
            notes[node] = job
    return notes if paths else None
