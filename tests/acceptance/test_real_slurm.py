"""The Slurm of the tests is a real one, is by itself, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.execution.patience import alive, until
from tests.services.daemons import Daemons
from tests.services.pbs import Pbs
from tests.services.slurm import Slurm, running
from tests.services.slurmcalls import SlurmCalls

pytestmark = pytest.mark.integration

STARTS = """
import sys, time
from pathlib import Path
from tests.services.daemons import Daemons

daemons = Daemons(Path(sys.argv[1]), {"PATH": "/usr/bin:/bin"})
# What it leaves behind belongs to it: jobs of a batch system detach themselves.
daemons.start("one", ["sh", "-c", f"setsid sleep 1000 & echo $! >{sys.argv[1]}/left; echo $$ >{sys.argv[1]}/own; wait"])
print("ready", flush=True)
time.sleep(1000)
"""


@pytest.fixture(autouse=True)
def _active(slurm: Slurm, monkeypatch: pytest.MonkeyPatch) -> None:
    slurm.activate(monkeypatch)


def test_daemons_end_with_who_started_them(tmp_path: Path) -> None:
    starter = subprocess.Popen([sys.executable, "-c", STARTS, str(tmp_path)], stdout=subprocess.PIPE)
    assert starter.stdout is not None
    assert starter.stdout.readline() == b"ready\n"
    until(lambda: all((tmp_path / name).is_file() and (tmp_path / name).read_text() for name in ("left", "own")))
    pids = [int((tmp_path / name).read_text()) for name in ("left", "own")]
    assert all(alive(pid) for pid in pids)
    starter.send_signal(signal.SIGKILL)
    starter.communicate()
    until(lambda: not any(alive(pid) for pid in pids))


def test_a_daemon_that_is_not_there_is_told(tmp_path: Path) -> None:
    with Daemons(tmp_path, dict(os.environ)) as daemons:
        with pytest.raises(RuntimeError, match="no-such-daemon: No such file"):
            daemons.start("one", ["no-such-daemon"])
        assert not daemons.running("one")
        daemons.start("one", ["sleep", "1000"])
        with pytest.raises(RuntimeError, match="one runs already"):
            daemons.start("one", ["sleep", "1000"])
        daemons.stop("one")
        assert not daemons.running("one")


def test_two_clusters_live_side_by_side(slurm: Slurm, tmp_path: Path) -> None:
    with running(tmp_path / "other", nodes=1, cpus=2, memory=1000) as other:
        theirs, mine = other.submit("sleep 1000"), slurm.submit("sleep 1000", "--gres=gpu:1")
        for cluster, batch_id in ((other, theirs), (slurm, mine)):
            until(lambda: cluster.job(batch_id)["JobState"] == "RUNNING")  # noqa: B023
            assert cluster.queued(f"--jobs={batch_id}") == [batch_id]
        assert slurm.job(mine)["NodeList"] == "n4"
        assert other.nodes == ("n1",)
    slurm.run("scancel", mine)


def test_its_controller_and_munge_may_be_away(slurm: Slurm) -> None:
    batch_id = slurm.submit("sleep 1000")
    slurm.down()
    with pytest.raises(RuntimeError, match="Unable to contact slurm controller"):
        slurm.queued()
    slurm.up()
    assert batch_id in slurm.queued()
    slurm.stop_munge()
    with pytest.raises(RuntimeError, match="Munge encode failed"):
        slurm.queued()
    slurm.start_munge()
    assert batch_id in slurm.queued()
    slurm.clear()
    assert slurm.queued() == []


def test_nodes_fail_and_are_drained(slurm: Slurm) -> None:
    batch_id = slurm.submit("sleep 1000", "--no-requeue", "--nodelist=n3")
    until(lambda: slurm.job(batch_id)["JobState"] == "RUNNING")
    slurm.fail("n3")
    until(lambda: slurm.job(batch_id)["JobState"] == "NODE_FAIL")
    slurm.resume("n3")
    slurm.drain("n3")
    assert slurm.state("n3").startswith("drain")
    slurm.clear()
    assert slurm.state("n3") in ("idle", "mixed", "allocated")


def test_calls_are_counted(slurm: Slurm, slurm_calls: SlurmCalls) -> None:
    subprocess.run(["squeue", "-o", "two\nlines"], check=True, capture_output=True)
    subprocess.run(["sinfo"], check=True, capture_output=True)
    assert slurm_calls.counts() == {"squeue": 1, "sinfo": 1}
    assert "two" in slurm_calls.all()[0].arguments
    slurm_calls.fail("squeue", "slurm_load_jobs error: Socket timed out")
    answer = subprocess.run(["squeue"], check=False, capture_output=True, text=True)
    assert (answer.returncode, answer.stderr) == (1, "slurm_load_jobs error: Socket timed out\n")
    assert slurm_calls.counts()["squeue"] == 2


def test_accounting_knows_the_past(slurm_accounting: Slurm, monkeypatch: pytest.MonkeyPatch) -> None:
    slurm_accounting.activate(monkeypatch)
    batch_id = slurm_accounting.submit("exit 3")
    fields = ("sacct", "-n", "-X", "-P", "-j", batch_id, "-o", "state,exitcode")
    until(lambda: slurm_accounting.run(*fields).strip() == "FAILED|3:0")


def test_programs_of_pbs_ask_slurm(pbs: Pbs, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pbs.activate(monkeypatch)
    script = tmp_path / "job.sh"
    script.write_text("#!/bin/bash\n#PBS -N named\n#PBS -l nodes=1:ppn=2,walltime=00:01:00\necho $SLURM_JOB_ID\n")
    log = tmp_path / "log"
    batch_id = subprocess.run(
        ["qsub", "-o", str(log), "-j", "oe", str(script)], check=True, capture_output=True, text=True
    ).stdout.strip()
    until(lambda: "job_state = C" in pbs.run("qstat", "-f", batch_id))
    assert "Job_Name = named" in pbs.run("qstat", "-f", batch_id)
    assert log.read_text() == f"{batch_id}\n"
