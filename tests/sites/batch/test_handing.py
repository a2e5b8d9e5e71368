from __future__ import annotations

import os
import pickle
import signal
import subprocess
from pathlib import Path

import pytest

from daskflow.model.needs import Needs
from daskflow.sites.allocation import Allocation
from daskflow.sites.batch.folder import Begun, ErrandFolder, RunFolder
from daskflow.sites.batch.handing import Deed, Handed, ask_for, body, hand, lacks, misfit, per_node, pool_for, threads
from daskflow.sites.pools import Pool, Queue
from daskflow.sites.site import Node
from tests.execution.patience import until
from tests.sites.batch.papers import Paper, plan_in


def echo(package: bytes) -> tuple[None, bytes, bytes]:
    return None, package, b""


SMALL = Pool("small", 4, 4 * 2**30, 600.0, nodes=1)
WIDE = Pool("wide", 8, 16 * 2**30, 3600.0, gpus=1, nodes=4, queue=Queue("mpi"))


def test_a_node_of_several_ranks_gets_a_core_for_each() -> None:
    assert per_node(Needs(nodes=2, tasks=64)) == Needs(cores=32, tasks=64)
    assert per_node(Needs(nodes=2, tasks=5)).cores == 3
    assert per_node(Needs(nodes=2, cores=4, tasks=4)).cores == 4
    assert per_node(Needs(cores=2)).cores == 2


def test_ranks_share_the_cores_of_their_nodes() -> None:
    assert threads(Needs(cores=4), 4) is None
    assert threads(Needs(nodes=2, cores=4), 4) == 1
    assert threads(Needs(nodes=2, cores=4, tasks=2), 4) == 4
    assert threads(Needs(nodes=2, cores=3, tasks=4), 3) == 1


@pytest.mark.parametrize(
    ("needs", "pool"),
    [
        (Needs(cores=4), "small"),
        (Needs(cores=4, nodes=2), "wide"),
        (Needs(nodes=4, tasks=32), "wide"),
        (Needs(gpus=1), "wide"),
        (Needs(memory=8 * 2**30), "wide"),
        (Needs(seconds=1800.0, declared=True), "wide"),
        (Needs(seconds=1800.0), "small"),
        (Needs(seconds=3600.0, declared=True), "wide"),
        (Needs(nodes=4, tasks=33), None),
        (Needs(nodes=5), None),
        (Needs(seconds=3601.0, declared=True), None),
    ],
)
def test_the_first_pool_that_holds_a_node_takes_it(needs: Needs, pool: str | None) -> None:
    found = pool_for([SMALL, WIDE], needs)
    assert (found.name if found else None) == pool
    assert bool(misfit("cedar", [SMALL, WIDE], needs)) == (pool is None)


def test_what_fits_nowhere_is_told_with_the_nearest_pool_and_the_cure() -> None:
    text = misfit("cedar", [SMALL, WIDE], Needs(nodes=5, cores=8))
    assert "'cedar'" in text
    assert "'wide', which lacks 5 nodes (it has 4)" in text
    assert "Resources(" in text
    assert lacks(SMALL, Needs(nodes=2, tasks=16)) == ["2 nodes (it has 1)", "8 cores (it has 4)"]


def test_batch_jobs_ask_for_what_their_nodes_need(tmp_path: Path) -> None:
    plan = plan_in(tmp_path, SMALL, WIDE)
    node = Node("k", b"", needs=Needs(nodes=2, tasks=4, seconds=60.0, declared=True), name="melt-0123", run="run-9")
    ask = ask_for(node, WIDE, plan, "/log")
    assert (ask.cores, ask.nodes, ask.tasks, ask.queue.queue) == (2, 2, 4, "mpi")
    assert ask.name == "run-9-melt-0123"
    assert ask.memory == 4 * 2**30
    assert 60.0 + plan.margin < ask.walltime <= 200.0
    long = node._replace(needs=Needs(seconds=3599.0, declared=True))
    assert ask_for(long, WIDE, plan, "").walltime == 3600.0
    learned = node._replace(needs=Needs(cores=3, seconds=5.0, memory=7, gpus=1), name="n" * 300)
    ask = ask_for(learned, WIDE, plan, "")
    assert (ask.walltime, ask.tasks, ask.memory, ask.gpus) == (3600.0, 3, 7, 1)
    assert len(ask.name) <= 60


def test_what_is_handed_over_names_what_commands_have(tmp_path: Path) -> None:
    plan = plan_in(tmp_path, WIDE)
    ask = ask_for(Node("k", b"", needs=Needs(nodes=2, cores=3)), WIDE, plan, "")
    place = Allocation("paper", "", "cedar", "", "", 3, 1)
    handed: Handed = pickle.loads(hand(Deed("k", echo, b"x", (), {}), ask, place, {"A": "b"}, []))
    assert handed.variables == {"DASKFLOW_NODES": "2", "DASKFLOW_TASKS": "6", "A": "b"}
    assert handed.directory == os.getcwd()
    deed: Deed = pickle.loads(handed.deed)
    assert deed.perform(b"y") == (None, b"y", b"")


class Bench:
    """Runs the body of a job script with a program in the place of Python."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.folder: ErrandFolder = RunFolder(str(directory / "sha red"), "a-run").new("a-job")
        self.python = directory / "py thon"

    def start(self, program: str, *prologue: str) -> subprocess.Popen[str]:
        self.python.write_text(f"#!/bin/bash\n{program}\n")
        self.python.chmod(0o700)
        plan = plan_in(self.directory, python=str(self.python), environment={"GREETING": "it's $HOME"})
        pool = Pool("main", 1, 1, 300.0, queue=Queue(prologue=prologue))
        ask = ask_for(Node("k", b""), pool, plan, "")
        text = Paper().script(ask, body(self.folder, Paper(), plan, ask))
        return subprocess.Popen(["bash", "-c", text], env={**os.environ, "PAPER_ID": "42_1"}, text=True, stderr=-1)

    def run(self, program: str, *prologue: str) -> tuple[int, str]:
        process = self.start(program, *prologue)
        _, complaint = process.communicate(timeout=60)
        return process.returncode, complaint


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_a_script_notes_its_id_and_its_end(bench: Bench) -> None:
    said = bench.directory / "said"
    code, _ = bench.run(f'printf "%s\\n" "$@" "$GREETING" > {said}; date +%s >> {said}; exit 3')
    assert code == 3
    assert (bench.folder.id, bench.folder.exit_code) == ("42_1", 3)
    *arguments, ends, greeting, now = said.read_text().splitlines()
    assert arguments == ["-m", "daskflow.sites.batch.main", str(bench.folder.path), "42_1", "n1"]
    assert greeting == "it's $HOME"
    assert 270 < int(ends) - int(now) <= 301


def test_a_prologue_that_fails_ends_the_script_and_says_so(bench: Bench) -> None:
    code, complaint = bench.run(f"touch {bench.directory}/ran", "VALUE=3", "(exit 5)", "touch nothing")
    assert code == 5
    assert "a line of the prologue failed, with exit code 5" in complaint
    assert bench.folder.exit_code == 5
    assert not (bench.directory / "ran").exists()


def test_what_the_prologue_sets_is_there(bench: Bench) -> None:
    said = bench.directory / "said"
    assert bench.run(f"echo $WHO > {said}", "export WHO=me", "false || true")[0] == 0
    assert said.read_text() == "me\n"


def test_an_interpreter_that_is_not_there_is_told(bench: Bench) -> None:
    process = bench.start("exit 0")
    process.communicate(timeout=60)
    bench.python.unlink()
    plan = plan_in(bench.directory, python=str(bench.python))
    ask = ask_for(Node("k", b""), plan.pools[0], plan, "")
    text = Paper().script(ask, body(bench.folder, Paper(), plan, ask))
    done = subprocess.run(["bash", "-c", text], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 127
    assert "No such file" in done.stderr
    assert bench.folder.exit_code == 127


def test_a_script_whose_place_another_batch_job_has_says_nothing_of_its_end(bench: Bench) -> None:
    bench.folder.begin(Begun("41", "n1"))
    assert bench.run("exit 0")[0] == 0
    assert bench.run("exit 0", "(exit 5)")[0] == 5
    ready = bench.directory / "ready"
    process = bench.start(f"echo on > {ready}; exec sleep 1000")
    until(lambda: ready.exists() and ready.read_text())
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert not bench.folder.over(bench.folder.names())


def test_a_script_whose_batch_job_performs_notes_its_end(bench: Bench) -> None:
    bench.folder.begin(Begun("42_1", "n1"))
    assert bench.run("exit 3")[0] == 3
    assert bench.folder.exit_code == 3


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_is_passed_on_and_the_end_is_noted_all_the_same(bench: Bench, number: signal.Signals) -> None:
    ready = bench.directory / "ready"
    # As Python does, which waits for what it has to clear up.
    process = bench.start(f"trap 'echo got >> {ready}; exit 9' TERM\necho on > {ready}\nwhile :; do sleep 0.02; done")
    until(ready.exists)
    process.send_signal(number)
    process.communicate(timeout=60)
    assert ready.read_text() == "on\ngot\n"
    assert process.returncode == 9
    assert bench.folder.exit_code == 9
