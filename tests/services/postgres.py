"""A PostgreSQL server on loopback, as the system has it.

`python -m tests.services.postgres up DIR` starts one in a directory and prints the URL of a database;
`python -m tests.services.postgres down DIR` stops it.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg

from tests.execution.patience import alive
from tests.services.ports import free_port

INSTALL = "apt-get install postgresql"
_USER = "daskflow"
_PATIENCE = 60.0
_SETTINGS = """
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 200
shared_buffers = '64MB'
log_min_messages = fatal
"""
# What tests keep is worth nothing after a power cut.
_FLEETING = """
fsync = off
synchronous_commit = off
full_page_writes = off
"""


def programs() -> Path | None:
    """The directory of the newest server's programs."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name))
    beside = shutil.which("initdb")
    return found[-1] if found else Path(beside).resolve().parent if beside else None


class Postgres:
    """A server that runs.

    Parameters
    ----------
    port
        Where it listens at 127.0.0.1.
    directory
        Where it keeps everything.
    """

    def __init__(self, port: int, directory: Path) -> None:
        self.port = port
        self.directory = directory

    def url(self, database: str = "postgres", user: str = _USER) -> str:
        """A database, for its administrator or for somebody else, who may be told with a password: `ann:secret`."""
        return f"postgresql://{user}@127.0.0.1:{self.port}/{database}"

    def connect(self, database: str = "postgres") -> psycopg.Connection[tuple[Any, ...]]:
        """Look into it as its administrator."""
        return psycopg.connect(self.url(database), autocommit=True)

    @contextmanager
    def journal(self) -> Iterator[str]:
        """The URL of a schema of its own, for a store yet to be made; it is dropped at the end."""
        name = f"test_{uuid.uuid4().hex[:12]}"
        try:
            yield f"{self.url()}?schema={name}"
        finally:
            with self.connect() as connection:
                connection.execute(f"DROP SCHEMA IF EXISTS {name} CASCADE")

    @contextmanager
    def database(self, options: str = "") -> Iterator[str]:
        """The URL of a new database, which is dropped at the end whoever is connected still; slower than a schema."""
        name = f"test_{uuid.uuid4().hex[:12]}"
        with self.connect() as connection:
            connection.execute(f"CREATE DATABASE {name} {options}")
        try:
            yield self.url(name)
        finally:
            with self.connect() as connection:
                connection.execute(f"DROP DATABASE {name} WITH (FORCE)")

    @contextmanager
    def guarded_by_password(self, user: str, password: str) -> Iterator[None]:
        """A user of that name, who needs a password as long as the block lasts, and is no more after it."""
        rules = self.directory / "data" / "pg_hba.conf"
        before = rules.read_text()
        with self.connect() as connection:
            connection.execute(f"CREATE ROLE {user} LOGIN PASSWORD '{password}'")
            rules.write_text(f"host all {user} 127.0.0.1/32 scram-sha-256\n{before}")
            connection.execute("SELECT pg_reload_conf()")
            try:
                yield
            finally:
                rules.write_text(before)
                connection.execute("SELECT pg_reload_conf()")
                connection.execute(f"DROP ROLE {user}")

    def stop(self) -> None:
        """End the server as its administrator would in a hurry: connections are lost, data are not."""
        pid = _pid(self.directory)
        if pid is not None:
            os.kill(pid, signal.SIGINT)
            _await_end(pid)

    def lives(self) -> bool:
        """Whether it runs."""
        return _pid(self.directory) is not None

    def kill(self) -> None:
        """Kill the first process of the server, as when it runs out of memory; the others end when they notice."""
        pid = _pid(self.directory)
        if pid is not None:
            os.kill(pid, signal.SIGSTOP)  # else it might begin another one meanwhile
            rest = _children(pid)
            os.kill(pid, signal.SIGKILL)
            for each in (pid, *rest):
                _await_end(each)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Within the block no process of the server does anything: connections stay, and nothing is answered."""
        pid = _pid(self.directory)
        if pid is None:
            raise RuntimeError("there is no server to freeze")
        os.kill(pid, signal.SIGSTOP)  # at first, so that it makes no more
        pids = [pid, *_children(pid)]
        try:
            for each in pids:
                os.kill(each, signal.SIGSTOP)
            yield
        finally:
            for each in reversed(pids):
                with suppress(ProcessLookupError):
                    os.kill(each, signal.SIGCONT)

    def start(self) -> None:
        """Start it again at the same port."""
        _start(self.directory, self.port)


def up(directory: Path, *, durable: bool = False) -> Postgres:
    """Start a server that keeps everything in a directory, unless it runs already, and wait until it answers.

    Parameters
    ----------
    durable
        Whether each commit reaches the disk, as it does where PostgreSQL is installed and nothing is changed.

    Raises
    ------
    RuntimeError
        The programs are not installed, or it does not start.
    """
    directory = directory.absolute()
    if _pid(directory) is not None:
        return Postgres(int((directory / "port").read_text()), directory)
    if not (directory / "data" / "PG_VERSION").exists():
        _make(directory, _SETTINGS if durable else _SETTINGS + _FLEETING)
    port = free_port()
    (directory / "port").write_text(str(port))
    _start(directory, port)
    return Postgres(port, directory)


def down(directory: Path) -> None:
    """Stop the server of a directory, if there is one; what it kept stays."""
    pid = _pid(directory.absolute())
    if pid is not None:
        os.kill(pid, signal.SIGQUIT)
        _await_end(pid)


@contextmanager
def running(*, durable: bool = False) -> Iterator[Postgres]:
    """A server as long as the block lasts, in a directory that its account reaches, which those of tests are not."""
    directory = Path(tempfile.mkdtemp(prefix="daskflow-postgres-"))
    try:
        yield up(directory, durable=durable)
    finally:
        down(directory)
        shutil.rmtree(directory)


def _make(directory: Path, settings: str) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    # PostgreSQL does not run as root.
    if os.getuid() == 0:
        shutil.chown(directory, _account(), None)
    options = ["-U", _USER, "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync", "--no-instructions"]
    done = subprocess.run(
        [*_as_nobody(), str(_program("initdb")), "-D", str(directory / "data"), *options],
        cwd="/", capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"initdb failed: {done.stdout}{done.stderr}")
    with (directory / "data" / "postgresql.conf").open("a") as file:
        file.write(settings)


def _start(directory: Path, port: int) -> None:
    log = directory / "log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            [*_as_nobody(), str(_program("postgres")), "-D", str(directory / "data"), "-p", str(port)],
            cwd="/", stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
        )  # fmt: skip
    until = time.monotonic() + _PATIENCE
    while time.monotonic() < until and process.poll() is None:
        try:
            psycopg.connect(Postgres(port, directory).url(), connect_timeout=5).close()
        except psycopg.OperationalError:
            time.sleep(0.05)
        else:
            # It is our child: whoever stops it takes its end, and nobody is warned of a process that runs on.
            process.returncode = 0
            return
    raise RuntimeError(f"PostgreSQL did not start: {log.read_text(errors='replace')[-2000:]}")


def _program(name: str) -> Path:
    directory = programs()
    if directory is None:
        raise RuntimeError(f"there is no PostgreSQL here: {INSTALL}")
    return directory / name


def _as_nobody() -> list[str]:
    return ["setpriv", f"--reuid={_account()}", "--clear-groups", "--"] if os.getuid() == 0 else []


def _account() -> str:
    known = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in known else "nobody"


def _pid(directory: Path) -> int | None:
    """The process of a server that runs in a directory."""
    try:
        pid = int((directory / "data" / "postmaster.pid").read_text().split()[0])
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (OSError, ValueError, IndexError):
        return None
    return pid if str(directory / "data").encode() in command else None


def _await_end(pid: int) -> None:
    until = time.monotonic() + _PATIENCE
    while time.monotonic() < until:
        try:
            if os.waitpid(pid, os.WNOHANG)[0] == pid:
                return
        except ChildProcessError:
            # In some containers nobody takes note of the end of processes whose parent is gone: they stay as zombies.
            if not alive(pid):
                return
        time.sleep(0.02)
    raise RuntimeError(f"PostgreSQL, process {pid}, did not end")


def _children(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def main() -> None:
    """Start or stop a server by hand."""
    if len(sys.argv) != 3 or sys.argv[1] not in ("up", "down"):
        sys.exit("python -m tests.services.postgres up|down DIR")
    directory = Path(sys.argv[2])
    if sys.argv[1] == "down":
        down(directory)
        return
    print(up(directory).url())


if __name__ == "__main__":
    main()
