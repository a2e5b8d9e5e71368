from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from daskflow import Run
from daskflow.errors import RunFailed
from daskflow.examples.melt import simulation, study
from daskflow.examples.melt.study import SHORTEST, next_length
from daskflow.examples.melt.thermo import Round
from daskflow.model.states import JobState
from tests.services.images import make_lammps
from tests.services.programs import needs

SMALL: dict[str, Any] = {"tolerance": 0.04, "cells": 4, "longest": 20_000}


def found(nsteps: int = 1200, error: float = 0.1) -> Round:
    return Round(nsteps=nsteps, temperature=1.6, pressure=5.8, error=error, correlation=20, drift=0)


def performed(run: Run) -> set[str]:
    return {job.name for job in run.jobs if job.state is JobState.succeeded}


def test_the_error_falls_with_the_square_root_of_the_length() -> None:
    assert next_length(found(), 0.05, 10**6) == 200 + 4 * 1000 * 1.1
    assert next_length(found(), 0.05, 2000) == 2000


def test_it_neither_creeps_nor_jumps() -> None:
    assert next_length(found(), 0.0999, 10**6) == 1800
    assert next_length(found(), 1e-6, 10**6) == 8 * 1200


@pytest.mark.acceptance
@needs("lmp")
@pytest.mark.usefixtures("place")
def test_simulations_get_longer_until_the_pressure_is_known_and_are_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    run = study.submit(**SMALL)
    result = run.result()
    assert result.converged
    assert result.rounds[0].nsteps == SHORTEST
    assert all(one.nsteps < next.nsteps for one, next in pairwise(result.rounds))
    assert [one.error <= 0.04 for one in result.rounds] == [False] * (len(result.rounds) - 1) + [True]
    # What 864 atoms and 50,000 steps give: 5.874 +- 0.010 at 1.643.
    assert result.pressure == pytest.approx(5.87, abs=0.2)
    assert result.temperature == pytest.approx(1.643, abs=0.03)
    assert all(abs(one.drift) < 0.01 for one in result.rounds)
    assert {report.title for report in run.reports} >= {"Result", "Simulations", "Convergence"}

    again = study.submit(**SMALL)
    assert again.result() == result
    assert {job.state for job in again.jobs} == {JobState.cached}

    monkeypatch.setattr(simulation, "MELT", simulation.MELT.replace("87287", "87288"))
    other = study.submit(**SMALL)
    assert other.result().pressure != result.pressure
    assert {job.state for job in other.jobs} == {JobState.succeeded}


@pytest.mark.acceptance
@needs("lmp", "ch-run")
def test_in_a_container_it_gives_the_same(place: Path) -> None:
    image = str(make_lammps(place / "image"))
    plain, contained = study(0.1, cells=4), study(0.1, cells=4, image=image)
    assert contained == plain
    again = study.submit(0.1, cells=4, image=image)
    again.result()
    assert performed(again) == set()


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize("wrong", [{"nsteps": 100}, {"tolerance": 0.0}])
def test_what_cannot_work_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises((ValueError, RunFailed), match="tolerance above zero"):
        study(**wrong)
