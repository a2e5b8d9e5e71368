"""The memory of a Slurm: slurmdbd over a MariaDB of its own."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

from tests.services.daemons import Daemons

Wait = Callable[[str, Callable[[], bool]], None]

_SLURMDBD_CONF = """\
AuthType=auth/munge
AuthInfo=socket={directory}/munge/socket
DbdHost={host}
DbdAddr=127.0.0.1
DbdPort={port}
SlurmUser={user}
DebugLevel=info
LogFile={directory}/log/slurmdbd.log
PidFile={directory}/run/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={database}
StorageUser=slurm
StoragePass=slurm
StorageLoc=slurm_acct_db
"""
_SETUP = """\
create database if not exists slurm_acct_db;
create user if not exists 'slurm'@'127.0.0.1' identified by 'slurm';
grant all on slurm_acct_db.* to 'slurm'@'127.0.0.1';
flush privileges;
"""


class Accounting:
    """MariaDB and slurmdbd in the directory of a cluster.

    Parameters
    ----------
    ports
        Of slurmdbd, and of MariaDB.
    wait
        Waits until a condition holds, and fails when the daemon of this name has ended.
    """

    def __init__(self, directory: Path, daemons: Daemons, ports: tuple[int, int], wait: Wait) -> None:
        self.directory = directory
        self.port, self._database = ports
        self._daemons = daemons
        self._wait = wait
        self._socket = directory / "mysql" / "socket"

    def up(self, host: str, user: str) -> None:
        """Start both, and wait until slurmdbd can be reached."""
        self._start_database(user)
        place = {"directory": self.directory, "host": host, "user": user, "port": self.port}
        path = self.directory / "slurmdbd.conf"
        path.touch(mode=0o600)
        path.write_text(_SLURMDBD_CONF.format(**place, database=self._database))
        # It looks for its file beside slurm.conf.
        self._daemons.start("slurmdbd", ["slurmdbd", "-D"])
        self._wait("slurmdbd", self._listens)

    def _start_database(self, user: str) -> None:
        data = self.directory / "mysql" / "data"
        if not (data / "mysql").is_dir():
            options = ["--skip-test-db", "--auth-root-authentication-method=normal"]
            subprocess.run(
                ["mariadb-install-db", "--no-defaults", f"--user={user}", f"--datadir={data}", *options],
                check=True,
                capture_output=True,
                env=self._daemons.env,
            )
        self._daemons.start(
            "mariadbd",
            [
                *["mariadbd", "--no-defaults", f"--user={user}", f"--datadir={data}", f"--socket={self._socket}"],
                *[f"--pid-file={self.directory}/run/mariadbd.pid", "--bind-address=127.0.0.1"],
                *[f"--port={self._database}", "--skip-name-resolve", "--skip-log-bin", "--performance-schema=off"],
                # What slurmdbd asks for, small: nothing of it is kept.
                *["--innodb-buffer-pool-size=64M", "--innodb-log-file-size=64M", "--innodb-lock-wait-timeout=900"],
                "--innodb-flush-log-at-trx-commit=2",
            ],
        )
        self._wait("mariadbd", lambda: self._sql("select 1"))
        assert self._sql(_SETUP), self._daemons.log("mariadbd")

    def _sql(self, text: str) -> bool:
        command = ["mariadb", "--no-defaults", "-uroot", "-S", str(self._socket)]
        answer = subprocess.run(command, input=text, text=True, capture_output=True, check=False, env=self._daemons.env)
        return answer.returncode == 0

    def _listens(self) -> bool:
        # Not by connecting: slurmdbd would complain about a client that says nothing.
        wanted = f"{self.port:04X}"
        with open("/proc/net/tcp") as file:
            lines = [line.split() for line in file.readlines()[1:]]
        return any(line[1].endswith(f":{wanted}") and line[3] == "0A" for line in lines)
