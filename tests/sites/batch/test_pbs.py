from __future__ import annotations

import time
from pathlib import Path

import pytest

from daskflow.errors import BatchRefused
from daskflow.sites.batch.pbs import _PRO_CODES, _TORQUE_CODES, Pbs, certified, stood
from daskflow.sites.batch.system import Ask, Phase
from daskflow.sites.pools import Queue
from tests.execution.patience import until
from tests.services.pbs import Pbs as Torque
from tests.sites.batch import promises
from tests.sites.batch.stand_ins import StandIns, placed

ASK = Ask("run/job", 4, 5 * 2**30, 3600.0, "/logs/a.log")


def head(ask: Ask, *, torque: bool = False) -> list[str]:
    lines = Pbs(torque=torque).script(ask, ["true"]).splitlines()
    return [line.removeprefix("#PBS ") for line in lines if line.startswith("#PBS ")]


def test_the_head_asks_for_what_was_asked() -> None:
    wanted = {"-N run-job", "-l walltime=01:00:00", "-j oe", "-o /logs/a.log", "-r n"}
    assert wanted | {"-l select=1:ncpus=4:mem=5120mb", "-S /bin/bash"} == set(head(ASK))
    assert wanted | {"-l nodes=1:ppn=4,mem=5120mb"} == set(head(ASK, torque=True))


def test_the_head_asks_for_what_is_seldom_asked() -> None:
    ask = ASK._replace(
        nodes=2, tasks=2, gpus=1, count=3, queue=Queue("long", "me", ("-m n",)), requeue=True, log="/a b/%s.log"
    )
    lines = head(ask)
    assert {"-l select=2:ncpus=4:mpiprocs=1:ngpus=1:mem=5120mb", "-J 0-2", "-q long", "-A me", "-r y"} < set(lines)
    assert '-o "/a b/^array_index^.log"' in lines
    assert lines[-1] == "-m n"
    assert "-l nodes=2:ppn=4:gpus=1,mem=10240mb" in head(ask, torque=True)
    assert not [line for line in head(ask, torque=True) if line.startswith("-J")]


def fields(**more: str) -> dict[str, str]:
    given = {
        "Job_Name": "a",
        "job_state": "F",
        "exec_host": "n1/0*4+n2/0*4",
        "stime": "Sun Nov 22 01:34:02 2026",
        "obittime": "Sun Nov 22 01:35:02 2026",
        "Resource_List.walltime": "00:10:00",
        "Resource_List.mem": "5120mb",
        "resources_used.walltime": "00:01:00",
        "resources_used.mem": "1048576kb",
    }
    return given | {name.replace("__", "."): text for name, text in more.items()}


@pytest.mark.parametrize(
    ("state", "phase"),
    [
        *((state, Phase.pending) for state in "QHW"),
        *((state, Phase.running) for state in "RESB"),
        *((state, Phase.ended) for state in "FXC"),
    ],
)
def test_states_are_phases(state: str, phase: Phase) -> None:
    found = stood("1.head", fields(job_state=state))
    assert (found.id, found.phase, found.node, found.name) == ("1.head", phase, "n1,n2", "a")
    if phase is Phase.running:
        assert found.start == time.mktime((2026, 11, 22, 1, 34, 2, 0, 0, -1))
        assert found.end == found.start + 600


def test_what_can_never_run_is_hopeless() -> None:
    waiting = fields(job_state="Q", comment="Can Never Run: Insufficient amount of resource: ncpus")
    assert stood("1", waiting).hopeless
    assert not stood("1", fields(job_state="Q", comment="Not Running: Insufficient amount of resource")).hopeless


@pytest.mark.parametrize(
    ("told", "more", "codes", "error", "ending"),
    [
        ("0", {}, _PRO_CODES, "", (0, None)),
        ("3", {}, _PRO_CODES, "WorkerLost", (3, None)),
        ("271", {}, _PRO_CODES, "Cancelled", (None, 15)),
        ("265", {}, _PRO_CODES, "WorkerLost", (None, 9)),
        ("137", {}, _PRO_CODES, "WorkerLost", (None, 9)),
        ("271", {"resources_used__walltime": "00:10:01"}, _PRO_CODES, "WalltimeExceeded", (None, 15)),
        ("265", {"resources_used__mem": "6000000kb"}, _PRO_CODES, "OutOfMemory", (None, 9)),
        ("-29", {}, _PRO_CODES, "WalltimeExceeded", (-29, None)),
        ("-27", {}, _PRO_CODES, "OutOfMemory", (-27, None)),
        ("-11", {}, _TORQUE_CODES, "WalltimeExceeded", (-11, None)),
        ("-10", {}, _TORQUE_CODES, "OutOfMemory", (-10, None)),
        ("-11", {}, _PRO_CODES, "WorkerLost", (-11, None)),
    ],
)
def test_exit_statuses_are_errors(
    told: str, more: dict[str, str], codes: dict[str, str], error: str, ending: tuple[int | None, int | None]
) -> None:
    found = certified("1", fields(Exit_status=told, **more), codes)
    assert found is not None
    assert (found.error, found.exit_code, found.signal) == (error, *ending)
    assert found.start is not None
    assert found.stop == found.start + 60


def test_what_has_not_ended_has_no_certificate() -> None:
    assert certified("1", fields(job_state="E"), _PRO_CODES) is None


def test_wrappers_of_other_systems_tell_less() -> None:
    told = {
        "job_state": "C",
        "mtime": "Sun Nov 22 01:34:02 2026",
        "ctime": "Sun Nov 22 01:35:07 2026",
        "Resource_List.walltime": "00:01:00",
    }
    found = certified("1", told, _TORQUE_CODES)
    assert found is not None
    assert (found.error, found.exit_code) == ("WalltimeExceeded", None)
    short = certified("1", told | {"Resource_List.walltime": "01:00:00"}, _TORQUE_CODES)
    assert short is not None
    assert (short.error, short.reason) == ("WorkerLost", "its exit code is not known")


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandIns:
    return placed(tmp_path / "programs", monkeypatch)


def test_the_flavour_is_found_out(programs: StandIns) -> None:
    programs.say("qstat", "pbs_version = 22.05.11\n")
    assert "select=1" in Pbs().script(ASK, [])
    programs.say("qstat", "Version: 6.1.3\n")
    assert "nodes=1:ppn" in Pbs().script(ASK, [])
    programs.put("qstat", "echo 'Unknown option: version' >&2; exit 2")
    assert "nodes=1:ppn" in Pbs().script(ASK, [])
    # Where nobody answers nothing is found out; the script can be looked at all the same.
    programs.put("qstat", "echo 'cannot connect to server head' >&2; exit 2")
    assert "select=1" in Pbs().script(ASK, [])


def test_arrays_are_one_submission_and_every_job_has_its_id(programs: StandIns) -> None:
    programs.say("qsub", "12[].head\n")
    assert Pbs(torque=False).submit("script", ASK._replace(count=2)) == ["12[0].head", "12[1].head"]
    programs.say("qsub", "There was an error\n")
    with pytest.raises(BatchRefused, match="There was an error"):
        Pbs(torque=False).submit("script", ASK)


def test_torque_gets_a_submission_for_each_job(programs: StandIns) -> None:
    programs.put("qsub", f"echo x >> {programs.directory}/count; echo $(wc -l < {programs.directory}/count).head")
    ask = ASK._replace(count=2, log="/a-%s.log")
    assert Pbs(torque=True).submit("script", ask) == ["1.head", "2.head"]
    assert programs.arguments("qsub")[:2] == ["-o", "/a-1.log"]


def test_ids_are_found_whatever_the_server_adds(programs: StandIns) -> None:
    programs.say("qstat", "Job Id: 12.head.example.org\n    job_state = R\n")
    assert Pbs(torque=False).standings(["12.head", "13.head"])["12.head"].phase is Phase.running
    assert programs.arguments("qstat") == ["-x", "-t", "-f", "12.head", "13.head"]


def test_a_server_that_keeps_no_history_is_asked_without(programs: StandIns, tmp_path: Path) -> None:
    programs.put(
        "qstat",
        f'echo "$@" >> {tmp_path}/asked',
        'case "$*" in *-x*) echo "qstat: PBS is not configured to maintain job history" >&2; exit 35;; esac',
        "echo 'Job Id: 12.head'; echo '    job_state = R'",
        "echo 'qstat: Unknown Job Id 13.head' >&2; exit 153",
    )
    system = Pbs(torque=False)
    assert list(system.standings(["12.head", "13.head"])) == ["12.head"]
    assert system.certificates(["13.head"]) == {}
    assert (tmp_path / "asked").read_text().splitlines() == [
        "-x -t -f 12.head 13.head",
        "-t -f 12.head 13.head",
        "-t -f 13.head",
    ]


def test_what_else_qstat_refuses_is_told(programs: StandIns) -> None:
    programs.put("qstat", "echo 'qstat: Unauthorized Request' >&2; exit 1")
    with pytest.raises(BatchRefused, match="Unauthorized"):
        Pbs(torque=False).standings(["12.head"])


def test_limits_are_those_of_queues_and_nodes(programs: StandIns) -> None:
    queues = (
        "Queue: long\n    resources_max.walltime = 48:00:00\n    enabled = True\n    started = True\n"
        "Queue: small\n    resources_max.mem = 1gb\n    resources_max.nodect = 1\n    enabled = True\n"
        "    started = False\n"
    )
    programs.say("qstat", queues)
    node = "    resources_available.ncpus = {}\n    resources_available.mem = {}kb\n"
    programs.say("pbsnodes", "n1\n" + node.format(4, 2**22) + "n2\n" + node.format(8, 2**21))
    long, small = Pbs(torque=False).limits()
    assert (long.queue, long.walltime, long.nodes, long.cores, long.memory) == ("long", 172800.0, 2, 8, 2**32)
    assert (small.nodes, small.memory, small.up) == (1, 2**30, False)


@pytest.fixture
def system(pbs: Torque, monkeypatch: pytest.MonkeyPatch) -> Pbs:
    pbs.activate(monkeypatch)
    return Pbs()


@pytest.mark.integration
def test_it_works_over_torques_commands(system: Pbs, tmp_path: Path) -> None:
    """They do not tell exit codes."""
    system.alive()
    promises.knows_nothing_of_others(system)
    wanted = promises.ask("array", tmp_path, count=2)
    ids = promises.submit(system, wanted, f'echo "<{system.own_id}> on {system.own_node}"')
    for index, id in enumerate(ids):
        path = Path(wanted.log.replace("%s", str(index)))
        until(lambda path=path, id=id: path.exists() and f"<{id}>" in path.read_text(), promises.PATIENCE)  # type: ignore[misc]
    assert {found.reason for found in promises.ended(system, ids).values()} == {"its exit code is not known"}
    promises.cancels(system, tmp_path)
    with pytest.raises(BatchRefused, match="partition"):
        promises.submit(system, promises.ask("bad", tmp_path, queue=Queue("nowhere")), "true")
    assert {limits.queue for limits in system.limits()} >= {"main", "debug"}
