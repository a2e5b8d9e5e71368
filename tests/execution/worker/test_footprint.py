"""What an attempt had, and what its processes used."""

from __future__ import annotations

import subprocess
import sys

from daskflow.execution.worker.capture import HOST
from daskflow.execution.worker.footprint import cpu_here, cpu_of, footprint, worth_here
from daskflow.execution.worker.package import ONCE, Attempts
from daskflow.sites.processes import ProcessTree
from tests.execution.worker.conftest import Settle

BURN = """
import subprocess, sys, time
code = "import sys, time\\nwhile time.process_time() < 0.3: pass\\nprint('done', flush=True); sys.stdin.read()"
child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
print(child.stdout.readline(), flush=True)
sys.stdin.read()
"""


def test_outside_of_batch_jobs_only_limits_are_known() -> None:
    assert footprint(ONCE) == (HOST, "", 1, 0)
    assert footprint(Attempts(memory=7, cores=3)) == (HOST, "", 3, 7)


def test_in_a_batch_job_its_node_and_id_are(settled: Settle) -> None:
    settled()
    assert footprint(Attempts(memory=7, cores=2)) == ("n3", "12_0", 2, 7)


def test_what_was_handed_over_wants_more_than_the_notice(settled: Settle) -> None:
    assert worth_here() == 0.0
    settled(notice=60.0)
    assert worth_here() == 75.0


def test_cpu_time_of_this_process_counts_what_it_waited_for() -> None:
    before = cpu_here()
    subprocess.run([sys.executable, "-c", "import time\nwhile time.process_time() < 0.3: pass"], check=True)
    assert cpu_here() - before >= 0.29


def test_cpu_time_of_a_tree_a_tree_that_lives() -> None:
    process = subprocess.Popen([sys.executable, "-c", BURN], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        assert b"done" in process.stdout.readline()
        assert cpu_of(ProcessTree(process.pid)) >= 0.3, "that of the grandchild, which nobody has waited for"
    finally:
        process.communicate()
    assert cpu_of(ProcessTree(process.pid)) == 0.0
