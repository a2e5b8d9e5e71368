"""Outcomes are plain, immutable and pickle without a class of the user."""

import pickle
import pickletools

import pytest

from daskflow.model.outcome import Failure, Known, LogSlice, Outcome, ReportItem, Stored
from daskflow.model.states import JobState

STORED = Stored(digest="0" * 32, size=3, format="pickle", inline=b"abc")
OUTCOME = Outcome(
    key="f" * 32,
    state=JobState.succeeded,
    attempt=1,
    start=10.0,
    stop=12.5,
    value=STORED,
    log=LogSlice("worker-1/0.log", 0, 120),
    reports=(ReportItem("metric", "chisq", '{"value": 1.1}'),),
)


def test_an_outcome_needs_only_what_each_attempt_has() -> None:
    outcome = Outcome("k", "failed", 2, 0.0, 1.0)
    assert outcome.value is None
    assert outcome.failure is None
    assert outcome.reports == ()


def test_an_outcome_travels_whole() -> None:
    assert pickle.loads(pickle.dumps(OUTCOME)) == OUTCOME


def test_a_failure_is_read_without_the_class_of_its_error() -> None:
    class Local(Exception):
        """Nobody else can import it."""

    error = Local("no convergence")
    failure = Failure(type(error).__qualname__, str(error), "Traceback ...")
    names = [argument for _, argument, _ in pickletools.genops(pickle.dumps(failure, protocol=4))]
    assert pickle.loads(pickle.dumps(failure)) == failure
    assert __name__ not in names


def test_a_change_is_a_copy() -> None:
    again = OUTCOME._replace(attempt=2)
    assert (OUTCOME.attempt, again.attempt) == (1, 2)
    with pytest.raises(AttributeError):
        OUTCOME.attempt = 3  # type: ignore[misc]


def test_a_state_may_be_compared_as_text() -> None:
    assert OUTCOME.state == "succeeded"
    assert JobState(OUTCOME.state).good


def test_what_is_known_may_lie_elsewhere() -> None:
    known = Known(STORED._replace(inline=None), run="20260314-101502-study-7f3a", seconds=2.5)
    assert known.stored.inline is None
    assert known.stored.digest == STORED.digest


def test_equal_content_is_equal() -> None:
    assert Stored("a", 1, "pickle") == Stored("a", 1, "pickle", None)
    assert len({STORED, STORED._replace()}) == 1


def test_an_error_comes_back_where_its_class_is_found() -> None:
    def failure(pickled: bytes | None) -> Failure:
        return Failure("ValueError", "x", "", pickled)

    found = failure(pickle.dumps(ValueError("x")))
    assert isinstance(found.error, ValueError)
    assert failure(None).error is failure(b"no pickle").error is failure(pickle.dumps(1)).error is None
    assert repr(found) == "<Failure ValueError: x>"
