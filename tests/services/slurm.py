"""A real Slurm on one machine, from the packages of the system: several nodes, without systemd, in a second or two.

`python -m tests.services.slurm up DIR [--nodes N] [--accounting]` starts one that stays and prints what to put into
the environment; `python -m tests.services.slurm down DIR` stops it.
"""

from __future__ import annotations

import argparse
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.services.accounting import Accounting
from tests.services.daemons import Daemons
from tests.services.ports import free_ports
from tests.services.slurmconf import Place, Shape, write

if TYPE_CHECKING:
    # People who try it by hand need none.
    import pytest

INSTALL = "apt-get install --no-install-recommends slurmctld slurmd slurm-client slurm-wlm-basic-plugins munge"
INSTALL_ACCOUNTING = f"{INSTALL} slurmdbd slurm-wlm-mysql-plugin mariadb-server"
_PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch")
_PROGRAMS_OF_ACCOUNTING = ("slurmdbd", "mariadbd", "mariadb-install-db")
_PATH = f"{os.environ.get('PATH', '/usr/bin:/bin')}:/usr/sbin:/sbin"
_USABLE = ("idle", "mixed", "allocated")
_PATIENCE = 60.0
_PAUSE = threading.Event()
"""Never set: it is what waiting waits for."""


def missing(*, accounting: bool = False) -> list[str]:
    """The programs that this machine lacks."""
    programs = _PROGRAMS + (_PROGRAMS_OF_ACCOUNTING if accounting else ())
    return [program for program in programs if shutil.which(program, path=_PATH) is None]


class Slurm:
    """A cluster that runs.

    Parameters
    ----------
    directory
        Where it keeps everything.
    shape
        Of what it consists.

    Notes
    -----
    Partitions: `main` has all nodes and jobs of a day, `debug` the first node and 10 minutes, `tiny` the last node and
    one minute. The last node has GPUs (`--gres=gpu:1`). A walltime is looked after every 30 s, as in all of Slurm:
    `hurry` makes one end at once.
    """

    def __init__(self, directory: Path, shape: Shape) -> None:
        self.directory = directory.absolute()
        self.shape = shape
        self.nodes = shape.names
        self.env = {"SLURM_CONF": str(self.directory / "slurm.conf")}
        """What a process needs to talk to it."""
        for name in ("munge", "run", "log", "state", "spool", "mysql", *(f"tmp/{node}" for node in self.nodes)):
            (self.directory / name).mkdir(parents=True, exist_ok=True)
        self._daemons = Daemons(self.directory / "log", self._environment())

    def _environment(self) -> dict[str, str]:
        # Whoever starts it may run in a job of another cluster.
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("SLURM")}
        return {**inherited, "PATH": _PATH, **self.env}

    def start(self) -> None:
        """Start all daemons, and wait until every node can be used."""
        controller, slurmdbd, mariadb, *ports = free_ports(3 + len(self.nodes))
        host, user = socket.gethostname().partition(".")[0], pwd.getpwuid(os.geteuid()).pw_name
        self.start_munge()
        place = Place(
            directory=self.directory,
            host=host,
            user=user,
            controller=controller,
            daemons=tuple(ports),
            database=slurmdbd if self.shape.accounting else None,
        )
        write(self.shape, place)
        if self.shape.accounting:
            Accounting(self.directory, self._daemons, (slurmdbd, mariadb), self._wait).up(host, user)
        self.up()
        for node in self.nodes:
            self.start_node(node)
        self._wait("slurmctld", self._ready)

    def close(self) -> None:
        """Stop everything, jobs too."""
        self._daemons.close()

    def activate(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let this process, and those that it starts, talk to this cluster."""
        for name in [name for name in os.environ if name.startswith(("SLURM", "SBATCH", "SQUEUE", "SACCT"))]:
            monkeypatch.delenv(name)
        for name, value in self.env.items():
            monkeypatch.setenv(name, value)

    def run(self, *command: str, input: str | None = None) -> str:
        """What a program says, for instance `squeue`.

        Raises
        ------
        RuntimeError
            It failed; with what it said about it.
        """
        answer = subprocess.run(
            command, input=input, text=True, capture_output=True, check=False, env=self._environment()
        )
        if answer.returncode:
            raise RuntimeError(f"{' '.join(command)}: {answer.stderr.strip() or answer.returncode}")
        return answer.stdout

    def submit(self, script: str, *options: str) -> str:
        """Submit a shell script; returns the id of its job."""
        text = script if script.startswith("#!") else f"#!/bin/bash\n{script}\n"
        return self.run("sbatch", "--parsable", "--output=/dev/null", *options, input=text).strip()

    def job(self, batch_id: str) -> dict[str, str]:
        """What the controller knows of a job, by the names that scontrol has for it."""
        words = self.run("scontrol", "-o", "show", "job", batch_id).split()
        return dict(word.split("=", 1) for word in words if "=" in word)

    def queued(self, *options: str) -> list[str]:
        """The ids of the jobs that wait or run."""
        return self.run("squeue", "-h", "-r", "-o", "%i", *options).split()

    def hurry(self, batch_id: str) -> None:
        """Let the walltime of a running job be over; it is killed at the next look, within 30 s."""
        self.run("scontrol", "update", f"jobid={batch_id}", "EndTime=now")

    def clear(self) -> None:
        """Cancel all jobs, put all nodes to use again, and wait until the queue is empty: for the next test."""
        self.run("scancel", "--full", "--me")
        self._wait("slurmctld", lambda: not self.queued())
        for node in self.nodes:
            if self.state(node).startswith(("drain", "down", "fail")):
                self.resume(node)
        self._wait("slurmctld", self._ready)

    def down(self) -> None:
        """Stop the controller; jobs run on."""
        self._daemons.stop("slurmctld")

    def up(self) -> None:
        """Start the controller, and wait until it answers."""
        if not self._daemons.running("slurmctld"):
            self._daemons.start("slurmctld", ["slurmctld", "-D"])
        self._wait("slurmctld", lambda: "is UP" in self.run("scontrol", "ping"))

    def stop_munge(self) -> None:
        """Stop munge: nobody can prove any more who he is."""
        self._daemons.stop("munge")

    def start_munge(self) -> None:
        """Start munge, and wait until it answers."""
        folder = self.directory / "munge"
        key = folder / "key"
        if not key.exists():
            key.touch(mode=0o400)
            key.chmod(0o600)
            key.write_bytes(os.urandom(1024))
            key.chmod(0o400)
        options = [f"--{name}-file={folder / name}" for name in ("key", "pid", "seed", "log")]
        if not self._daemons.running("munge"):
            # By force: directories of tests can be entered by nobody else, and a killed one leaves its socket.
            self._daemons.start(
                "munge", ["munged", "--foreground", "--force", f"--socket={folder}/socket", "--num-threads=4", *options]
            )
        self._wait("munge", lambda: bool(self.run("munge", "-S", f"{folder}/socket", "-n")))

    def start_node(self, node: str) -> None:
        """Start the daemon of a node."""
        self._daemons.start(node, ["slurmd", "-D", "-N", node])

    def stop_node(self, node: str) -> None:
        """Stop the daemon of a node: after a minute Slurm believes that the node is down."""
        self._daemons.stop(node)

    def fail(self, node: str) -> None:
        """Let a node be down, as if its power had gone: its jobs end by NODE_FAIL."""
        self.run("scontrol", "update", f"nodename={node}", "state=down", "reason=test")

    def drain(self, node: str) -> None:
        """Give a node no more jobs."""
        self.run("scontrol", "update", f"nodename={node}", "state=drain", "reason=test")

    def resume(self, node: str) -> None:
        """Put a node to use again."""
        self._wait("slurmctld", lambda: self._resumed(node))

    def _resumed(self, node: str) -> bool:
        # Who is in use is not resumed: a node that was down may have come back by itself.
        if self.state(node) in _USABLE:
            return True
        self.run("scontrol", "update", f"nodename={node}", "state=resume")
        return False

    def state(self, node: str) -> str:
        """In which a node is, for instance `idle` or `drained`."""
        return self.run("sinfo", "-h", "-p", "main", "-N", "-n", node, "-o", "%T").strip().rstrip("*")

    def _ready(self) -> bool:
        return all(self.state(node) in _USABLE for node in self.nodes)

    def _wait(self, name: str, condition: Callable[[], bool]) -> None:
        """Wait until a condition holds, as long as a daemon runs."""
        until = time.monotonic() + _PATIENCE
        while self._daemons.running(name) and time.monotonic() < until:
            try:
                if condition():
                    return
            except (RuntimeError, OSError):
                pass  # nobody answers yet
            _PAUSE.wait(0.02)
        raise RuntimeError(f"{name} is not as it should be:\n{self._complaints()}")

    def _complaints(self) -> str:
        found = [
            f"{path.stem}: {line}"
            for path in sorted((self.directory / "log").glob("*.log"))
            for line in path.read_text(errors="replace").splitlines()
            if "error" in line.lower() or "fatal" in line.lower()
        ]
        return "\n".join(found[-30:]) or "nothing in their logs says why"


@contextmanager
def running(
    directory: Path, *, nodes: int = 3, accounting: bool = False, cpus: int = 4, memory: int = 6000
) -> Iterator[Slurm]:
    """A cluster for the length of a block.

    Parameters
    ----------
    directory
        Where it keeps everything, a new one.
    memory
        Of each node [MB], as `cpus` more than the machine has, if so wanted.
    accounting
        With slurmdbd, so that `sacct` knows.

    Raises
    ------
    RuntimeError
        A program is missing, or does not start.
    """
    lacking = missing(accounting=accounting)
    if lacking:
        cure = INSTALL_ACCOUNTING if accounting else INSTALL
        raise RuntimeError(f"there is no {', '.join(lacking)} here: {cure}")
    cluster = Slurm(directory, Shape(nodes=nodes, accounting=accounting, cpus=cpus, memory=memory))
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.close()


def _serve(directory: Path, nodes: int, accounting: bool) -> None:
    """Keep a cluster until somebody stops us."""
    over = threading.Event()
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, lambda number, frame: over.set())
    with running(directory, nodes=nodes, accounting=accounting) as cluster:
        lines = [f"export {name}='{value}'\n" for name, value in cluster.env.items()]
        part = directory / "env.sh.part"
        part.write_text("".join(lines))
        part.rename(directory / "env.sh")
        over.wait()
    (directory / "env.sh").unlink()


def _pid(directory: Path) -> int | None:
    """The process that keeps the cluster of a directory; None where none does."""
    try:
        pid = int((directory / "pid").read_text())
        command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (OSError, ValueError):
        return None
    return pid if str(directory).encode() in command else None


def _start(directory: Path, nodes: int, accounting: bool) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    if _pid(directory) is None:
        (directory / "env.sh").unlink(missing_ok=True)
        command = [sys.executable, "-m", __spec__.name, "serve", str(directory), "--nodes", str(nodes)]
        with open(directory / "serve.log", "wb") as log:
            process = subprocess.Popen(
                [*command, *(["--accounting"] if accounting else [])],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        (directory / "pid").write_text(str(process.pid))
        while process.poll() is None and not (directory / "env.sh").exists():
            _PAUSE.wait(0.05)
        if process.poll() is not None:
            sys.exit((directory / "serve.log").read_text().strip())
    print((directory / "env.sh").read_text(), end="")


def _stop(directory: Path) -> None:
    pid = _pid(directory)
    if pid is not None:
        os.kill(pid, signal.SIGTERM)
        while _pid(directory) == pid:
            _PAUSE.wait(0.05)
    (directory / "pid").unlink(missing_ok=True)


def main() -> None:
    """Start or stop a cluster by hand."""
    parser = argparse.ArgumentParser(prog="python -m tests.services.slurm", description="A real Slurm on this machine.")
    parser.add_argument("order", choices=["up", "down", "serve"])
    parser.add_argument("directory", type=lambda text: Path(text).absolute())
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("--accounting", action="store_true", help="with slurmdbd, so that sacct knows")
    given = parser.parse_args()
    if given.order == "up":
        _start(given.directory, given.nodes, given.accounting)
    elif given.order == "serve":
        _serve(given.directory, given.nodes, given.accounting)
    else:
        _stop(given.directory)


if __name__ == "__main__":
    main()
