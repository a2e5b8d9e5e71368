"""Agents as batch jobs: `daskflow work run --pilots N`."""

from __future__ import annotations

from pathlib import Path

import pytest

from daskflow.execution.agents.terms import Terms
from daskflow.model.work import Work
from daskflow.settings.options import Settings
from daskflow.settings.works import WorkSettings
from daskflow.stores.buckets import Buckets
from daskflow.stores.buckets.shelf import Wanted
from daskflow.stores.buckets.table import WorkTable
from daskflow.stores.database import Database
from daskflow.views.fleet import arguments
from tests.views.conftest import Place


def test_an_agent_elsewhere_serves_on_the_same_terms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    wanted = Wanted(("a", "b"), "cedar", "ada", (7,), ("x", "y"), ("run-1",), 4)
    terms = Terms(wanted, "burst.fit", lives=3, idle=60.0, workers=2)
    found = arguments(Settings(works=WorkSettings(store="works.db")), terms, Path("own.yaml"))
    assert found[:2] == ["a", "b"]
    pairs = list(zip(found[2::2], found[3::2], strict=True))
    assert pairs == [
        ("--tag", "x"),
        ("--tag", "y"),
        ("--event", "7"),
        ("--parent", "run-1"),
        ("--site", "cedar"),
        ("--user", "ada"),
        ("--priority", "4"),
        ("--function", "burst.fit"),
        ("--lives", "3"),
        ("--sleep", "30.0"),
        ("--idle", "60.0"),
        ("--workers", "2"),
        ("--argsource", "parameters"),
        ("--url", str(tmp_path / "works.db")),
        ("--config", str(tmp_path / "own.yaml")),
    ]


@pytest.mark.parametrize("url", ["https://works.example.org", "postgresql://db.example.org/works"])
def test_addresses_are_handed_on_as_they_are(url: str) -> None:
    found = arguments(Settings(works=WorkSettings(store=url)), Terms(Wanted(("a",))), None)
    assert found[found.index("--url") + 1] == url


def test_agents_are_batch_jobs_that_end_when_nothing_is_left(place: Place) -> None:
    place.write("done.py", "def add(x):\n    return x + 1\n")
    buckets = Buckets(WorkTable(Database(place.directory / ".daskflow/journal.db")))
    ids = buckets.deposit(
        [Work(pipeline="sample", site="local", user="ada", parameters={"x": number}) for number in range(3)]
    )
    options = ["--site", "local", "--idle", "0.2", "--pilots", "2", "--cores", "1", "--walltime", "10 min"]
    spawned = place.json("work", "run", "sample", "done.add", *options)
    assert [one["name"].rpartition("-")[2] for one in spawned] == ["0", "1"]
    place.run("batch", "monitor", "--logs", "--site", "local")
    found = [buckets.get(id) for id in ids]
    assert [work and work.results for work in found] == [1, 2, 3]
    place.run("batch", "prune", "--site", "local")
    buckets.close()


def test_passwords_stand_on_no_command_line() -> None:
    settings = Settings(works=WorkSettings(store="postgresql://ada:secret@db.example.org/works"))
    found = arguments(settings, Terms(Wanted(("a",))), None)
    assert found[found.index("--url") + 1] == "postgresql://ada@db.example.org/works"
    assert "secret" not in " ".join(found)
