"""Benchmarks of works: deposits and agents, on SQLite, and on PostgreSQL beside pgbench with the same statements."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.figures import Budget, Figure, interleaved
from benchmarks.fresh import environment
from daskflow.model.work import Work, WorkStatus
from daskflow.stores.buckets import Buckets
from daskflow.stores.buckets.rows import _DEPOSITED, columns, deposited
from daskflow.stores.buckets.table import WorkTable, _before
from daskflow.stores.database import Database
from daskflow.stores.postgres import PostgreSQL
from daskflow.stores.queries import statement
from tests.services import postgres

BATCH = 1000
AGENTS = 8
PIPELINE = "bench"
RESULTS = {"dm": 332.7, "width": 0.0012, "snr": [9.1, 12.5]}


class Took(NamedTuple):
    """Times of one side in one round."""

    deposit: float
    """Of one batch [s]."""
    perform: float
    """Of one work, withdrawn and updated, with all agents at once [s]."""


def make(number: int) -> Work:
    """A small work, as most are."""
    return Work(
        pipeline=PIPELINE, site="local", user="ada", function="bursts.measure", priority=1 + number % 5,
        parameters={"path": f"/data/{number}.h5", "dm": 332.7, "window": [0, 1024]},
    )  # fmt: skip


def ours(url: str, batches: int) -> Took:
    """Deposit, and have agents in processes of their own perform all."""
    with Buckets(WorkTable(Database(url))) as buckets:
        buckets.count()
        made = [[make(number) for number in range(BATCH)] for _ in range(batches)]
        began = time.perf_counter()
        for works in made:
            buckets.deposit(works)
        deposited = time.perf_counter() - began
    return Took(deposited / batches, _agents(url, batches * BATCH // AGENTS) / (batches * BATCH))


def _agents(url: str, each: int) -> float:
    command = [sys.executable, "-m", "benchmarks.works", url, str(each)]
    agents = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment())
        for _ in range(AGENTS)
    ]
    try:
        for agent in agents:
            _say(agent, "ready")
        began = time.perf_counter()
        for agent in agents:
            assert agent.stdin is not None
            agent.stdin.write(b"go\n")
            agent.stdin.flush()
        for agent in agents:
            _say(agent, "done")
        return time.perf_counter() - began
    finally:
        for agent in agents:
            agent.communicate()


def _say(agent: subprocess.Popen[bytes], word: str) -> None:
    assert agent.stdout is not None
    if agent.stdout.readline().decode().strip() != word:
        raise RuntimeError("an agent ended too early")


def serve(url: str, each: int) -> None:
    """Be an agent that performs so many works, each at once."""
    with Buckets(WorkTable(Database(url))) as buckets:
        buckets.count()
        print("ready", flush=True)
        sys.stdin.readline()
        for _ in range(each):
            work = buckets.withdraw(PIPELINE, site="local", lease=60.0)
            assert work is not None
            work.results = RESULTS
            work.status = WorkStatus.success
            buckets.update(work)
        print("done", flush=True)


def theirs(url: str, batches: int) -> Took:
    """The same statements by pgbench."""
    with Database(url) as database:
        database.open()
    sample = dict(zip(_DEPOSITED, deposited({**make(0).payload, "id": "0" * 32}), strict=True))
    ended = columns({**make(0).payload, "id": "0" * 32, "status": "success", "results": RESULTS, "host": "node7:1"})
    # pgbench has no variables that are empty.
    empty = {name: "NULL" if value is None else "''" for name, value in sample.items() if value in {"", None}}
    fill = ["\\startpipeline", "BEGIN;"]
    for number in range(BATCH):
        fill += [f"\\set id random(1, {2**62})", f"\\set priority {1 + number % 5}", _script("add_work", **empty)]
    fill += ["SELECT pg_notify('works', '');", "COMMIT;", "\\endpipeline"]
    perform = [
        f"{_script('withdraw one site')[:-1]} \\gset held_",
        _script("update_work", **(empty | {"id": ":held_id", "attempt": ":held_attempt", "outcome": ":outcome"})),
    ]
    given = {**sample, "lease": 60.0, "holder": "node7:1"}
    filled = _pgbench(url, fill, {**given, "creation": time.time()}, 1, batches)
    before = " ".join(_before("success"))
    performed = _pgbench(url, perform, {**given, **ended, "before": before}, AGENTS, batches * BATCH // AGENTS)
    return Took(filled, performed)


def _script(name: str, **others: str) -> str:
    """A statement as pgbench takes it: its parameters are variables."""
    sql = PostgreSQL("postgresql://localhost/x").render(statement(name)).replace("%%", "%")
    sql = re.sub(r"%\((\w+)\)s", lambda found: others.get(found[1], f":{found[1]}"), sql)
    return " ".join(re.sub(r"--.*", "", sql).split()) + ";"


def _pgbench(url: str, script: Sequence[str], given: dict[str, Any], clients: int, each: int) -> float:
    """Time of one transaction of all clients together, without that of connecting [s]."""
    base, _, schema = url.partition("?schema=")
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as file:
        file.write("\n".join(script) + "\n")
        file.flush()
        options = [f"-D{name}={0 if value is None else value}" for name, value in given.items() if value != ""]
        options += ["-c", str(clients), "-j", "2", "-t", str(each)]
        done = subprocess.run(
            ["pgbench", "-n", "-M", "prepared", "-f", file.name, *options, base],
            env={**os.environ, "PGOPTIONS": f"-c search_path={schema}"}, capture_output=True, text=True, check=False,
        )  # fmt: skip
    found = re.search(r"tps = ([\d.]+) \(without initial", done.stdout)
    if found is None or f": {clients * each}/{clients * each}" not in done.stdout:
        raise RuntimeError(f"pgbench failed: {done.stdout}{done.stderr[-2000:]}")
    return 1 / float(found[1])


def measure(*, quick: bool, rounds: int) -> list[Figure]:
    """Both stores."""
    batches = 1 if quick else 10
    figures = _figures("SQLite", [_in_a_file(batches) for _ in range(rounds)], [], batches)
    if postgres.programs() is None:
        raise RuntimeError(f"there is no PostgreSQL here: {postgres.INSTALL}")
    with postgres.running(durable=True) as server:

        def side(act: Callable[[str, int], Took]) -> Callable[[int], Took]:
            def measured(_: int) -> Took:
                with server.journal() as url:
                    return act(url, batches)

            return measured

        mine, reference = interleaved(rounds, side(ours), side(theirs))
    return figures + _figures("PostgreSQL", mine, reference, batches)


def _in_a_file(batches: int) -> Took:
    with tempfile.TemporaryDirectory() as directory:
        return ours(str(Path(directory, "works.db")), batches)


def _figures(store: str, mine: list[Took], reference: list[Took], batches: int) -> list[Figure]:
    against = "pgbench, the same statements" if reference else ""
    budget = Budget("ratio", 1.5) if reference else None
    rates = [f"{BATCH / min(took.deposit for took in mine):,.0f} a second at best"]
    rates += [f"{1 / min(took.perform for took in mine):,.0f} a second at best"]
    return [
        Figure(
            f"{store}: deposit of {BATCH:,} works", "ms", tuple(1e3 * took.deposit for took in mine),
            tuple(1e3 * took.deposit for took in reference), against, budget, note=rates[0],
        ),
        Figure(
            f"{store}: a work withdrawn and updated, {AGENTS} agents on {batches * BATCH:,}", "µs",
            tuple(1e6 * took.perform for took in mine), tuple(1e6 * took.perform for took in reference),
            against, budget, note=rates[1],
        ),
    ]  # fmt: skip


ITEMS = {"works": measure}


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]))
