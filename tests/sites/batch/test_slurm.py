from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from daskflow.errors import BatchMissing, BatchRefused, BatchSilent
from daskflow.sites.batch import slurm as module
from daskflow.sites.batch.slurm import Slurm
from daskflow.sites.batch.system import Ask, Phase
from daskflow.sites.pools import Queue
from tests.execution.patience import until
from tests.services.slurm import Slurm as Cluster
from tests.services.slurmcalls import SlurmCalls
from tests.sites.batch import promises
from tests.sites.batch.stand_ins import StandIns, placed

ASK = Ask("run/job", 4, 5 * 2**30 + 1, 3700.0, "/logs/a.log")


RECORD = "JobId=7 JobName=a JobState=FAILED Reason=None ExitCode=3:0 StartTime=1 EndTime=2 NodeList=n1 StdOut=/none"


def head(ask: Ask) -> list[str]:
    lines = Slurm().script(ask, ["echo hello"]).splitlines()
    assert lines[0].startswith("#!")
    assert lines[-1] == "echo hello"
    return [line.removeprefix("#SBATCH ") for line in lines if line.startswith("#SBATCH ")]


def test_the_head_asks_for_what_was_asked() -> None:
    lines = head(ASK)
    assert {"-J run/job", "-n 1", "--cpus-per-task=4", "--mem=5121M", "-t 01:01:40", "--nodes=1"} < set(lines)
    assert {'--output="/logs/a.log"', "--open-mode=append", "--no-requeue"} < set(lines)
    # No log of dask's own, no line for what was not asked for.
    assert not [line for line in lines if line.startswith(("-o", "-e", "-p", "-A", "--gres", "--array", "--signal"))]


def test_the_head_asks_for_what_is_seldom_asked() -> None:
    queue = Queue("long", "me", ("--qos=high", "#SBATCH --mail-type=NONE"), ("module load x",))
    lines = head(
        ASK._replace(gpus=2, count=3, queue=queue, avoid=("n1", "n2"), warn=60.0, requeue=True, log="/50%/a-%s.log")
    )
    wanted = {"-p long", "-A me", "--gres=gpu:2", "--array=0-2", "--exclude=n1,n2", "--signal=B:USR1@60", "--requeue"}
    assert wanted < set(lines)
    assert '--output="/50%%/a-%a.log"' in lines
    assert lines[-2:] == ["--qos=high", "--mail-type=NONE"]


@pytest.mark.parametrize(
    ("cores", "nodes", "tasks", "expected"),
    [(4, 2, None, (8, 1)), (4, 2, 2, (2, 4)), (4, 1, 2, (2, 2)), (4, 2, 3, (3, 2)), (4, 1, 9, (9, 1))],
)
def test_ranks_share_the_cores(cores: int, nodes: int, tasks: int | None, expected: tuple[int, int]) -> None:
    lines = head(ASK._replace(cores=cores, nodes=nodes, tasks=tasks))
    assert [line for line in lines if "task" in line] == [f"--ntasks={expected[0]}", f"--cpus-per-task={expected[1]}"]
    assert "-n 1" not in lines
    assert f"--nodes={nodes}" in lines


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandIns:
    return placed(tmp_path / "programs", monkeypatch)


@pytest.mark.parametrize("silence", ["echo 'Socket timed out on send/recv operation' >&2; exit 1", "exit 0"])
def test_a_lost_answer_does_not_submit_twice(programs: StandIns, tmp_path: Path, silence: str) -> None:
    made = tmp_path / "made"
    programs.put("sbatch", f'[ -e {made} ] && echo 8 && exit; for i; do last=$i; done; echo "$last" > {made}', silence)
    programs.put("squeue", f'echo "7_1|$(cat {made})"; echo "7_0|$(cat {made})"; echo "6|/elsewhere/a.sh"')
    system, ask = Slurm(), ASK._replace(count=2)
    script = system.script(ask, ["true"])
    with pytest.raises(BatchSilent):
        system.submit(script, ask)
    assert system.submit(script, ask) == ["7_0", "7_1"]
    # What was found once is not found again: the next is a submission of its own.
    assert system.submit(script, ask) == ["8_0", "8_1"]


def test_what_was_not_made_is_submitted_again(programs: StandIns, tmp_path: Path) -> None:
    tried = tmp_path / "tried"
    failure = "echo 'Unable to contact slurm controller (connect failure)' >&2; exit 1"
    programs.put("sbatch", f"[ -e {tried} ] && echo '9;cluster' && exit; touch {tried}; {failure}")
    programs.put("squeue", "true")
    system = Slurm()
    with pytest.raises(BatchSilent, match="contact slurm controller"):
        system.submit("script", ASK)
    assert system.submit("script", ASK) == ["9"]


def test_presets_of_the_user_count_where_nothing_else_is_asked(
    programs: StandIns, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs.put("sbatch", f"env > {tmp_path}/env; echo 1")
    given = {
        "SBATCH_PARTITION": "a",
        "SBATCH_QOS": "b",
        "SBATCH_TIMELIMIT": "1",
        "SLURM_JOB_ID": "5",
        "SLURM_CONF": "/c",
    }
    for name, value in given.items():
        monkeypatch.setenv(name, value)

    def seen(queue: Queue) -> set[str]:
        Slurm().submit("script", ASK._replace(queue=queue))
        lines = (tmp_path / "env").read_text().splitlines()
        return {line for line in lines if line.startswith(("SBATCH_", "SLURM_"))} - {"SLURM_TIME_FORMAT=%s"}

    assert seen(Queue()) == {"SBATCH_PARTITION=a", "SBATCH_QOS=b", "SLURM_CONF=/c"}
    assert seen(Queue("c", directives=("--qos=d",))) == {"SLURM_CONF=/c"}


def test_jobs_in_hidden_partitions_are_seen(programs: StandIns) -> None:
    hidden = 'case " $* " in *" --all "*) ;; *) exit 0;; esac'
    programs.put("squeue", hidden, 'echo "7|RUNNING|n1|1795310760|1795314360|None|a"')
    programs.put("scontrol", hidden, f'echo "{RECORD}"')
    system = Slurm()
    assert system.standings(["7"])["7"].phase is Phase.running
    assert system.certificates(["7"])["7"].error == "WorkerLost"
    assert system.certificates(["7", *"12345"])["7"].error == "WorkerLost"


def test_of_several_clusters_all_commands_ask_one(programs: StandIns, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SBATCH_CLUSTERS", "other")
    others = 'case "$1" in --clusters=cm4) ;; *) exit 9;; esac'
    programs.put("sbatch", others, '[ -z "$SBATCH_CLUSTERS$SLURM_CLUSTERS" ] || exit 8; echo "7;cm4"')
    # As with several clusters, whatever is said of headers.
    programs.put("squeue", others, "echo 'CLUSTER: cm4'", 'echo "7|RUNNING|n1|1795310760|1795314360|None|a"')
    programs.put("scontrol", others, "echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1")
    programs.put("sacct", others, 'echo "7|TIMEOUT|0:15|n1|1795310760|1795314360||200M|None"')
    programs.put("scancel", others)
    programs.put("sinfo", others, "echo 'CLUSTER: cm4'", 'echo "main|up|1:00:00|4|6000|(null)|1-2|4"')
    system = Slurm(cluster="cm4")
    assert system.submit("script", ASK) == ["7"]
    assert system.standings(["7"])["7"].phase is Phase.running
    assert system.certificates(["7"])["7"].error == "WalltimeExceeded"
    system.cancel(["7"])
    assert [limits.queue for limits in system.limits()] == ["main"]
    assert system != Slurm()
    assert Slurm() == Slurm(cluster="other")


@pytest.mark.parametrize("variable", ["SBATCH_CLUSTERS", "SLURM_CLUSTERS"])
def test_the_cluster_of_the_user_counts(programs: StandIns, monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    programs.say("sinfo", "")
    assert Slurm().limits() == []
    assert not [word for word in programs.arguments("sinfo") if word.startswith("--clusters")]
    monkeypatch.setenv(variable, "cm4")
    Slurm().limits()
    assert programs.arguments("sinfo")[0] == "--clusters=cm4"
    monkeypatch.setenv(variable, "cm4,serial")
    with pytest.raises(BatchRefused, match="are several clusters"):
        Slurm().limits()


@pytest.mark.parametrize("line", ["--clusters=cm4", "#SBATCH --clusters cm4", "-M cm4", "-Mcm4"])
def test_a_cluster_that_only_a_directive_names_is_refused(line: str) -> None:
    ask = ASK._replace(queue=Queue(directives=("--qos=high", line)))
    with pytest.raises(BatchRefused, match=r"`system: \{cluster: cm4\}`"):
        Slurm().script(ask, [])
    assert f"#SBATCH {line.removeprefix('#SBATCH ')}" in Slurm(cluster="cm4").script(ask, [])


def test_where_nobody_keeps_accounts_nobody_is_asked_again(programs: StandIns, tmp_path: Path) -> None:
    programs.put("scontrol", "echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1")
    programs.put("sacct", f"echo x >> {tmp_path}/asked; echo 'Slurm accounting storage is disabled' >&2; exit 1")
    system = Slurm()
    assert system.certificates(["1"]) == {}
    assert system.certificates(["1"]) == {}
    assert (tmp_path / "asked").read_text() == "x\n"


def test_programs_that_are_not_there_are_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BatchMissing, match="'sbatch'"):
        Slurm().submit("script", ASK)


@pytest.fixture
def system(slurm: Cluster, monkeypatch: pytest.MonkeyPatch) -> Slurm:
    slurm.activate(monkeypatch)
    return Slurm()


@pytest.mark.integration
def test_it_keeps_the_promises(system: Slurm, tmp_path: Path) -> None:
    promises.tells_its_own_id_and_node(system, tmp_path)
    promises.performs_an_array(system, tmp_path)
    promises.tells_of_failure(system, tmp_path)
    promises.knows_nothing_of_others(system)
    found = promises.cancels(system, tmp_path)
    assert (found.error, found.state) == ("Cancelled", "CANCELLED")
    assert found.node


@pytest.mark.integration
def test_one_query_tells_of_many_and_one_call_cancels_them(
    system: Slurm, slurm_calls: SlurmCalls, tmp_path: Path
) -> None:
    array = promises.submit(system, promises.ask("a", tmp_path, count=4), "sleep 600")
    wide = promises.submit(system, promises.ask("w", tmp_path, nodes=2, cores=1), "sleep 600")
    hopeless = promises.submit(system, promises.ask("h", tmp_path, walltime=3600.0, queue=Queue("debug")), "sleep 600")
    ids = [*array, *wide, *hopeless]
    try:
        before = slurm_calls.counts().get("squeue", 0)
        found = system.standings(ids)
        assert slurm_calls.counts().get("squeue", 0) == before + 1
        assert found.keys() == set(ids)
        until(lambda: all(promises.running(system, id) for id in [*array, *wide]))
        found = system.standings(ids)
        assert found[array[0]].node
        first = found[array[0]]
        assert first.start is not None
        assert first.end == first.start + 300
        until(lambda: (promises.standing(system, hopeless[0]) or first).hopeless)
        assert not first.hopeless
    finally:
        system.cancel(ids)
    assert slurm_calls.counts()["scancel"] == 1
    assert {certificate.error for certificate in promises.ended(system, ids).values()} == {"Cancelled"}
    assert slurm_calls.counts().get("sacct", 0) == 0


@pytest.mark.integration
def test_walltime_ends_a_job(system: Slurm, slurm: Cluster, tmp_path: Path) -> None:
    (id,) = promises.submit(system, promises.ask("long", tmp_path, walltime=60.0), "sleep 600")
    until(lambda: promises.running(system, id))
    slurm.hurry(id)
    assert promises.certificate(system, id).error == "WalltimeExceeded"


@pytest.mark.integration
def test_a_job_that_grows_is_told_as_such(system: Slurm, tmp_path: Path) -> None:
    grow = "python3 -c 'import time; x = bytearray(900 * 2**20); time.sleep(600)'"
    (id,) = promises.submit(system, promises.ask("big", tmp_path), grow)
    found = promises.certificate(system, id)
    assert found.error == "OutOfMemory"
    assert "memory" in found.text


@pytest.mark.integration
def test_what_it_does_not_take_is_told(system: Slurm, tmp_path: Path) -> None:
    for more, said in ((Queue("nowhere"), "partition"), (Queue(directives=("--gres=unheard:1",)), "gres")):
        ask = promises.ask("bad", tmp_path, queue=more)
        with pytest.raises(BatchRefused, match=f"(?i){said}"):
            promises.submit(system, ask, "true")
        with pytest.raises(BatchRefused):
            system.rehearse(system.script(ask, ["true"]))
    with pytest.raises(BatchRefused, match=r"(?i)node configuration"):
        promises.submit(system, promises.ask("huge", tmp_path, memory=2**50), "true")
    system.rehearse(system.script(promises.ask("good", tmp_path), ["true"]))


@pytest.mark.integration
def test_its_limits_are_those_of_the_partitions(system: Slurm, slurm: Cluster) -> None:
    found = {limits.queue: limits for limits in system.limits()}
    assert found["main"].default
    assert found["main"].up
    assert found["main"].nodes == len(slurm.nodes)
    assert found["main"].walltime == 86400.0
    assert found["debug"].walltime == 600.0
    assert found["main"].memory is not None
    assert found["main"].memory > 2**30
    assert found["main"].gpus == 2


@pytest.mark.integration
def test_a_controller_that_is_down_is_silent(system: Slurm, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    system.alive()
    # The same cluster, but with nobody at the port of its controller.
    text = Path(os.environ["SLURM_CONF"]).read_text()
    lines = ["SlurmctldPort=9" if line.startswith("SlurmctldPort=") else line for line in text.splitlines()]
    config = tmp_path / "slurm.conf"
    config.write_text("\n".join([*lines, "MessageTimeout=2", ""]))
    monkeypatch.setenv("SLURM_CONF", str(config))
    with pytest.raises(BatchSilent):
        system.alive()
    with pytest.raises(BatchSilent):
        system.standings(["1"])
    with pytest.raises(BatchSilent):
        promises.submit(system, promises.ask("nowhere", tmp_path), "true")


@pytest.mark.integration
def test_a_munge_that_is_dead_is_told_as_such(system: Slurm, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # The same cluster, but nobody listens at the socket.
    text = Path(os.environ["SLURM_CONF"]).read_text()
    config = tmp_path / "slurm.conf"
    config.write_text(re.sub("socket=.*", f"socket={tmp_path}/gone", text))
    monkeypatch.setenv("SLURM_CONF", str(config))
    for ask in (system.limits, lambda: system.standings(["1"])):
        with pytest.raises(BatchSilent, match="munge daemon"):
            ask()
    with pytest.raises(BatchSilent, match="munge daemon"):
        promises.submit(system, promises.ask("nowhere", tmp_path), "true")


@pytest.mark.integration
def test_what_the_controller_forgot_the_accounts_tell(
    slurm_accounting: Cluster, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    slurm_accounting.activate(monkeypatch)
    system = Slurm()
    hold = "python3 -c 'import time; x = bytearray(50 * 2**20); time.sleep(6)'"
    (id,) = promises.submit(system, promises.ask("remembered", tmp_path), hold)
    array = promises.submit(system, promises.ask("array", tmp_path, count=2), "exit 2")
    promises.ended(system, [id, *array])
    monkeypatch.setattr(system, "_records", lambda ids: [])
    found = promises.ended(system, [id, *array])
    assert found[id].error == ""
    assert (found[id].memory or 0) > 40 * 2**20
    assert [(found[one].error, found[one].exit_code) for one in array] == [("WorkerLost", 2)] * 2


@pytest.mark.integration
def test_a_cluster_can_be_named(slurm_accounting: Cluster, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    slurm_accounting.activate(monkeypatch)
    system = Slurm(cluster="daskflow")
    system.alive()
    assert "main" in {limits.queue for limits in system.limits()}
    promises.tells_its_own_id_and_node(system, tmp_path)
    promises.knows_nothing_of_others(system)
    assert promises.cancels(system, tmp_path).error == "Cancelled"
    system.rehearse(system.script(promises.ask("good", tmp_path), ["true"]))
    (id,) = promises.submit(system, promises.ask("remembered", tmp_path), "exit 2")
    promises.certificate(system, id)
    monkeypatch.setattr(system, "_records", lambda ids: [])
    assert promises.certificate(system, id).exit_code == 2


@pytest.mark.integration
def test_many_certificates_come_by_one_call(system: Slurm, slurm_calls: SlurmCalls, tmp_path: Path) -> None:
    ids = promises.submit(system, promises.ask("many", tmp_path, count=module._FEW + 1), "true")
    until(lambda: all((promises.standing(system, id) or 0).phase is Phase.ended for id in ids))  # type: ignore[union-attr]
    before = slurm_calls.counts().get("scontrol", 0)
    assert len(system.certificates(ids)) == len(ids)
    assert slurm_calls.counts()["scontrol"] == before + 1
