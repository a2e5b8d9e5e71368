"""Worker processes leave Ctrl-C to their driver."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from daskflow.sites.worker_main import leave_to_driver

SCRIPT = """
import multiprocessing
import os
import signal

from daskflow.sites.clusters import local_cluster

if __name__ == "__main__":
    context = multiprocessing.get_context("spawn")
    local_cluster(workers=1, threads=1, processes=True, memory="auto", dashboard="")
    end = context.Barrier(2)
    first = context.Process(target=end.wait, name="Dask Worker process (from Nanny)")
    first.start()
    while end.n_waiting == 0 and first.is_alive():
        first.join(0.01)
    os.kill(first.pid, signal.SIGINT)
    end.wait(60)
    first.join()
    print(first.exitcode)
"""


def test_ctrl_c_does_not_end_a_worker(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    found = subprocess.run([sys.executable, tmp_path / "script.py"], capture_output=True, text=True, check=True)
    assert found.stdout == "0\n"
    assert found.stderr == ""


def test_importing_it_changes_nothing() -> None:
    assert signal.getsignal(signal.SIGINT) is not leave_to_driver
    assert leave_to_driver(signal.SIGINT, None) is None  # type: ignore[func-returns-value]
    assert os.getpid()
