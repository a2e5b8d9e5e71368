from __future__ import annotations

import time
from pathlib import Path

import pytest

from daskflow.errors import BatchRefused
from daskflow.sites.batch.sge import Sge, accounted, error_reasons, listed
from daskflow.sites.batch.system import Ask, Phase
from daskflow.sites.pools import Queue
from tests.execution.patience import until
from tests.services.sge import Sge as Engine
from tests.sites.batch import promises
from tests.sites.batch.stand_ins import placed

ASK = Ask("run/job", 4, 5 * 2**30, 3600.0, "/logs/a.log")


def head(ask: Ask, system: Sge | None = None) -> list[str]:
    lines = (system or Sge()).script(ask, ["true"]).splitlines()
    return [line.removeprefix("#$ ") for line in lines if line.startswith("#$ ")]


def test_the_head_asks_for_what_was_asked() -> None:
    assert {"-N run-job", "-l h_rt=01:00:00", "-pe smp 4", "-j y", "-o /logs/a.log", "-S /bin/bash", "-r n"} < set(
        head(ASK)
    )
    assert "-l h_vmem=1280M" in head(ASK, Sge(memory="h_vmem"))
    assert not [line for line in head(ASK._replace(cores=1)) if line.startswith("-pe")]


def test_the_head_asks_for_what_is_seldom_asked() -> None:
    queue = Queue("long.q", "me", ("-m n",))
    lines = head(
        ASK._replace(nodes=2, count=3, queue=queue, gpus=2, avoid=("n1", "n2"), requeue=True, log="/a b/%s.log")
    )
    wanted = {
        "-q long.q",
        "-P me",
        "-pe mpi 8",
        "-t 1-3",
        "-l gpu=2",
        "-l h=!(n1|n2)",
        '-o "/a b/$TASK_ID.log"',
        "-r y",
    }
    assert wanted < set(lines)
    assert lines[-1] == "-m n"


def test_all_cores_are_reserved_however_few_ranks_there_are() -> None:
    lines = head(ASK._replace(nodes=2, cores=16, tasks=4), Sge(memory="h_vmem"))
    assert {"-pe mpi 32", "-l h_vmem=320M"} < set(lines)
    assert "-pe smp 8" in head(ASK._replace(cores=8, tasks=2))
    assert "-pe mpi 6" in head(ASK._replace(nodes=2, cores=1, tasks=6))


def entry(state: str, *, task: str = "") -> str:
    extra = f"<tasks>{task}</tasks>" if task else ""
    return (
        f"<job_list><JB_job_number>2</JB_job_number><JB_name>raw</JB_name><state>{state}</state>"
        f"<JAT_start_time>2026-11-22T01:51:28</JAT_start_time><queue_name>all.q@n1</queue_name>{extra}</job_list>"
    )


@pytest.mark.parametrize(
    ("state", "phase", "hopeless"),
    [
        ("qw", Phase.pending, False),
        ("hqw", Phase.pending, False),
        ("hRwq", Phase.pending, False),
        ("Eqw", Phase.pending, True),
        ("r", Phase.running, False),
        ("t", Phase.running, False),
        ("Rr", Phase.running, False),
        ("S", Phase.running, False),
        ("dr", Phase.running, False),
    ],
)
def test_states_are_phases(state: str, phase: Phase, hopeless: bool) -> None:
    (found,) = listed(f"<job_info><queue_info>{entry(state, task='3')}</queue_info></job_info>")
    assert (found.id, found.phase, found.hopeless, found.name) == ("2.3", phase, hopeless, "raw")
    assert found.node == ("n1" if phase is Phase.running else "")


def test_jobs_that_run_and_wait_stand_in_one_answer() -> None:
    found = listed(f"<j><queue_info>{entry('r')}</queue_info><job_info>{entry('qw', task='2')}</job_info></j>")
    assert [(one.id, one.phase.value) for one in found] == [("2", "running"), ("2.2", "pending")]
    assert found[0].start == time.mktime((2026, 11, 22, 1, 51, 28, 0, 0, -1))


ACCOUNT = """\
==============================================================
hostname     n1
jobname      raw
jobnumber    2
taskid       {task}
start_time   Sun Nov 22 01:54:14 2026
end_time     Sun Nov 22 01:54:19 2026
slots        2
failed       {failed}
exit_status  {status}
ru_wallclock {wall}
ru_maxrss    4.719KB
maxvmem      {peak}
category     -l h_rt=300,h_vmem=100M -pe smp 2
"""


@pytest.mark.parametrize(
    ("failed", "status", "wall", "peak", "error", "ending"),
    [
        ("0", "0", "5s", "5.199MB", "", (0, None)),
        ("0", "3", "5s", "5.199MB", "WorkerLost", (3, None)),
        ("100 : assumedly after job", "137                  (Killed)", "2s", "5M", "Cancelled", (None, 9)),
        ("37  : qmaster enforced h_rt limit", "137   (Killed)", "301s", "5M", "WalltimeExceeded", (None, 9)),
        ("100 : assumedly after job", "137", "300.5", "5M", "WalltimeExceeded", (None, 9)),
        ("100 : assumedly after job", "137", "2s", "201M", "OutOfMemory", (None, 9)),
        ("26  : opening input/output file", "0", "0s", "0.000B", "WorkerLost", (0, None)),
    ],
)
def test_accounts_are_certificates(
    failed: str, status: str, wall: str, peak: str, error: str, ending: tuple[int | None, int | None]
) -> None:
    text = ACCOUNT.format(task="undefined", failed=failed, status=status, wall=wall, peak=peak)
    found = accounted(text)["2"]
    assert (found.error, found.exit_code, found.signal, found.node) == (error, *ending, "n1")
    assert found.start is not None
    assert found.stop == found.start + 5
    assert found.reason == failed.partition(":")[2].strip()


def test_accounts_of_arrays_have_the_ids_that_were_given() -> None:
    fields = {"failed": "0", "status": "0", "wall": "5s", "peak": "5.000M"}
    found = accounted(ACCOUNT.format(task="1", **fields) + ACCOUNT.format(task="2", **fields))
    assert list(found) == ["2.1", "2.2"]
    assert found["2.1"].memory == 5 * 2**20


def test_reasons_of_errors_are_found() -> None:
    text = "job_number:   6\nerror reason    1:    11/22/2026 01:54:32 [0:32512]: error: can't open output file\n"
    assert error_reasons(text) == {"6": "error: can't open output file"}


def test_an_answer_without_an_id_is_a_refusal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    placed(tmp_path / "programs", monkeypatch).say("qsub", "Your job is unlucky\n")
    with pytest.raises(BatchRefused, match="unlucky"):
        Sge().submit("script", ASK)


@pytest.fixture
def system(sge: Engine, monkeypatch: pytest.MonkeyPatch) -> Sge:
    sge.activate(monkeypatch)
    return Sge()


@pytest.mark.integration
def test_it_keeps_the_promises(system: Sge, tmp_path: Path) -> None:
    system.alive()
    promises.tells_its_own_id_and_node(system, tmp_path)
    promises.performs_an_array(system, tmp_path)
    promises.tells_of_failure(system, tmp_path)
    promises.knows_nothing_of_others(system)
    assert promises.cancels(system, tmp_path).error == "Cancelled"


@pytest.mark.integration
def test_a_job_of_few_ranks_has_all_its_cores(sge: Engine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    sge.activate(monkeypatch)
    # Its one node stands for two.
    system = Sge(spanning="smp")
    wanted = promises.ask("hybrid", tmp_path, nodes=2, cores=3, tasks=2)
    (id,) = promises.submit(system, wanted, 'echo "slots: $NSLOTS."')
    promises.log(wanted, id, "slots: 6.")
    assert promises.certificate(system, id).error == ""


@pytest.mark.integration
def test_walltime_ends_a_job(system: Sge, tmp_path: Path) -> None:
    (id,) = promises.submit(system, promises.ask("long", tmp_path, walltime=3.0), "sleep 600")
    assert promises.certificate(system, id).error == "WalltimeExceeded"


@pytest.mark.integration
def test_what_cannot_begin_is_hopeless_and_told_why(system: Sge, tmp_path: Path) -> None:
    (id,) = promises.submit(system, promises.ask("log", tmp_path, log=f"{tmp_path}/gone/log"), "true")
    try:
        until(lambda: (found := promises.standing(system, id)) is not None and found.hopeless, promises.PATIENCE)
        found = promises.standing(system, id)
        assert found is not None
        assert "can't open output file" in found.reason
    finally:
        system.cancel([id])


@pytest.mark.integration
def test_what_it_does_not_take_is_told(system: Sge, tmp_path: Path) -> None:
    with pytest.raises(BatchRefused, match="unknown queue"):
        promises.submit(system, promises.ask("bad", tmp_path, queue=Queue("nowhere")), "true")
    good = promises.ask("good", tmp_path, cores=2)
    system.rehearse(system.script(good, ["true"]))
    (limits,) = system.limits()
    assert limits.queue == "all.q"
    assert limits.cores
    assert limits.memory
