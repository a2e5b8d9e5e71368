"""Servers of daskflow: in a process of their own, that can be killed, or in a thread of this one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from daskflow.settings.options import Settings
from daskflow.settings.works import ServerSettings
from daskflow.stores.database import Database
from daskflow.stores.tokens import Tokens
from daskflow.views.server.service import Service
from tests.services.ports import free_port

BUSY = 100_000.0
"""A rate that no test reaches [1/s]."""


class ServerProcess:
    """`daskflow serve` in a directory.

    Parameters
    ----------
    directory
        With the store, and with what else the configuration names.
    options
        Of the command line.
    """

    def __init__(self, directory: Path, *options: str, **variables: str) -> None:
        self.directory = directory
        self.port = free_port()
        self._options = options
        kept = {name: value for name, value in os.environ.items() if not name.startswith("DASKFLOW_")}
        self._environment = kept | {"DASKFLOW_SERVER__RATE": str(BUSY)} | variables
        self._process: subprocess.Popen[str] | None = None
        self.url = ""

    def __enter__(self) -> ServerProcess:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    @property
    def log(self) -> str:
        """What it printed."""
        return (self.directory / "serve.log").read_text()

    def start(self) -> None:
        """Start it, and wait until it listens."""
        with (self.directory / "serve.log").open("a") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "daskflow", "serve", "--port", str(self.port), *self._options],
                cwd=self.directory,
                env=self._environment,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        said = _stdout(self._process).readline()
        assert said.startswith("Serving "), self.log
        self.url = said.removeprefix("Serving ").strip()

    def kill(self) -> None:
        """End it at once, as `kill -9` does."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """End it by SIGTERM; its exit code."""
        return self._end(signal.SIGTERM)

    def _end(self, sign: signal.Signals) -> int:
        if self._process is None:
            return 0
        self._process.send_signal(sign)
        code = self._process.wait(60)
        _stdout(self._process).close()
        self._process = None
        return code

    def token(self, *scopes: str) -> str:
        """A token of its store."""
        database = Database(self.directory / ".daskflow" / "journal.db")
        try:
            return Tokens(database).create("ada", scopes)[1]
        finally:
            database.close()


@contextmanager
def serving(directory: Path, **changes: Any) -> Iterator[Service]:
    """A server in a thread of this process; callers on this machine need no token unless `changes` say so."""
    server = ServerSettings.model_validate({"port": 0, "open": True, "rate": BUSY} | changes.pop("server", {}))
    settings = Settings.model_validate(
        {
            "store": str(directory / "journal.db"),
            "artifacts": str(directory / "artifacts"),
            "logs": directory / "logs",
            "cache": directory / "cache",
            **changes,
            "server": server,
        }
    )
    with Service(settings) as service:
        thread = threading.Thread(target=service.run, name="server")
        thread.start()
        try:
            yield service
        finally:
            service.stop()
            thread.join()


def _stdout(process: subprocess.Popen[str]) -> IO[str]:
    assert process.stdout is not None
    return process.stdout
