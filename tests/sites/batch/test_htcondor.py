from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from daskflow.errors import BatchRefused, BatchSilent
from daskflow.sites.batch.htcondor import Htcondor, certified, read_json, stood
from daskflow.sites.batch.system import Ask, Phase
from daskflow.sites.pools import Queue
from tests.sites.batch.stand_ins import StandIns, placed

ASK = Ask("run/job", 4, 5 * 2**30 + 1, 3600.0, "/logs/a.log")


def description(ask: Ask) -> dict[str, str]:
    lines = Htcondor(disk=2**31).script(ask, ["true"]).splitlines()
    pairs = [line.removeprefix("#CONDOR ").partition(" = ") for line in lines if line.startswith("#CONDOR ")]
    return {name: value for name, _, value in pairs}


def test_the_head_asks_for_what_was_asked() -> None:
    found = description(ASK)
    assert found["batch_name"] == "run/job"
    assert found["MY.DaskWorkerCores"] == "4"
    assert found["MY.DaskWorkerMemory"] == str(5121 * 2**20)
    assert found["MY.DaskWorkerDisk"] == str(2**31)
    assert found["output"] == found["error"] == "/logs/a.log"
    assert "> 3600" in found["periodic_remove"]
    assert "request_gpus" not in found


def test_the_head_asks_for_what_is_seldom_asked() -> None:
    queue = Queue('OpSys == "LINUX"', "me", ("+Project = 1",))
    found = description(ASK._replace(count=3, gpus=2, queue=queue, avoid=("n1",), log="/a-%s.log"))
    assert found["output"] == "/a-$(ProcId).log"
    assert found["request_gpus"] == "2"
    assert found["accounting_group"] == "me"
    assert found["requirements"] == '(Machine != "n1") && (OpSys == "LINUX")'
    assert found["+Project"] == "1"
    with pytest.raises(BatchRefused, match="2 nodes"):
        description(ASK._replace(nodes=2))


def job(status: int, **more: Any) -> dict[str, Any]:
    given = {"ClusterId": 12, "ProcId": 1, "JobStatus": status, "JobBatchName": "a", "JobCurrentStartDate": 1000}
    return {**given, "DaskflowWalltime": 60, "RemoteHost": "slot1_1@n1", "EnteredCurrentStatus": 1030, **more}


@pytest.mark.parametrize(
    ("status", "phase", "state"),
    [
        (1, Phase.pending, "IDLE"),
        (2, Phase.running, "RUNNING"),
        (6, Phase.running, "TRANSFERRING_OUTPUT"),
        (7, Phase.running, "SUSPENDED"),
        (3, Phase.ended, "REMOVED"),
        (4, Phase.ended, "COMPLETED"),
        (5, Phase.pending, "HELD"),
    ],
)
def test_states_are_phases(status: int, phase: Phase, state: str) -> None:
    found = stood("12.1", job(status, HoldReason="no disk"))
    assert (found.id, found.phase, found.state, found.name) == ("12.1", phase, state, "a")
    assert found.hopeless is (status == 5)
    if phase is Phase.running:
        assert (found.node, found.start, found.end) == ("n1", 1000.0, 1060.0)


WALLTIME = {"RemoveReason": "The job attribute PeriodicRemove expression '(JobStatus == 2' evaluated to TRUE"}


@pytest.mark.parametrize(
    ("status", "more", "error"),
    [
        (4, {"ExitCode": 0, "ExitBySignal": False}, ""),
        (4, {"ExitCode": 3, "ExitBySignal": False}, "WorkerLost"),
        (4, {"ExitSignal": 9, "ExitBySignal": True}, "WorkerLost"),
        (3, WALLTIME, "WalltimeExceeded"),
        (3, WALLTIME | {"LastHoldReasonCode": 13}, "WorkerLost"),
        (3, WALLTIME | {"HoldReasonCode": 34}, "OutOfMemory"),
        (3, {"RemoveReason": "via condor_rm (by user me)"}, "Cancelled"),
        (3, {}, "WorkerLost"),
    ],
)
def test_ends_are_errors(status: int, more: dict[str, Any], error: str) -> None:
    found = certified("12.1", job(status, MemoryUsage=5, **more))
    assert (found.error, found.node, found.memory) == (error, "n1", 5 * 2**20)
    assert (found.exit_code, found.signal) == (more.get("ExitCode"), more.get("ExitSignal"))
    assert (found.start, found.stop) == (1000.0, 1030.0)


def test_answers_may_be_empty_or_broken() -> None:
    assert read_json("") == {}
    with pytest.raises(BatchSilent, match="cannot be read"):
        read_json("[{")


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandIns:
    return placed(tmp_path / "programs", monkeypatch)


def test_the_script_is_the_executable_of_its_description(programs: StandIns, tmp_path: Path) -> None:
    keep = f'cat "$2" > {tmp_path}/description; cat $(sed -n "s/^executable = //p" "$2") > {tmp_path}/script'
    programs.put("condor_submit", keep, "echo '12.0 - 12.1'")
    system, ask = Htcondor(), ASK._replace(count=2, log="/a-%s.log")
    script = system.script(ask, ["echo hello"])
    assert system.submit(script, ask) == ["12.0", "12.1"]
    lines = (tmp_path / "description").read_text().splitlines()
    assert lines[-1] == "queue 2"
    assert {"batch_name = run/job", "copy_to_spool = True"} < set(lines)
    assert (tmp_path / "script").read_text() == script
    programs.say("condor_submit", "ERROR: no")
    with pytest.raises(BatchRefused, match="ERROR: no"):
        system.submit(script, ask)


def test_the_queue_and_the_history_are_asked(programs: StandIns) -> None:
    programs.say("condor_q", json.dumps([job(2)]))
    programs.say("condor_history", json.dumps([job(4, ProcId=2, ExitCode=0)]))
    system = Htcondor()
    assert list(system.standings(["12.1", "12.2"])) == ["12.1"]
    assert list(system.certificates(["12.1", "12.2"])) == ["12.2"]
