"""Agents that are killed at random and started again, and whether each work ends as it should.

`python -m tests.acceptance.reaping STORE --works 20000 --agents 8` does it on a large scale, and prints what came out.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from daskflow.errors import WorkLost
from daskflow.model.work import Work, WorkStatus
from daskflow.stores.buckets import Buckets
from daskflow.stores.buckets.table import WorkTable
from daskflow.stores.database import Database

PIPELINE = "mortal"
LEASE = 2.0
"""An agent that was killed has lost its work after this time [s]."""


class Held(NamedTuple):
    """One stretch in which an agent held a work; monotonic times of the machine [s]."""

    work: str
    attempt: int
    agent: str
    start: float
    stop: float


class Outcome(NamedTuple):
    """What came of all works."""

    works: int
    success: int
    failure: int
    withdrawn: int
    kills: int
    seconds: float


class Diary:
    """What an agent did, one line for each thing, written before the next one begins."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def note(self, what: str, work: Work, moment: float) -> None:
        line = json.dumps([what, work.id, work.attempt, moment]) + "\n"
        os.write(self._file, line.encode())


def serve(store: str, diary: Diary, name: str, seed: int) -> None:
    """Perform works until all have ended: most succeed, some fail, some are given back."""
    chance = random.Random(seed)
    with Buckets(WorkTable(Database(store))) as buckets:
        while True:
            asked = time.monotonic()
            work = buckets.withdraw(PIPELINE, lease=LEASE)
            if work is None:
                audited = buckets.audit()
                counted = buckets.status()
                if not (audited["failed"] or counted["queued"] or counted["running"] or audited["expired"]):
                    return
                buckets.shelf.await_deposit([PIPELINE], 0.2)
                continue
            diary.note("taken", work, time.monotonic())
            # Who has not been heard of for a lease holds it no more, and must not act as if: so ours ends then.
            _end(buckets, diary, work, chance, asked + LEASE, name)


def _end(buckets: Buckets, diary: Diary, work: Work, chance: random.Random, until: float, name: str) -> None:
    fate = chance.random()
    with suppress(WorkLost):
        if fate < 0.1:
            diary.note("left", work, min(time.monotonic(), until))
            buckets.give_back(work)
            return
        work.results = {"attempt": work.attempt, "agent": name, "sum": sum((work.parameters or {})["x"])}
        work.status = WorkStatus.failure if fate < 0.2 else WorkStatus.success
        diary.note("left", work, min(time.monotonic(), until))
        buckets.update(work)
        diary.note(work.status, work, time.monotonic())


class Agents:
    """Agents in processes of their own."""

    def __init__(self, store: str, directory: Path, number: int) -> None:
        self._store = store
        self._directory = directory
        self._started = 0
        self.killed: dict[str, float] = {}
        """When each one that was killed was known to be dead."""
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        for _ in range(number):
            self.start()

    def start(self) -> None:
        self._started += 1
        name = f"agent-{self._started}"
        command = [sys.executable, "-m", __spec__.name, self._store, "--serve", name, "--diaries", str(self._directory)]
        self.running[name] = subprocess.Popen([*command, "--seed", str(self._started)], cwd=Path(__file__).parents[2])

    def kill(self, name: str) -> None:
        process = self.running.pop(name)
        process.kill()
        process.wait()
        self.killed[name] = time.monotonic()

    def ended(self) -> list[int]:
        """Exit codes of those that ended by themselves."""
        return [code for process in self.running.values() if (code := process.poll()) is not None]

    def close(self) -> None:
        for process in self.running.values():
            process.kill()
            process.wait()


def reap(store: str, directory: Path, works: int, agents: int, kills: int) -> Outcome:
    """Deposit works, have them performed by agents that are killed again and again, and check all.

    Raises
    ------
    AssertionError
        A work was lost, ended twice, or was held twice at a time.
    """
    with Buckets(WorkTable(Database(store))) as buckets:
        ids: list[str] = []
        for begin in range(0, works, 1000):
            batch = range(begin, min(begin + 1000, works))
            ids += buckets.deposit([_work(number) for number in batch])
        began = time.monotonic()
        crowd = Agents(store, directory, agents)
        try:
            _hunt(crowd, directory, works, kills)
            for process in crowd.running.values():
                assert process.wait(600) == 0
        finally:
            crowd.close()
        seconds = time.monotonic() - began
        check(buckets, directory, ids, crowd.killed)
        counted = buckets.status()
        withdrawn = sum(held.attempt > 0 for held in holders(directory, crowd.killed))
    return Outcome(works, counted["success"], counted["failure"], withdrawn, len(crowd.killed), seconds)


def _work(number: int) -> Work:
    return Work(
        pipeline=PIPELINE, site="local", user="ada", function="math.fsum", parameters={"x": [number, 1]},
        retries=number % 6, priority=1 + number % 5, tags=["all", f"tag-{number % 7}"], event=[number],
    )  # fmt: skip


def _hunt(crowd: Agents, directory: Path, works: int, kills: int) -> None:
    """Kill one agent after another, each when a random number of works more have been withdrawn."""
    chance = random.Random(works)
    step = works / (kills + 1)
    for number in range(kills):
        goal = (number + chance.random()) * step
        while sum(path.stat().st_size for path in directory.iterdir()) < goal * 150:
            if crowd.ended():
                return
            time.sleep(0.001)
        crowd.kill(chance.choice(sorted(crowd.running)))
        crowd.start()


def _notes(directory: Path) -> Iterator[tuple[str, str, str, int, float]]:
    for path in directory.iterdir():
        for line in path.read_text().splitlines():
            what, work, attempt, moment = json.loads(line)
            yield path.stem, what, work, attempt, moment


def holders(directory: Path, killed: dict[str, float]) -> list[Held]:
    """Who held what, and when; who was killed held it until then."""
    begun: dict[tuple[str, str, int], float] = {}
    found = []
    for agent, what, work, attempt, moment in _notes(directory):
        if what == "taken":
            begun[agent, work, attempt] = moment
        elif what == "left":
            found.append(Held(work, attempt, agent, begun.pop((agent, work, attempt)), moment))
    for (agent, work, attempt), moment in begun.items():
        found.append(Held(work, attempt, agent, moment, min(killed[agent], moment + LEASE)))
    return found


def check(buckets: Buckets, directory: Path, ids: list[str], killed: dict[str, float]) -> None:
    """See that each work has ended once, and that nobody held one that another held."""
    found = {str(work.id): work for work in buckets.view(limit=-1)}
    assert sorted(found) == sorted(ids), "works were lost, or are there that nobody deposited"
    assert not [work for work in found.values() if not work.ended], "works have not ended"
    stretches: dict[str, list[Held]] = {id: [] for id in ids}
    for held in holders(directory, killed):
        stretches[held.work].append(held)
    for id, held_here in stretches.items():
        _check_holders(found[id], sorted(held_here, key=lambda held: held.attempt))
    successes = [(work, attempt) for _, what, work, attempt, _ in _notes(directory) if what == "success"]
    assert len(set(dict(successes))) == len(successes), "a work succeeded twice"
    for id, attempt in successes:
        assert (found[id].status, found[id].attempt) == ("success", attempt), "a success was overwritten"


def _check_holders(work: Work, held: list[Held]) -> None:
    attempts = [each.attempt for each in held]
    assert len(set(attempts)) == len(attempts), "two agents had the same attempt"
    assert work.attempt >= max(attempts, default=0)
    for earlier, later in pairwise(held):
        assert earlier.stop <= later.start, f"{earlier} and {later} held it at a time"
    if work.status is WorkStatus.success:
        (last,) = [each for each in held if each.attempt == work.attempt]
        assert work.results == {"attempt": last.attempt, "agent": last.agent, "sum": sum((work.parameters or {})["x"])}
    else:
        assert work.attempt - work.given_back >= max(work.retries, 1), "it failed with attempts left"


def main() -> None:
    """Be one of the agents, or all of it."""
    parser = argparse.ArgumentParser(prog="python -m tests.acceptance.reaping")
    parser.add_argument("store")
    parser.add_argument("--works", type=int, default=20_000)
    parser.add_argument("--agents", type=int, default=8)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--serve", help="name of an agent to be")
    parser.add_argument("--diaries", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    if given.serve:
        serve(given.store, Diary(given.diaries / given.serve), given.serve, given.seed)
        return
    with tempfile.TemporaryDirectory() as directory:
        print(reap(given.store, Path(directory), given.works, given.agents, given.kills))


if __name__ == "__main__":
    main()
