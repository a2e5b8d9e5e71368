"""What a batch job of its own executes on its first node: performs what its folder holds.

::

    python -m daskflow.sites.batch.main FOLDER ID NODE ENDS
"""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from daskflow.model.outcome import Outcome
from daskflow.sites.allocation import settle
from daskflow.sites.batch.folder import Begun, ErrandFolder
from daskflow.sites.batch.handing import Deed, Handed
from daskflow.sites.blackbox import HOST
from daskflow.sites.grip import gripping, kill_here
from daskflow.sites.packages import put_in_front
from daskflow.sites.processes import ProcessTree

KILLED = 143
"""Exit code of what ended by SIGTERM, as shells have it."""
_AT_ONCE = 1.0
"""In this time a signal reaches all processes of a batch job [s]."""
_TOLD_TO_END = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGXCPU)
"""By which batch systems tell a job that its end is near, or has come."""


def main(arguments: Sequence[str]) -> int:
    """Perform what a folder holds; gives the exit code.

    Notes
    -----
    What is performed is so in a thread, as on any other worker, so that the main one hears signals at once even where
    compiled code is at work. A batch job that was taken back, or of which another one has taken the place, performs
    nothing.
    """
    path, id, node, ends = arguments
    folder = ErrandFolder(path)
    handed: Handed = pickle.loads(folder.handed())
    settle_in(handed, folder)
    settle(handed.place._replace(id=id, node=node, ends=float(ends)))
    deed: Deed = pickle.loads(handed.deed)
    values = computed(deed)
    if not folder.begin(Begun(id, node, HOST, os.getpid())):
        other = folder.performer
        why = f"The batch job {other} has its place" if other else "This batch job was taken back before it began"
        print(f"{why}: nothing is performed.", flush=True)
        return 0
    return Performance(folder, deed, values).run()


def settle_in(handed: Handed, folder: ErrandFolder) -> None:
    """Make this process like the driver: what it imports, and where it is."""
    with contextlib.suppress(OSError):  # the node does not see that directory
        os.chdir(handed.directory)
    sys.path += [entry for entry in handed.paths if entry not in sys.path]
    for package in handed.packages:
        put_in_front(package)
    os.environ.update(handed.variables)
    if int(handed.variables.get("DASKFLOW_NODES", "1")) > 1:
        Path(folder.scratch).mkdir(mode=0o700, exist_ok=True)
        os.environ["DASKFLOW_SHARED_SCRATCH"] = folder.scratch


def computed(deed: Deed) -> list[Any]:
    """The values of the dask collections that are needed, computed here."""
    if not deed.upstream:
        return []
    import dask

    return list(dask.get(deed.foreign, list(deed.upstream)))


class Performance:
    """Performs one deed, until it is done, or somebody ends it.

    Parameters
    ----------
    folder
        Gets what is told, and what is left.
    values
        What the deed takes.
    """

    def __init__(self, folder: ErrandFolder, deed: Deed, values: Sequence[Any]) -> None:
        self._folder = folder
        self._deed = deed
        self._values = values
        self._records = b""
        self._killed = False
        self._error: BaseException | None = None
        self._rang = float("inf")
        self._killer = threading.Thread(target=self._kill, name="daskflow-end", daemon=True)
        self._deaf = False
        """Whether it does not listen, and is killed with all that it has started, and with this process."""

    def run(self) -> int:
        """Perform it; gives the exit code."""
        for number in _TOLD_TO_END:
            signal.signal(number, self._end)
        worker = threading.Thread(target=self._perform, name="daskflow-batch", daemon=True)
        worker.start()
        while worker.is_alive():
            worker.join(0.5)
        if self._deaf:  # it only went on because what it waited for was killed: what it tells is worth nothing
            self._killer.join()
            return KILLED
        if self._error is not None:
            raise self._error
        if self._wrecked():
            before = [one for one in self._outcomes() if not one.final and one.stop < self._rang - _AT_ONCE]
            self._tell(pickle.dumps(before))
            return KILLED
        self._folder.give(self._records)
        return 0

    def _perform(self) -> None:
        try:
            with gripping(self._deed.key, self._tell, sweep=True) as grip:
                _, self._records, _ = self._deed.perform(self._deed.package, *self._values)
            self._killed = grip.killed
        except BaseException as error:  # the main thread shows it in the log
            self._error = error

    def _outcomes(self) -> list[Outcome]:
        found: list[Outcome] = pickle.loads(self._records)
        return found

    def _wrecked(self) -> bool:
        """Whether what was performed did not end by itself.

        Batch systems send their signals to all processes of a job at once: what this one has started may be dead
        before this one hears of it, and what it was a part of have failed for no fault of its own.
        """
        if self._killed:
            return True
        if all(outcome.state != "failed" for outcome in self._outcomes()):
            return False
        deadline = time.monotonic() + _AT_ONCE
        while self._rang == float("inf") and time.monotonic() < deadline:
            time.sleep(_AT_ONCE / 50)
        return self._rang < float("inf")

    def _tell(self, record: bytes) -> None:
        with contextlib.suppress(OSError):  # a full disk is not to fail what is performed
            self._folder.tell(record)

    def _end(self, number: int, frame: FrameType | None) -> None:
        """A signal came. The handler itself takes no locks, which this very thread may hold."""
        if self._rang == float("inf"):
            self._rang = time.time()
            self._killer.start()

    def _kill(self) -> None:
        if kill_here([self._deed.key]):
            self._deaf = True
            # Compiled code that does not listen; what it has started goes with it.
            for process in ProcessTree(os.getpid()).look()[1:]:
                ProcessTree(process.pid).kill(0.0)
            os._exit(KILLED)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
