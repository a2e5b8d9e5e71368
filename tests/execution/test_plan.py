from __future__ import annotations

import pathlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from daskflow.execution.plan import Needs, plan, priors, recalled
from daskflow.graph.job import Job
from daskflow.model.outcome import Known, Stored
from daskflow.model.states import JobState
from daskflow.stores import Database, Journal
from tests.conftest import Lab
from tests.execution.counting import count, counted
from tests.execution.handmade import job, stored


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    made = Journal(Database(str(tmp_path / "plan.db")))
    yield made
    made.database.close()


def know(journal: Journal, *keys: str, value: Stored | None = None, form: str | None = None, inputs: str = "") -> None:
    found = value or stored()
    journal.add_results(
        (key, "work", "code", form, inputs, found.digest, found.size, found.format, found.inline, "before", 1.0, 2.0, 3)
        for key in keys
    )


def lost(found: Mapping[str, Known]) -> set[str]:
    return set()


def keys(jobs: list[Job]) -> list[str]:
    return [one.key for one in jobs]


def diamond() -> list[Job]:
    top = job("top")
    left, right = job("left", top), job("right", top)
    return [top, left, right, job("end", left, right)]


def test_of_nothing_known_everything_is_needed(journal: Journal) -> None:
    planned = plan(diamond(), journal, lost)
    assert (planned.cached, keys(planned.needed), planned.spared) == ([], ["top", "left", "right", "end"], [])


def test_what_is_known_spares_what_it_depends_on(journal: Journal) -> None:
    know(journal, "end")
    planned = plan(diamond(), journal, lost)
    assert [one.key for one, _ in planned.cached] == ["end"]
    assert planned.cached[0][1] == Known(stored(), "before", 2.0)
    assert (planned.needed, keys(planned.spared)) == ([], ["top", "left", "right"])


def test_what_is_needed_needs_all_that_it_depends_on(journal: Journal) -> None:
    know(journal, "right")
    planned = plan(diamond(), journal, lost)
    assert keys(planned.needed) == ["top", "left", "end"]
    know(journal, "left")
    planned = plan(diamond(), journal, lost)
    assert (keys(planned.needed), keys(planned.spared)) == (["end"], ["top"])


def test_what_somebody_waits_for_is_needed(journal: Journal) -> None:
    know(journal, "end")
    planned = plan(diamond(), journal, lost, Needs(asked=["left"]))
    assert (keys(planned.needed), keys(planned.spared)) == (["top", "left"], ["right"])


def test_what_is_never_remembered_is_not_looked_up(journal: Journal) -> None:
    know(journal, "once")
    planned = plan([job("once", cache=False)], journal, lost)
    assert (planned.cached, keys(planned.needed)) == ([], ["once"])


def test_results_whose_bytes_are_gone_are_to_be_replaced(journal: Journal) -> None:
    there, gone = Stored("a" * 32, 100_000, "npy"), Stored("b" * 32, 100_000, "npy")
    know(journal, "top", value=there)
    know(journal, "left", value=gone)
    know(journal, "right")
    planned = plan(
        diamond(), journal, lambda found: {key for key, one in found.items() if one.stored.digest == gone.digest}
    )
    assert [one.key for one, _ in planned.cached] == ["top", "right"]
    assert keys(planned.needed) == ["left", "end"]
    assert planned.gone == {"left"}
    assert "left" in journal.lookup(["left"]), "its bytes may come back: the disk may not be mounted today"


def test_spared_jobs_are_recalled_when_somebody_needs_them() -> None:
    top, left, right, end = diamond()
    right.state = JobState.cached
    late = job("late", left)
    assert keys(recalled([late])) == ["top", "left"]
    for one in (top, left):
        one.state = JobState.queued
    assert recalled([late, end]) == []


def digest_of(path: pathlib.Path) -> str:
    return path.read_text()


def test_priors_of_jobs_that_depend_on_others(journal: Journal) -> None:
    top = job("top")
    left, right = job("left", top), job("right", top)
    left.recipe, left.arguments = "x=1", [1]
    found = priors([top, left, right], journal, digest_of, lambda stored: True)
    assert list(found) == ["left", "right"]
    assert found["left"].results == ()
    know(journal, "earlier", form=found["left"].form, inputs="inputs")
    found = priors([left, right], journal, digest_of, lambda stored: True)
    assert found["left"].results == (("inputs", stored()),)
    assert found["right"].results == ()
    assert priors([left], journal, digest_of, lambda stored: False)["left"].results == (), "somebody else signed it"


@pytest.mark.parametrize("nested", [False, True])
def test_early_cutoff_sees_that_a_file_changed(lab: Lab, tmp_path: Path, nested: bool) -> None:
    file = tmp_path / "data.txt"

    @lab.task
    def base(x: int) -> int:
        return abs(x)

    @lab.task
    def read(path: Path, y: int) -> str:
        return path.read_text() + str(y)

    @lab.task
    def read_both(both: tuple[Path, int]) -> str:
        return both[0].read_text() + str(both[1])

    @lab.flow
    def study() -> Any:
        return read_both((file, base(1))) if nested else read(file, base(1))

    for content in ("one ", "other "):
        file.write_text(content)
        assert study() == f"{content}1"


@pytest.mark.parametrize("cache", ["run", False])
def test_early_cutoff_does_not_reach_beyond_the_policy(lab: Lab, tmp_path: Path, cache: Any) -> None:
    notes = tmp_path / "notes"
    notes.mkdir()
    directory = str(notes)

    @lab.task
    def base(x: int) -> int:
        return abs(x)

    def work(y: int) -> int:
        count(directory, "work")
        return y

    remembered, own = lab.task(work), lab.task(cache=cache)(work)

    @lab.flow
    def study(task: str) -> Any:
        return (remembered if task == "remembered" else own)(base(1))

    for times, task in enumerate(["remembered", "own", "own"], 1):
        assert study(task) == 1
        assert counted(notes) == {"work": times}
