from __future__ import annotations

from pathlib import Path

import pytest

from daskflow.sites.batch.slurmrecords import accounted, controlled, queues, stood
from daskflow.sites.batch.system import Phase


def line(state: str = "PENDING", reason: str = "None") -> str:
    return f"12_3|{state}|n[1-2]|1795310760|1795314360|{reason}|a|b"


@pytest.mark.parametrize(
    ("state", "phase"),
    [
        ("PENDING", Phase.pending),
        ("CONFIGURING", Phase.pending),
        ("REQUEUED", Phase.pending),
        ("RUNNING", Phase.running),
        ("COMPLETING", Phase.running),
        ("SUSPENDED", Phase.running),
        ("COMPLETED", Phase.ended),
        ("TIMEOUT", Phase.ended),
        ("NODE_FAIL", Phase.ended),
        ("OUT_OF_MEMORY", Phase.ended),
    ],
)
def test_states_are_phases(state: str, phase: Phase) -> None:
    found = stood(line(state))
    assert (found.id, found.phase, found.state, found.reason) == ("12_3", phase, state, "")
    assert (found.node, found.name, found.start, found.end) == ("n[1-2]", "a|b", 1795310760.0, 1795314360.0)


@pytest.mark.parametrize(
    ("reason", "hopeless"),
    [
        ("PartitionTimeLimit", True),
        ("PartitionConfig", True),
        ("QOSMaxWallDurationPerJobLimit", True),
        ("AssocMaxCpuPerJobLimit", True),
        ("QOSMaxMemoryPerJob", True),
        ("BadConstraints", True),
        ("InvalidAccount", True),
        # Nodes may be down or drained, and come back.
        ("PartitionNodeLimit", False),
        ("AssocMaxJobsLimit", False),
        ("QOSMaxJobsPerUserLimit", False),
        ("AssocGrpCpuLimit", False),
        ("ReqNodeNotAvail, UnavailableNodes:n1", False),
        ("Nodes required for job are DOWN, DRAINED or reserved for jobs in higher priority partitions", False),
        ("Resources", False),
        ("Priority", False),
        ("JobHeldUser", False),
        ("BeginTime", False),
    ],
)
def test_what_waits_for_what_will_never_be_is_hopeless(reason: str, hopeless: bool) -> None:
    assert stood(line(reason=reason)).hopeless is hopeless
    assert not stood(line("RUNNING", reason)).hopeless


def record(state: str, exit_code: str = "0:0", *, reason: str = "None", log: str = "/none", extra: str = "") -> str:
    return (
        f"JobId=14 {extra}JobName=a b UserId=me(1) JobState={state} Reason={reason} Dependency=(null) Requeue=0 "
        f"ExitCode={exit_code} RunTime=00:00:02 StartTime=1795310760 EndTime=1795310762 Deadline=N/A "
        f"NodeList=n[1-2] BatchHost=n1 NumCPUs=1 StdErr={log} StdIn=/dev/null StdOut={log} Power= "
    )


@pytest.mark.parametrize(
    ("state", "exit_code", "error"),
    [
        ("COMPLETED", "0:0", ""),
        ("TIMEOUT", "0:15", "WalltimeExceeded"),
        ("DEADLINE", "0:15", "WalltimeExceeded"),
        ("OUT_OF_MEMORY", "0:125", "OutOfMemory"),
        ("NODE_FAIL", "0:0", "NodeFailure"),
        ("BOOT_FAIL", "0:0", "NodeFailure"),
        ("PREEMPTED", "0:15", "Preempted"),
        ("CANCELLED", "0:15", "Cancelled"),
        ("FAILED", "3:0", "WorkerLost"),
        ("REVOKED", "0:0", "WorkerLost"),
    ],
)
def test_states_are_errors(state: str, exit_code: str, error: str) -> None:
    found = controlled(record(state, exit_code))["14"]
    assert found is not None
    assert (found.error, found.state, found.node) == (error, state, "n[1-2]")
    assert (found.start, found.stop) == (1795310760.0, 1795310762.0)
    code, number = exit_code.split(":")
    assert (found.exit_code, found.signal) == (int(code), int(number) or None)


@pytest.mark.parametrize("state", ["PENDING", "RUNNING", "COMPLETING", "REQUEUED", "SUSPENDED"])
def test_what_has_not_ended_has_no_certificate(state: str) -> None:
    assert controlled(record(state)) == {"14": None}
    row = f"14|{state}|0:0|None assigned|Unknown|Unknown||200M|None"
    assert accounted(row) == {"14": None}


def test_jobs_of_arrays_have_the_ids_that_were_given() -> None:
    assert list(controlled(record("COMPLETED", extra="ArrayJobId=12 ArrayTaskId=2 "))) == ["12_2"]
    assert controlled("\nnothing\n") == {}


@pytest.mark.parametrize(
    ("said", "error"),
    [
        ("slurmstepd-n2: error: StepId=7.batch exceeded memory limit (6 > 2), being killed", "OutOfMemory"),
        ("slurmstepd: error: Detected 1 oom_kill event in StepId=7.batch.", "OutOfMemory"),
        ("my own words: exceeded memory limit", "WorkerLost"),
        ("nothing of the kind", "WorkerLost"),
    ],
)
def test_without_cgroups_the_log_tells_of_memory(tmp_path: Path, said: str, error: str) -> None:
    log = tmp_path / "a log"
    log.write_text("x\n" * 100_000 + said + "\n")
    found = controlled(record("FAILED", "0:9", log=str(log)))["14"]
    assert found is not None
    assert found.error == error
    other = controlled(record("FAILED", "3:0", log=str(log)))["14"]
    assert other is not None
    assert other.error == "WorkerLost"
    missing = controlled(record("FAILED", "0:9", log=str(tmp_path / "gone")))["14"]
    assert missing is not None
    assert missing.error == "WorkerLost"


def test_accounts_tell_the_peak_of_memory_and_who_cancelled() -> None:
    rows = [
        "7|FAILED|0:9|n2|1795311242|1795311244||200M|None",
        "7.batch|FAILED|0:9|n2|1795311242|1795311244|630611K|200M|",
        "8_1|CANCELLED by 1000|0:0|None assigned|Unknown|1795311244||200Mn|None",
        "9|FAILED|1:0|n1|1795311242|1795311244||1G|NonZeroExitCode",
        "9.batch|FAILED|1:0|n1|1795311242|1795311244|4M||",
        "9.0|OUT_OF_MEMORY|0:125|n1|1795311242|1795311244|8M||",
        "10|COMPLETED|0:0|n1|1795311242|1795311244||16?|None",
        "broken",
    ]
    found = accounted("\n".join(rows))
    big, cancelled, step = found["7"], found["8_1"], found["9"]
    assert big is not None
    assert (big.error, big.memory, big.signal) == ("OutOfMemory", 630611 * 1024, 9)
    assert cancelled is not None
    assert (cancelled.error, cancelled.state, cancelled.reason) == ("Cancelled", "CANCELLED", "by user 1000")
    assert (cancelled.node, cancelled.start, cancelled.stop) == ("", None, 1795311244.0)
    assert step is not None
    assert (step.error, step.memory) == ("OutOfMemory", 8 * 2**20)
    assert found["10"] is not None
    assert found["10"].error == ""


def test_partitions_are_told_by_their_largest_nodes() -> None:
    rows = [
        "debug|up|10:00|4|6000|(null)|1-infinite|1",
        "main*|up|1-00:00:00|4|6000|(null)|1-2|4",
        "main*|up|1-00:00:00|64+|512000+|gpu:a100:4(S:0-1),nvme:1|1-2|3",
        "old|down|infinite|8|1000|gpu:2|1-infinite|5",
    ]
    debug, main, old = queues("\n".join(rows))
    assert (debug.queue, debug.walltime, debug.nodes, debug.default, debug.up) == ("debug", 600.0, 1, False, True)
    assert (main.queue, main.walltime, main.nodes, main.default) == ("main", 86400.0, 2, True)
    assert (main.cores, main.memory, main.gpus) == (64, 512000 * 2**20, 4)
    assert (old.walltime, old.up, old.gpus, old.nodes) == (None, False, 2, 5)
