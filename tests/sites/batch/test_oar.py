from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from daskflow.errors import BatchRefused, BatchSilent
from daskflow.sites.batch.oar import Oar, certified, read_json, stood
from daskflow.sites.batch.system import Ask, Phase
from daskflow.sites.pools import Queue
from tests.sites.batch.stand_ins import StandIns, placed

ASK = Ask("run/job", 4, 6 * 2**30, 3600.0, "/logs/a.log")


def head(ask: Ask, system: Oar | None = None) -> list[str]:
    lines = (system or Oar()).script(ask, ["true"]).splitlines()
    return [line.removeprefix("#OAR ") for line in lines if line.startswith("#OAR ")]


def test_the_head_asks_for_what_was_asked() -> None:
    wanted = ["-n run/job", "-l /nodes=1/core=4,walltime=01:00:00", "-O /logs/a.log", "-E /logs/a.log"]
    assert head(ASK) == wanted
    assert '-p "memcore>=1536"' in head(ASK, Oar(memory="memcore"))


def test_the_head_asks_for_what_is_seldom_asked() -> None:
    queue = Queue("long", "me", ("-p cluster='a'", "-t devel"))
    ask = ASK._replace(nodes=2, count=3, gpus=2, queue=queue, avoid=("n1",), warn=60.0, requeue=True)
    lines = head(ask._replace(log="/a-%s.log"))
    wanted = {"-q long", "--project me", "-l /nodes=2/gpu=2,walltime=01:00:00", "-O /a-%jobid%.log", "--array 3"}
    assert wanted | {"--checkpoint 60 --signal 10", "-t idempotent", "-t devel"} < set(lines)
    assert [line for line in lines if line.startswith("-p")] == ["-p \"cluster='a' AND host NOT IN ('n1')\""]


def job(state: str, **more: Any) -> dict[str, Any]:
    given = {"state": state, "name": "a", "startTime": 1000, "walltime": 60, "stopTime": 1030}
    return {**given, "assigned_network_address": ["n1", "n2"], "message": "waits for cores", **more}


@pytest.mark.parametrize(
    ("state", "phase"),
    [
        ("Waiting", Phase.pending),
        ("Hold", Phase.pending),
        ("Launching", Phase.pending),
        ("Running", Phase.running),
        ("Suspended", Phase.running),
        ("Finishing", Phase.running),
        ("Terminated", Phase.ended),
        ("Error", Phase.ended),
    ],
)
def test_states_are_phases(state: str, phase: Phase) -> None:
    found = stood("7", job(state))
    assert (found.id, found.phase, found.state, found.node, found.name) == ("7", phase, state, "n1,n2", "a")
    assert found.reason == ("waits for cores" if phase is Phase.pending else "")
    assert (found.start, found.end) == ((None, None) if phase is Phase.pending else (1000.0, 1060.0))


@pytest.mark.parametrize(
    ("state", "status", "events", "error", "ending"),
    [
        ("Terminated", 0, [], "", (0, None)),
        ("Terminated", 768, [], "WorkerLost", (3, None)),
        ("Error", 9, [], "WorkerLost", (0, 9)),
        ("Error", None, ["FRAG_JOB_REQUEST", "WALLTIME"], "WalltimeExceeded", (0, None)),
        ("Error", None, ["FRAG_JOB_REQUEST"], "Cancelled", (0, None)),
        ("Error", None, ["BESTEFFORT_KILL", "FRAG_JOB_REQUEST"], "Preempted", (0, None)),
        ("Error", None, [], "WorkerLost", (0, None)),
    ],
)
def test_ends_are_errors(
    state: str, status: int | None, events: list[str], error: str, ending: tuple[int, int | None]
) -> None:
    found = certified("7", job(state, exit_code=status, events=[{"type": event} for event in events]))
    assert (found.error, found.exit_code, found.signal) == (error, *ending)
    assert (found.start, found.stop) == (1000.0, 1030.0)


def test_answers_may_be_empty_or_broken() -> None:
    assert read_json("\n") == {}
    with pytest.raises(BatchSilent, match="cannot be read"):
        read_json("DBI said no")


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandIns:
    return placed(tmp_path / "programs", monkeypatch)


def test_the_script_is_handed_over_as_text(programs: StandIns) -> None:
    programs.say("oarsub", "[ADMISSION RULE] fine\nOAR_JOB_ID=7\nOAR_JOB_ID=8\n")
    ask = ASK._replace(count=2, log="/a b/%s.log")
    assert Oar().submit(Oar().script(ask, ["echo 'a b'", "exit 3"]), ask) == ["7", "8"]
    arguments = programs.arguments("oarsub")
    assert arguments[arguments.index("-O") + 1] == "/a b/%jobid%.log"
    assert arguments[-2:] == ["echo 'a b'", "exit 3"]
    with pytest.raises(BatchRefused, match="gave no id"):
        Oar().submit("script", ASK)


def test_one_call_asks_for_all(programs: StandIns) -> None:
    programs.say("oarstat", json.dumps({"7": job("Running"), "8": job("Terminated", exit_code=0)}))
    system = Oar()
    assert list(system.standings(["7", "8", "9"])) == ["7", "8"]
    assert programs.arguments("oarstat")[-1] == "job_id IN (7,8,9)"
    assert list(system.certificates(["7", "8"])) == ["8"]
