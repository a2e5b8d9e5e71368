from __future__ import annotations

import os
import re
import signal
import sys
from pathlib import Path

import pytest

from daskflow.errors import BatchMissing, BatchRefused, BatchSilent
from daskflow.sites.batch.calls import call, chunks, failure
from tests.execution.patience import alive, until


def test_what_a_program_says_is_the_answer() -> None:
    assert call(["cat"], input="hello") == "hello"
    assert call(["sh", "-c", "echo $LC_ALL $A"], env={**os.environ, "A": "b"}) == "C b\n"


def test_a_program_that_is_not_there_is_told_with_a_cure() -> None:
    with pytest.raises(BatchMissing, match="'qqsub' here"):
        call(["qqsub"])


def test_what_a_program_refuses_is_told() -> None:
    with pytest.raises(BatchRefused, match="sh: invalid partition"):
        call(["sh", "-c", "echo invalid partition >&2; exit 1"])
    with pytest.raises(BatchRefused, match="sh: said here"):
        call(["sh", "-c", "echo said here; exit 1"])
    with pytest.raises(BatchRefused, match="exit code 7"):
        call(["sh", "-c", "exit 7"])


def test_a_program_that_hangs_is_killed_with_what_it_started(tmp_path: Path) -> None:
    noted = tmp_path / "pid"
    with pytest.raises(BatchSilent, match="within 1 s"):
        call(["sh", "-c", f"sleep 600 & echo $! > {noted}; wait"], timeout=1.0)
    until(lambda: not alive(int(noted.read_text())))


def test_complaints_can_be_pardoned() -> None:
    pardon = re.compile("unknown|^exit code 153$")
    assert call(["sh", "-c", "echo rest; echo unknown 1 >&2; echo unknown 2 >&2; exit 1"], pardon=pardon) == "rest\n"
    assert call(["sh", "-c", "exit 153"], pardon=pardon) == ""
    with pytest.raises(BatchRefused, match="denied"):
        call(["sh", "-c", "echo unknown 1 >&2; echo denied >&2; exit 1"], pardon=pardon)


@pytest.mark.parametrize(
    "said",
    [
        "slurm_load_jobs error: Unable to contact slurm controller (connect failure)",
        "sbatch: error: Batch job submission failed: Socket timed out on send/recv operation",
        "sbatch: error: If munged is up, restart with --num-threads=10\nsbatch: error: Munge encode failed: Failed to "
        'access "/run/munge/munge.socket.2": No such file or directory',
        "squeue: error: authentication: Socket communication error",
        "error: commlib error: got select error (Connection refused)",
        'error: unable to send message to qmaster using port 6444 on host "a": got send error',
        "Connection refused\nqstat: cannot connect to server head (errno=111)",
        "error: failed receiving gdi request response for mid=1 (got syncron message receive timeout error).",
        "sbatch: error: Batch job submission failed: Unexpected message received",
        "slurm_load_jobs error: Message receive failure",
        "squeue: error: slurm_receive_msg: Transport endpoint is not connected",
        "LSF is down. Please wait ...",
        "-- Failed to fetch ads from: <10.0.0.1:9618> : head\nCEDAR:6001:Failed to connect to <10.0.0.1:9618>",
    ],
)
def test_who_does_not_answer_is_silent(said: str) -> None:
    error = failure("prog", 1, said)
    assert isinstance(error, BatchSilent)
    assert error.transient
    assert ("munge daemon" in str(error)) == ("unge" in said or "authentication" in said)


@pytest.mark.parametrize(
    "said",
    [
        "sbatch: error: invalid partition specified: nowhere",
        "sbatch: error: Batch job submission failed: Requested node configuration is not available",
        "qsub: Unknown queue MSG=cannot locate queue",
    ],
)
def test_who_says_no_is_not_silent(said: str) -> None:
    error = failure("prog", 1, said)
    assert isinstance(error, BatchRefused)
    assert said in str(error)


def test_an_interrupt_of_this_process_does_not_reach_the_program(tmp_path: Path) -> None:
    script = (
        "import os, sys; from daskflow.sites.batch.calls import call; "
        "print(os.getpgrp() == int(call([sys.executable, '-c', 'import os; print(os.getpgrp())'])))"
    )
    assert call([sys.executable, "-c", script]) == "False\n"
    assert signal.getsignal(signal.SIGINT) is not None


def test_portions_keep_the_order() -> None:
    assert chunks([], 2) == []
    assert [list(part) for part in chunks(["a", "b", "c"], 2)] == [["a", "b"], ["c"]]
