"""Finds processes by the scratch directory that their environment names, and kills them.

Also a program that needs nothing of daskflow: it reads which scratch directories a worker uses, and when the worker is
gone kills what is left of their commands.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from collections.abc import Collection

MARK = b"DASKFLOW_SCRATCH_DIR="
"""Begins the variable that names the scratch directory."""
_ROUNDS = 100
_LOOK = 0.03
"""Pause between two rounds [s]."""
_WHILE = 0.5
"""So long nothing ends before it is looked what the last ones have left [s]."""
_MANY = 1000
"""After so many ends it is looked in any case."""


def strays(scratches: Collection[bytes]) -> set[int]:
    """Processes of scratch directories, and what descends from them; Linux only.

    Parameters
    ----------
    scratches
        Paths.

    Notes
    -----
    A process that has left its group, its session and its parent is found all the same, unless it has emptied its
    environment too.
    """
    marks = {MARK + path for path in scratches}
    found: set[int] = set()
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc") if os.path.isdir("/proc") else ():
        if not name.isdigit() or int(name) == os.getpid():
            continue
        try:
            with open(f"/proc/{name}/stat", "rb") as file:
                state, parent = file.read().rpartition(b")")[2].split()[:2]
            if state in b"ZX":
                continue
            children.setdefault(int(parent), []).append(int(name))
            with open(f"/proc/{name}/environ", "rb") as file:
                if not marks.isdisjoint(file.read().split(b"\0")):
                    found.add(int(name))
        except OSError:  # it ended meanwhile, or is somebody else's
            continue
    todo = list(found)
    while todo:
        new = set(children.get(todo.pop(), ())) - found
        found |= new
        todo.extend(new)
    return found


def kill_strays(scratches: Collection[bytes], *, calm: bool = False) -> bool:
    """Kill the processes of scratch directories; returns whether all are gone.

    Parameters
    ----------
    calm
        Nothing is being started there now: to look once is enough where nothing is found.
    """
    quiet = int(calm)
    for _ in range(_ROUNDS):
        found = strays(scratches)
        for pid in found:
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                continue
        # One that was being started is seen when it is looked again.
        quiet = 0 if found else quiet + 1
        if quiet == 2:
            return True
        time.sleep(_LOOK)
    return False


def main() -> None:
    """Read paths from standard input, with `+` before and a NUL after; after `-` what is left there is killed.

    At the end of the input all is killed.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    os.chdir("/")
    watched: set[bytes] = set()
    ended: set[bytes] = set()
    rest = b""
    while True:
        # Looking takes as long as a short job: once for all that ended within a while.
        if not select.select([0], [], [], _WHILE if ended else None)[0] or len(ended) >= _MANY:
            kill_strays(ended, calm=True)
            ended.clear()
            continue
        chunk = os.read(0, 1 << 16)
        if not chunk:
            break
        *lines, rest = (rest + chunk).split(b"\0")
        for line in lines:
            (watched.add if line[:1] == b"+" else watched.discard)(line[1:])
            (ended.discard if line[:1] == b"+" else ended.add)(line[1:])
    if watched or ended:
        kill_strays(watched | ended)


if __name__ == "__main__":
    main()
    sys.exit(0)
