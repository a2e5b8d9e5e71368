"""Cleaning that a person guides, by the engine: the questions, and what the answers do."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import xarray as xr

from daskflow import flow, task
from daskflow.errors import AnswerRefused
from daskflow.examples.imaging.dialogue import CleanOptions, StoppedByPerson, gate, guide
from daskflow.examples.imaging.qa import Score, judge
from tests.execution.patience import until

pytestmark = pytest.mark.usefixtures("place")


@task
def image(peak: float) -> xr.Dataset:
    return xr.Dataset({"residual": ("l", np.array([peak, -peak]))}, attrs={"components": 0})


@task
def halved(before: xr.Dataset, niter: int) -> xr.Dataset:
    """A cycle that halves the residual with so many components."""
    return (before / 2).assign_attrs(components=before.attrs["components"] + niter)


@task
def judged(value: float) -> Score:
    return judge("test", value, "nothing")


@flow(site="synchronous")
def clean(peak: float, interactive: bool) -> Any:
    options = CleanOptions(niter=10, threshold=0.3, interactive=interactive)
    return guide(image(peak), options, lambda before, options: halved(before, options.niter), name="a test")


@flow(site="synchronous")
def judging(value: float, interactive: bool) -> Any:
    score = judged(value)
    gate({"score": score}, interactive=interactive)
    return score


Answer = Callable[..., Any]


@pytest.fixture
def answered() -> Answer:
    def answered(run: Any, *answers: Any) -> Any:
        for answer in answers:
            until(lambda: run.questions() or run.ended)
            run.answer(value=answer)
        return run.result(timeout=60)

    return answered


def test_by_itself_cleaning_goes_to_the_threshold() -> None:
    found = clean(2.0, interactive=False)
    assert np.abs(found["residual"].values).max() == 0.25
    assert found.attrs["components"] == 30


def test_answers_change_the_cycles(answered: Answer) -> None:
    run = clean.submit(4.0, interactive=True)
    first = CleanOptions(niter=7, threshold=0.3)
    found = answered(run, first, CleanOptions(niter=1, threshold=0.6, interactive=False))
    assert np.abs(found["residual"].values).max() == 0.5
    assert found.attrs["components"] == 7 + 1 + 1
    assert [event.kind for event in run.events("clean.*")] == ["clean.cycle"] * 4


def test_a_person_may_take_the_image_as_it_is(answered: Answer) -> None:
    found = answered(clean.submit(8.0, interactive=True), {"threshold": 0.3, "stop": True})
    assert np.abs(found["residual"].values).max() == 8.0


def test_an_answer_that_makes_no_sense_is_refused(answered: Answer) -> None:
    run = clean.submit(16.0, interactive=True)
    until(run.questions)
    assert "16.0000 Jy/beam" in run.questions()[0].prompt
    with pytest.raises(AnswerRefused, match="niter"):
        run.answer(value={"threshold": 0.3, "niter": 0})
    answered(run, {"threshold": 0.3, "stop": True})


def test_low_quality_is_an_event_and_nobody_is_asked_where_nobody_sits() -> None:
    run = judging.submit(0.5, interactive=False)
    assert run.result(timeout=60).value == 0.5
    (event,) = run.events("qa.*")
    assert event.kind == "qa.test.low"


def test_after_low_quality_a_person_goes_on_or_stops(answered: Answer) -> None:
    assert answered(judging.submit(0.4, interactive=True), "go on").value == 0.4
    with pytest.raises(StoppedByPerson, match=r"test, 0\.30"):
        answered(judging.submit(0.3, interactive=True), "stop")


def test_high_quality_asks_nobody() -> None:
    assert judging(0.9, interactive=True).value == 0.9
