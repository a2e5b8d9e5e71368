"""The program that keeps a service on its node: `python -m daskflow.execution.serving.main HOME NAME TOKEN ID NODE`.

It starts the command, keeps its limits, tells it to end where it must, and notes how it ended.
"""

from __future__ import annotations

import math
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType

from daskflow.commands.processes import Launch, Process, Watch, kill_group
from daskflow.errors import DaskflowError
from daskflow.execution.serving.enclosing import enclosed
from daskflow.model.quantities import as_bytes
from daskflow.sites.batch.service import ServiceRecord
from daskflow.sites.batch.servicefolder import Began, Ended, ServiceFolder
from daskflow.sites.processes import ProcessTree, adopt_orphans

_EVERY = 1.0
"""Memory and notes are looked at so often [s]."""
_GRACE = 20.0
"""Between telling a command to end, because of a note, and killing it [s]."""
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
_CANNOT_START = 126


class _Over(Exception):
    """It is time to kill the command: it uses too much, or does not end though it was told to."""


class Keeper:
    """Keeps one service.

    Parameters
    ----------
    folder
        Where notes are left.
    record
        The service.
    """

    def __init__(self, folder: ServiceFolder, record: ServiceRecord) -> None:
        self._folder = folder
        self._order = record.order
        self._record = record
        self._limit = record.order.memory_limit or record.memory
        self._process: Process | None = None
        self._told = 0.0
        """When it was told to end [s]; 0: it was not."""
        self._used = 0

    def keep(self, id: str, node: str) -> int:
        """Run the command to its end, unless another batch job does; its exit code, as shells tell it.

        Parameters
        ----------
        id
            Of the batch job.
        node
            Name of this node.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        adopt_orphans()
        if not self._folder.begin(Began(id, node, time.time())):
            sys.stderr.write(f"The batch job {id} leaves the service {self._record.name} to another one.\n")
            return 0
        temporary = Path(tempfile.mkdtemp(prefix="daskflow-service-"))
        try:
            if self._folder.killed() is not None:
                self._stop()
            return self._run(self._launch(temporary))
        except (DaskflowError, OSError) as error:
            sys.stderr.write(f"{error}\n")
            self._note(_CANNOT_START, f"it could not be started: {error}", type(error).__name__)
            return _CANNOT_START
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    def _launch(self, temporary: Path) -> Launch:
        """How the command is started."""
        order = self._order
        own = {**_facts(self._record), **order.env}
        argv = ["/bin/sh", "-c", order.command] if isinstance(order.command, str) else list(order.command)
        launch = Launch(argv, Path(order.workdir), {**os.environ, **own}, own)
        if not order.image:
            return launch
        name = f"daskflow-{self._record.token}"
        return enclosed(launch, order.image, self._folder.station(), binds=order.binds, temporary=temporary, name=name)

    def _run(self, launch: Launch) -> int:
        if self._told:
            self._note(128 + signal.SIGTERM, "it was told to end before its command had begun", "Cancelled")
            return 128 + signal.SIGTERM
        if self._order.core_limit is not None:
            _keep_to(self._order.core_limit)
        with open(os.devnull) as nothing:
            process = self._process = Process(launch, (nothing.fileno(), 1, 2))
        self._forward()
        try:
            Watch(self._look, every=_EVERY).wait([process.pid], math.inf)
            code = process.end()
        except _Over:
            code = process.kill(kill_group) or -signal.SIGKILL
        for left in ProcessTree(os.getpid()).look()[1:]:
            # It went on in a session of its own.
            ProcessTree(left.pid).kill(0.0)
        if self._told and launch.stop is not None:
            launch.stop()
        shown = 128 - code if code < 0 else code
        if self._used:
            text = f"it used {as_bytes(self._used)} of memory, and may use {as_bytes(self._limit)}: give it more"
            self._note(shown, text, "OutOfMemory")
        elif code:
            self._note(shown, _words(code), "CommandFailed")
        else:
            self._note(0, "", "")
        return shown

    def _look(self, pids: Sequence[int]) -> None:
        """See what the command uses, and whether somebody wants it to end."""
        if self._process is None:
            return
        self._process.look()
        _bury(self._process.pid)
        if self._process.memory > self._limit and (
            (used := ProcessTree(self._process.pid).memory(precise=True)) > self._limit
        ):
            self._used = used
            raise _Over
        self._folder.refresh()
        if self._folder.killed() is None:
            return
        if not self._told:
            self._stop()
        elif time.monotonic() - self._told > _GRACE:
            raise _Over

    def _stop(self, number: int = 0, frame: FrameType | None = None) -> None:
        """Tell the command to end; whoever wants that kills it later, if it does not."""
        self._told = self._told or time.monotonic()
        self._forward()

    def _forward(self) -> None:
        """Tell the command what the keeper was told; a signal may come before there is one."""
        if not self._told or self._process is None:
            return
        for number in (signal.SIGTERM, signal.SIGCONT):
            with suppress(OSError):
                os.killpg(self._process.pid, number)

    def _note(self, code: int, text: str, error: str) -> None:
        process = self._process
        memory, cpu = (0, 0.0) if process is None else (process.memory, process.cpu)
        stopped = bool(self._told) and not self._used
        with suppress(OSError):
            self._folder.note_ended(Ended(code, text, error, stopped, time.time(), memory, cpu))


def _facts(record: ServiceRecord) -> dict[str, str]:
    """What a command is told about its service."""
    order = record.order
    threads = min(order.cores, order.core_limit or order.cores)
    return {
        "DASKFLOW_SERVICE": record.name,
        "DASKFLOW_INDEX": str(record.index),
        "DASKFLOW_CORES": str(order.cores),
        "DASKFLOW_MEMORY": str(order.memory_limit or record.memory),
        "DASKFLOW_NODES": str(order.nodes),
        "DASKFLOW_TASKS": str(order.tasks or order.nodes * order.cores),
        **dict.fromkeys(_THREADS, str(threads)),
    }


def _keep_to(count: int) -> None:
    """Have all processes from now on use so many cores at most, on systems that can be told."""
    if not hasattr(os, "sched_setaffinity"):
        return
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) > count:
        # Not the first ones, which other services on the node would choose too.
        os.sched_setaffinity(0, random.sample(allowed, count))


def _bury(pid: int) -> None:
    """Wait for what ended among the orphans that this process adopted."""
    with suppress(ChildProcessError):
        while (dead := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)) is not None:
            if dead.si_pid == pid:
                return
            os.waitpid(dead.si_pid, 0)


def _words(code: int) -> str:
    """How a command ended that did not end well."""
    if code > 0:
        return f"its command ended with exit code {code}"
    with suppress(ValueError):
        return f"its command was ended by {signal.Signals(-code).name}"
    return f"its command was ended by signal {-code}"


def main(arguments: Sequence[str]) -> int:
    """Keep the service of a name, unless another one has that name by now."""
    home, name, token, id, node = arguments
    folder = ServiceFolder(home, name)
    record = folder.record()
    if record is None or record.token != token:
        sys.stderr.write(f"The service {name} is not wanted any more.\n")
        return 0
    return Keeper(folder, record).keep(id, node)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
