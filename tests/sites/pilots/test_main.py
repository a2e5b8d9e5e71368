from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from distributed import Client

from daskflow.sites import notice
from daskflow.sites.allocation import here
from daskflow.sites.pilots.harbour import open_harbour
from daskflow.sites.pilots.main import allocation_of, parsed
from daskflow.sites.pilots.placer import WARNED
from daskflow.sites.pilots.plan import SitePlan
from daskflow.sites.security import make_security
from tests.sites.pilots.ward import until

GIVEN = ["--site", "cedar", "--pool", "main", "--scheduler", "tls://127.0.0.1:1", "--batch-id", "17_3", "--home", "h"]
GIVEN += ["--system", "slurm", "--cores", "3", "--memory", "1000000000", "--ends", "2000000000", "--notice", "60"]


def where() -> dict[str, Any]:
    allocation = here()
    assert allocation is not None
    return {**allocation._asdict(), "pid": os.getpid()}


def test_the_command_line_says_what_the_batch_job_has() -> None:
    allocation = allocation_of(parsed([*GIVEN, "--gpus", "2", "--node", "n7"]))
    assert (allocation.id, allocation.pool, allocation.node, allocation.gpus) == ("17_3", "main", "n7", 2)
    assert (allocation.cores, allocation.memory, allocation.ends) == (3, 1000000000, 2e9)
    with pytest.raises(SystemExit):
        parsed(["--site", "cedar"])


class Quay:
    """A scheduler, and pilots as processes."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.security = make_security(home / "tls")
        self.harbour = open_harbour(SitePlan((), str(home), interface="lo", dashboard=""), self.security, [])
        self.client = Client(self.harbour, set_as_default=False)

    def pilot(self) -> subprocess.Popen[bytes]:
        options = [
            *GIVEN,
            "--tls",
            str(self.home / "tls"),
            "--interface",
            "lo",
            "--scratch",
            str(self.home / "scratch"),
        ]
        options[options.index("--scheduler") + 1] = self.harbour.scheduler_address
        command = [sys.executable, "-m", "daskflow.sites.pilots.main", *options]
        return subprocess.Popen(command, stderr=subprocess.DEVNULL)

    def workers(self) -> dict[str, Any]:
        found: dict[str, Any] = self.client.scheduler_info(n_workers=-1)["workers"]
        return found


@pytest.fixture
def quay(tmp_path: Path) -> Iterator[Quay]:
    made = Quay(tmp_path)
    yield made
    made.client.close()
    made.harbour.close()


def test_a_pilot_is_one_worker_that_knows_its_batch_job(quay: Quay) -> None:
    process = quay.pilot()
    until(quay.workers)
    (worker,) = quay.workers().values()
    assert (worker["name"], worker["nthreads"]) == ("main/17_3", 3)
    told = quay.client.submit(where).result(60)
    assert (told["id"], told["pool"], told["notice"], told["pid"]) == ("17_3", "main", 60.0, process.pid)
    assert list((quay.home / "scratch").iterdir())
    process.kill()
    process.wait(60)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_end_of_the_batch_job_ends_all_that_it_performs(quay: Quay, number: signal.Signals) -> None:
    process = quay.pilot()
    until(quay.workers)
    note = quay.home / "note"
    command = f"import os, time; open({str(note)!r}, 'w').write(str(os.getpid())); time.sleep(1000)"
    sleeping = quay.client.submit(subprocess.run, [sys.executable, "-c", command])
    until(lambda: note.exists() and note.read_text())
    process.send_signal(number)
    assert process.wait(60) == 128 + number
    until(lambda: not _alive(int(note.read_text())))
    until(lambda: not quay.workers())
    sleeping.cancel()


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGUSR2])
def test_a_warning_of_the_batch_system_is_told_to_jobs_and_scheduler(quay: Quay, number: signal.Signals) -> None:
    process = quay.pilot()
    until(quay.workers)
    # Until a node is performed it may not be ready to hear anything but that it is to stop.
    assert not quay.client.submit(notice.given, pure=False).result(60)
    process.send_signal(number)
    until(lambda: quay.client.get_events(WARNED))
    assert [address for _, address in quay.client.get_events(WARNED)] == list(quay.workers())
    assert quay.client.submit(notice.given, pure=False).result(60)
    assert process.poll() is None
    process.kill()
    process.wait(60)


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_pilot_ends_with_its_scheduler(quay: Quay) -> None:
    process = quay.pilot()
    until(quay.workers)
    quay.client.close()
    quay.harbour.close()
    assert process.wait(60) == 0


def test_who_reaches_no_scheduler_says_so() -> None:
    code = "import daskflow.sites.pilots.main as m, sys; m._ARRIVAL = 0.5; sys.exit(m.main(sys.argv[1:]))"
    given = [text.replace("tls://", "tcp://") for text in GIVEN]
    done = subprocess.run(
        [sys.executable, "-c", code, *given], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 1
    assert "does not reach its scheduler at tcp://127.0.0.1:1" in done.stderr
    assert "`interface`" in done.stderr
