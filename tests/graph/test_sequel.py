from __future__ import annotations

import pickle
from typing import Any

import dask.array as da
import pytest

from daskflow.errors import ArgumentsInvalid, NotInTask, UsageError
from daskflow.graph.flow import Flow
from daskflow.graph.job import Job
from daskflow.graph.lenient import allow_failure
from daskflow.graph.race import Racer
from daskflow.graph.sequel import Begin, Later, Sequel, complete, jobs_of, sequel_of, unfold
from tests.graph.projects import task


def add(x: Any, y: Any = 0) -> Any:
    return x + y


plus = task(add)
study: Flow[Any, Any] = Flow(add, "study", None, None)


def again(sequel: Sequel | None) -> tuple[Any, list[Job]]:
    """As the driver does it, after the sequel has travelled."""
    assert sequel is not None
    return unfold(pickle.loads(pickle.dumps(sequel)), None, lambda step: plus(step.arguments["x"], "begun"))


def test_a_plain_value_leaves_nothing() -> None:
    assert sequel_of([1, {"a": (2, "text")}]) is None


def test_the_jobs_that_are_made_anew_have_the_same_keys() -> None:
    one, array = plus(1), da.ones(3)
    last = plus({"a": [one["p"].q, 5]}, plus(one, array))
    content, jobs = again(sequel_of({"last": last, "part": last.output.x, "plain": 7}))
    assert [job.key for job in jobs] == [last.key]
    assert content["plain"] == 7
    assert repr(content["part"]) == repr(last.output.x)
    assert [up.key for up in jobs[0].upstream if isinstance(up, Job)] == [one.key, plus(one, array).key]


def test_failures_stay_allowed() -> None:
    one, two = plus(1), plus(2)
    content, jobs = again(sequel_of([allow_failure(one), plus(allow_failure(two))]))
    assert [job.key for job in jobs] == [one.key, plus(allow_failure(two)).key]
    assert jobs[1].terms.lenient == {two.key}
    two = content[0].job
    assert complete(content[:1], lambda job: "value", lambda job: "failure") == ["failure"]


def test_flows_are_started_with_the_jobs_they_take() -> None:
    one = plus(1)
    later = Later(study, {"x": [one], "y": 2})
    begun: list[Begin] = []
    sequel = sequel_of([later, one])
    assert sequel is not None
    _, jobs = unfold(sequel, None, lambda step: begun.append(step) or plus(9))  # type: ignore[func-returns-value]
    assert [type(step).__name__ for step in sequel.steps] == ["Call", "Begin"]
    assert begun[0].arguments["x"][0].key == one.key
    assert begun[0].arguments["y"] == 2
    assert len(jobs) == 2


def test_a_flow_in_a_task_can_only_be_returned() -> None:
    later = study.submit(1)
    assert isinstance(later, Later)
    with pytest.raises(NotInTask, match=r"no 'result' of <Flow study> here\. Return what `submit` gave"):
        later.result()
    with pytest.raises(UsageError, match="cannot be hidden"):
        pickle.dumps(later)
    with pytest.raises(NotInTask, match=r"Return `study\.submit\(\.\.\.\)`"):
        study(1)
    with pytest.raises(ArgumentsInvalid):
        study.submit(nothing=1)


def test_races_and_conditions_belong_into_flows() -> None:
    race = Racer(None)([plus(1)])  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"return `NAME\.submit"):
        sequel_of([race])
    with pytest.raises(UsageError, match="conditions belong into a flow"):
        sequel_of(plus(1, when=plus(2).succeeded))


def test_results_take_the_places_of_jobs() -> None:
    one, two = plus(1), plus(2)
    content = {"whole": one, "part": two["a"], "more": [one]}
    assert [job.key for job in jobs_of(content)] == [one.key, two.key]
    values = {one.key: 1, two.key: {"a": "b"}}
    assert complete(content, lambda job: values[job.key], lambda job: None) == {"whole": 1, "part": "b", "more": [1]}
