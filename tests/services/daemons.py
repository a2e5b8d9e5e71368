"""Daemons in the foreground, kept by a small process that ends them all when whoever started it is gone.

This file is the keeper's program too: then it runs by itself, without the project and without site-packages.
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn, Self

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
"""See prctl(2)."""
_GENTLE = 5.0
"""How long daemons have to end by themselves before they are killed [s]."""


class Daemons:
    """Starts and stops daemons, which end with this process, however it ends.

    Parameters
    ----------
    directory
        Where each writes its log, as `NAME.log`.
    env
        The variables that all of them see.

    Notes
    -----
    Safe for threads. The keeper adopts what a daemon leaves behind when it ends (`PR_SET_CHILD_SUBREAPER`), so that
    the jobs of a batch system, which detach themselves, go with it as well. It learns that we are gone by the end of
    its input; if it is killed itself, the kernel ends the daemons (`PR_SET_PDEATHSIG`).
    """

    def __init__(self, directory: Path, env: Mapping[str, str]) -> None:
        self.directory = directory
        self.env = dict(env)
        self._lock = threading.Lock()
        self._keeper = subprocess.Popen(
            [sys.executable, "-I", "-S", str(Path(__file__).absolute())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd="/",
            start_new_session=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start(self, name: str, command: Sequence[str | Path]) -> int:
        """Start a daemon, which must stay in the foreground; returns its process id.

        Raises
        ------
        RuntimeError
            One of this name runs already, or the program cannot be started.
        """
        log = str(self.directory / f"{name}.log")
        return int(self._ask(order="start", name=name, command=[str(part) for part in command], log=log, env=self.env))

    def stop(self, name: str, sign: int = signal.SIGTERM, patience: float = 30.0) -> None:
        """Stop one by a signal, and by SIGKILL if it has not ended after a while [s]; returns when it is gone."""
        self._ask(order="stop", name=name, sign=int(sign), patience=patience)

    def running(self, name: str) -> bool:
        """Whether it was started and has not ended."""
        return bool(self._ask(order="running", name=name))

    def log(self, name: str, length: int = 2000) -> str:
        """The end of what it wrote."""
        try:
            return (self.directory / f"{name}.log").read_text(errors="replace")[-length:]
        except FileNotFoundError:
            return ""

    def close(self) -> None:
        """Stop all of them and what they left behind."""
        with self._lock:
            self._keeper.communicate()

    def _ask(self, **order: Any) -> Any:
        with self._lock:
            assert self._keeper.stdin is not None
            assert self._keeper.stdout is not None
            try:
                self._keeper.stdin.write(json.dumps(order) + "\n")
                self._keeper.stdin.flush()
                answer = self._keeper.stdout.readline()
            except (OSError, ValueError):
                answer = ""
        if not answer:
            raise RuntimeError("the keeper of the daemons is gone")
        said = json.loads(answer)
        if "error" in said:
            raise RuntimeError(said["error"])
        return said["value"]


class _Keeper:
    """What runs in the process beside us: one thread, so that it may fork."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        self._pids: dict[str, int] = {}
        self._orders: dict[str, Any] = {"start": self.start, "stop": self.stop, "running": self.running}
        # A signal at whoever started us must not end us before the daemons.
        for each in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
            signal.signal(each, signal.SIG_IGN)

    def serve(self) -> None:
        """Follow orders, one a line, until their end."""
        # Children that end write here, so that they are reaped at once.
        ended, write = os.pipe()
        os.set_blocking(write, False)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        begun = b""
        while True:
            ready, _, _ = select.select([0, ended], [], [])
            if ended in ready:
                os.read(ended, 4096)
                self.reap()
            if 0 in ready:
                data = os.read(0, 65536)
                if not data:
                    break
                *lines, begun = (begun + data).split(b"\n")
                for line in lines:
                    self._follow(json.loads(line))
        self.end()

    def _follow(self, order: dict[str, Any]) -> None:
        try:
            answer = {"value": self._orders[order.pop("order")](**order)}
        except (OSError, ValueError) as error:
            answer = {"error": str(error)}
        os.write(1, json.dumps(answer).encode() + b"\n")

    def start(self, name: str, command: list[str], log: str, env: dict[str, str]) -> int:
        """Start one; its start has failed when its program could not be executed."""
        if self.running(name):
            raise ValueError(f"{name} runs already")
        failed, tell = os.pipe()  # closed by a successful exec
        pid = os.fork()
        if pid == 0:
            self._become(command, log, env, tell)
        os.close(tell)
        with os.fdopen(failed, "rb") as pipe:
            why = pipe.read()
        if why:
            os.waitpid(pid, 0)
            raise ValueError(f"{command[0]}: {why.decode()}")
        self._pids[name] = pid
        return pid

    def _become(self, command: list[str], log: str, env: dict[str, str], tell: int) -> NoReturn:
        try:
            os.setsid()
            signal.set_wakeup_fd(-1)
            for each in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGCHLD, signal.SIGPIPE):
                signal.signal(each, signal.SIG_DFL)
            self._libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            os.dup2(output, 1)
            os.dup2(output, 2)
            os.execvpe(command[0], command, env)
        except OSError as error:
            os.write(tell, (error.strerror or "it cannot be started").encode())
        finally:
            os._exit(127)

    def stop(self, name: str, sign: int, patience: float) -> bool:
        """Stop one, and wait until it is gone."""
        if not self.running(name):
            return False
        _signal(self._pids[name], sign)
        if not self._gone([self._pids[name]], patience):
            _signal(self._pids[name], signal.SIGKILL)
            self._gone([self._pids[name]], 30)
        return True

    def running(self, name: str) -> bool:
        """Whether one runs."""
        self.reap()
        return name in self._pids

    def reap(self) -> None:
        """Forget those that have ended, and whoever became our child."""
        while True:
            try:
                pid, _ = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            for name in [name for name, known in self._pids.items() if known == pid]:
                del self._pids[name]

    def end(self) -> None:
        """Stop everything: gently the daemons, then whatever is left of them."""
        for pid in self._pids.values():
            _signal(pid, signal.SIGTERM)
        self._gone(list(self._pids.values()), _GENTLE)
        deadline = time.monotonic() + 30
        while (left := _descendants()) and time.monotonic() < deadline:
            for pid in left:
                _signal(pid, signal.SIGKILL)
            self._gone(left, 1)

    def _gone(self, pids: list[int], patience: float) -> bool:
        deadline = time.monotonic() + patience
        while True:
            self.reap()
            if not any(os.path.exists(f"/proc/{pid}") for pid in pids):
                return True
            if time.monotonic() > deadline:
                return False
            time.sleep(0.01)


def _signal(pid: int, sign: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, sign)


def _descendants() -> list[int]:
    """The ids of our children and theirs."""
    parents: dict[int, int] = {}
    for folder in os.listdir("/proc"):
        if folder.isdigit():
            try:
                with open(f"/proc/{folder}/stat") as file:
                    parents[int(folder)] = int(file.read().rpartition(")")[2].split()[1])
            except (FileNotFoundError, ProcessLookupError):
                continue
    found = {os.getpid()}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return sorted(found - {os.getpid()})


if __name__ == "__main__":
    _Keeper().serve()
