from __future__ import annotations

import time
from pathlib import Path

import pytest

from daskflow.errors import BatchRefused
from daskflow.sites.batch.lsf import Lsf, certified, listed, stood
from daskflow.sites.batch.system import Ask, Phase
from daskflow.sites.pools import Queue
from tests.sites.batch.stand_ins import StandIns, placed

ASK = Ask("run/job", 4, 5 * 2**30, 3601.0, "/logs/a.log")


def head(ask: Ask) -> list[str]:
    lines = Lsf().script(ask, ["true"]).splitlines()
    return [line.removeprefix("#BSUB ") for line in lines if line.startswith("#BSUB ")]


def test_the_head_asks_for_what_was_asked() -> None:
    assert set(head(ASK)) == {
        "-n 4",
        "-W 1:01",
        '-J "run/job"',
        "-M 5120MB",
        '-R "rusage[mem=5120MB]"',
        '-R "span[hosts=1]"',
        "-o /logs/a.log",
        "-rn",
    }


def test_the_head_asks_for_what_is_seldom_asked() -> None:
    queue = Queue("long", "me", ("-U window",))
    ask = ASK._replace(nodes=2, count=3, gpus=2, queue=queue, avoid=("n1", "n2"), warn=90.0, requeue=True)
    lines = head(ask._replace(log="/a-%s.log"))
    wanted = {"-q long", '-P "me"', "-n 8", '-J "run/job[1-3]"', "-o /a-%I.log", '-R "span[ptile=4]"', "-r"}
    assert wanted | {'-gpu "num=2"', "-wa USR1 -wt 2", '-R "select[hname!=n1 && hname!=n2]"'} < set(lines)
    assert lines[-1] == "-U window"


@pytest.mark.parametrize(
    ("nodes", "cores", "tasks", "slots", "span"),
    [(2, 16, 4, 32, "ptile=16"), (1, 8, 2, 8, "hosts=1"), (2, 1, 6, 6, "ptile=3")],
)
def test_all_cores_are_reserved_however_few_ranks_there_are(
    nodes: int, cores: int, tasks: int, slots: int, span: str
) -> None:
    lines = head(ASK._replace(nodes=nodes, cores=cores, tasks=tasks))
    assert {f"-n {slots}", f'-R "span[{span}]"'} < set(lines)
    assert len([line for line in lines if line.startswith("-n ")]) == 1


ROW = "12|{index}|{state}|4*n1:4*n2|65 second(s)|10.0/n1|{peak}|{code}|{why}|{reason}|a|b"


def row(state: str, *, code: str = "-", why: str = "-", index: str = "0", reason: str = "-") -> str:
    return ROW.format(state=state, code=code, why=why, index=index, reason=reason, peak="1.5 Gbytes")


@pytest.mark.parametrize(
    ("state", "phase"),
    [
        ("PEND", Phase.pending),
        ("PSUSP", Phase.pending),
        ("RUN", Phase.running),
        ("USUSP", Phase.running),
        ("UNKWN", Phase.running),
        ("DONE", Phase.ended),
        ("EXIT", Phase.ended),
    ],
)
def test_states_are_phases(state: str, phase: Phase) -> None:
    (fields,) = listed(row(state, reason="New job is waiting;")).values()
    found = stood("12", fields)
    assert (found.phase, found.state, found.name, found.node) == (phase, state, "a|b", "n1,n2")
    assert found.reason == "New job is waiting;"
    if phase is Phase.running:
        assert found.start is not None
        assert 60 < time.time() - found.start < 1000
        assert found.end == found.start + 600


@pytest.mark.parametrize(
    ("state", "code", "why", "error", "ending"),
    [
        ("DONE", "-", "-", "", (None, None)),
        ("EXIT", "3", "-", "WorkerLost", (3, None)),
        ("EXIT", "140", "TERM_RUNLIMIT: job killed after reaching LSF run time limit", "WalltimeExceeded", (None, 12)),
        ("EXIT", "137", "TERM_MEMLIMIT: job killed after reaching LSF memory usage limit", "OutOfMemory", (None, 9)),
        ("EXIT", "130", "TERM_OWNER: job killed by owner", "Cancelled", (None, 2)),
        ("EXIT", "137", "TERM_PREEMPT: job killed after preemption", "Preempted", (None, 9)),
        ("EXIT", "137", "TERM_EXTERNAL_SIGNAL: by a signal external to LSF", "WorkerLost", (None, 9)),
    ],
)
def test_reasons_are_errors(state: str, code: str, why: str, error: str, ending: tuple[int | None, int | None]) -> None:
    (fields,) = listed(row(state, code=code, why=why)).values()
    found = certified("12", fields)
    assert (found.error, found.exit_code, found.signal) == (error, *ending)
    assert found.memory == 3 * 2**29


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandIns:
    return placed(tmp_path / "programs", monkeypatch)


def test_scripts_are_read_from_standard_input(programs: StandIns, tmp_path: Path) -> None:
    programs.put("bsub", f"cat > {tmp_path}/script; echo 'Job <12> is submitted to queue <normal>.'")
    assert Lsf().submit("the script", ASK) == ["12"]
    assert (tmp_path / "script").read_text() == "the script"
    assert Lsf().submit("the script", ASK._replace(count=2)) == ["12[1]", "12[2]"]
    programs.say("bsub", "Request aborted")
    with pytest.raises(BatchRefused, match="Request aborted"):
        Lsf().submit("the script", ASK)


def test_what_is_forgotten_is_missing(programs: StandIns) -> None:
    answer = row("EXIT", index="3", code="1")
    programs.put("bjobs", f"echo '{answer}'; echo 'Job <13> is not found' >&2; exit 255")
    system = Lsf()
    assert list(system.standings(["12[3]", "13"])) == ["12[3]"]
    assert system.certificates(["12[3]", "13"])["12[3]"].error == "WorkerLost"
    assert programs.arguments("bjobs")[-2:] == ["12[3]", "13"]


def test_what_ended_already_is_cancelled_without_complaint(programs: StandIns) -> None:
    programs.put("bkill", "echo 'Job <12>: Job has already finished' >&2; exit 255")
    Lsf().cancel(["12"])
    assert programs.arguments("bkill") == ["12"]
