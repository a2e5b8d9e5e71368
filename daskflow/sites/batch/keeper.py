"""Looks after one batch job that is a process of this machine."""

from __future__ import annotations

import os
import resource
import select
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from daskflow.sites.batch.jobfolder import End, JobFolder, Keeper, Kept, boot_id
from daskflow.sites.processes import BOOTTIME, ProcessTree, adopt_orphans, end_with_parent, own_memory, start_of

_LOOK = 0.5
"""How often walltime and memory are looked at [s]."""
_GRACE = 3.0
"""Between SIGTERM and SIGKILL [s]."""
_PATIENCE = 20.0
"""What cannot be killed in this time hangs in the kernel [s]."""


class Watchman:
    """Performs the script of one job, and sees that it keeps to what it asked for.

    Notes
    -----
    The script ends with this process; what it started and left behind is killed when it ends.
    """

    def __init__(self, folder: JobFolder, kept: Kept) -> None:
        self._folder = folder
        self._kept = kept
        self._peak = 0
        self._warned = not kept.warn
        self._called = self._listen()
        self._began = time.clock_gettime(BOOTTIME)

    def _listen(self) -> int:
        """Have signals wake this process; the file descriptor that tells of them."""
        called, tell = os.pipe()
        os.set_blocking(called, False)
        os.set_blocking(tell, False)
        signal.set_wakeup_fd(tell, warn_on_full_buffer=False)
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            # Handlers, and not SIG_IGN: the script would inherit that.
            signal.signal(number, lambda *_: None)
        return called

    def perform(self) -> End:
        """Perform the script; how it ended."""
        start = time.time()
        with open(self._kept.log, "ab") as log:
            process = subprocess.Popen(
                ["bash", str(self._folder.script)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._kept.workdir,
                start_new_session=True,
                # This process has one thread.
                preexec_fn=end_with_parent,  # noqa: PLW1509
            )
        state, reason = "", ""
        while not self._ended(process) and not state:
            state, reason = self._verdict(process)
            if not state:
                self._rest()
        if state:
            _say(self._kept.log, reason)
        _kill_all(self._folder, _GRACE if state else 0.0)
        code = process.wait()
        peak = max(self._peak, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024)
        return End(
            state or ("FAILED" if code else "COMPLETED"),
            reason,
            start,
            time.time(),
            max(code, 0),
            -code if code < 0 else None,
            peak or None,
        )

    def _verdict(self, process: subprocess.Popen[bytes]) -> tuple[str, str]:
        """Why the job has to end now, as state and reason; nothing where it may go on."""
        if self._folder.to_stop():
            return "CANCELLED", "it was cancelled"
        left = self._kept.walltime - (time.clock_gettime(BOOTTIME) - self._began)
        if left <= 0:
            return "TIMEOUT", f"it reached its walltime of {self._kept.walltime:g} s"
        if not self._warned and left <= self._kept.warn:
            self._warned = True
            process.send_signal(signal.SIGUSR1)
        used = sum(map(own_memory, ProcessTree(os.getpid()).look()[1:]))
        self._peak = max(self._peak, used)
        if used > self._kept.memory:
            return "OUT_OF_MEMORY", f"it used {used} bytes of memory and may use {self._kept.memory}"
        return "", ""

    def _ended(self, process: subprocess.Popen[bytes]) -> bool:
        """Whether the script has ended; buries what it left behind."""
        while True:
            try:
                dead = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return process.poll() is not None
            if dead is None or dead.si_pid == process.pid:
                return process.poll() is not None
            os.waitpid(dead.si_pid, 0)

    def _rest(self) -> None:
        """Wait until something happens, or it is time to look again."""
        left = self._kept.walltime - (time.clock_gettime(BOOTTIME) - self._began)
        if select.select([self._called], [], [], max(0.0, min(_LOOK, left)))[0]:
            os.read(self._called, 4096)


def _kill_all(folder: JobFolder, grace: float) -> None:
    """Kill all descendants of this process; those whose parents end become its children, and are found again.

    The keepers of jobs that this job submitted are left alone: their jobs outlive it.
    """
    from psutil import Process

    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        children = [child for child in Process().children() if not _of_another(child, folder)]
        living = [child for child in children if ProcessTree(child.pid).look()]
        if not living:
            return
        for child in living:
            ProcessTree(child.pid).kill(grace)


def _of_another(process: Any, folder: JobFolder) -> bool:
    from psutil import Error

    try:
        return bool(process.environ().get(folder.MARK, str(folder.path)) != str(folder.path))
    except (Error, OSError):
        return False


def _say(log: str, reason: str) -> None:
    with open(log, "a", errors="replace") as file:
        file.write(f"daskflow: the batch job is killed: {reason}\n")


def keep(folder: JobFolder, told: int) -> None:
    """Look after the job of a folder until it has ended; closes a file descriptor when that has begun."""
    kept = folder.kept()
    if kept is None:
        raise FileNotFoundError(folder.path)
    adopt_orphans()
    watchman = Watchman(folder, kept)
    folder.begin(Keeper(os.getpid(), start_of(os.getpid()), boot_id(), socket.gethostname(), time.time()))
    os.close(told)
    try:
        end = End("CANCELLED", "it was cancelled", time.time(), time.time()) if folder.to_stop() else watchman.perform()
    except OSError as error:
        end = End("FAILED", f"it could not be started: {error}", time.time(), time.time())
    folder.close(end)


def main() -> None:
    """Become independent of who called, and look after a job."""
    folder = JobFolder(Path(sys.argv[1]))
    told, tell = os.pipe()
    if os.fork():
        os.close(tell)
        # Ends when the other process has written down who it is, or is gone.
        os.read(told, 1)
        os._exit(0)
    os.close(told)
    keep(folder, tell)
