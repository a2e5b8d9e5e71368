from __future__ import annotations

import pickle
from typing import Any

from daskflow.errors import ArtifactMissing
from daskflow.execution.asking.answers import chosen
from daskflow.execution.worker.failures import describe
from daskflow.graph.structure import follow


def caught(call: Any) -> BaseException:
    try:
        call()
    except BaseException as error:
        return error
    raise AssertionError("it did not fail")


def test_an_error_with_its_traceback() -> None:
    failure = describe(caught(lambda: int("one")))
    assert failure.type == "ValueError"
    assert failure.message == "invalid literal for int() with base 10: 'one'"
    assert failure.traceback.startswith("Traceback")
    assert 'caught(lambda: int("one"))' in failure.traceback
    assert failure.pickled is not None
    assert isinstance(pickle.loads(failure.pickled), ValueError)


def test_errors_of_modules_bear_their_full_names() -> None:
    assert describe(ArtifactMissing()).type == "daskflow.errors.ArtifactMissing"


def test_frames_of_daskflow_before_the_users_are_left_out() -> None:
    class Shy:
        @property
        def field(self) -> int:
            raise ValueError("shy")

    error = caught(lambda: follow(Shy(), (("attribute", "field"),)))
    # As if `follow` were what performs: its frame comes first, the user's property after it.
    assert error.__traceback__ is not None
    error.__traceback__ = error.__traceback__.tb_next.tb_next  # type: ignore[union-attr]
    text = describe(error).traceback
    assert "structure.py" not in text
    assert 'raise ValueError("shy")' in text


def test_the_last_frame_stays_even_where_it_is_daskflows() -> None:
    error = caught(lambda: follow({}, (("item", "gone"),)))
    assert error.__traceback__ is not None
    error.__traceback__ = error.__traceback__.tb_next.tb_next  # type: ignore[union-attr]
    assert "structure.py" in describe(error).traceback


def test_causes_are_told() -> None:
    def fail() -> None:
        try:
            int("one")
        except ValueError as error:
            raise RuntimeError("no number") from error

    assert "direct cause" in describe(caught(fail)).traceback


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


class Unpicklable(Exception):
    def __reduce__(self) -> Any:
        raise TypeError("stays here")


class Changeling(Exception):
    """Pickles, but does not unpickle: the commonest mistake with errors of one's own."""

    def __init__(self, one: int, two: int) -> None:
        super().__init__(f"{one} {two}")


def test_errors_that_resist() -> None:
    assert describe(Mute()).message == "(its message cannot be had: RuntimeError)"
    resisting = describe(Unpicklable("text"))
    assert (resisting.message, resisting.pickled) == ("text", None)
    failure = describe(Changeling(1, 2))
    assert failure.message == "1 2"
    # dask teaches all errors of a process to be pickled by their attributes, once it is imported.
    assert failure.pickled is None or isinstance(pickle.loads(failure.pickled), Changeling)


def test_huge_errors_are_told_but_not_brought_over() -> None:
    failure = describe(ValueError("x" * 100_000))
    assert failure.pickled is None
    assert len(failure.message) == 100_000


def test_what_daskflow_says_itself_needs_no_frames() -> None:
    error = caught(lambda: chosen([], "a-run"))
    assert error.__traceback__ is not None
    error.__traceback__ = error.__traceback__.tb_next.tb_next  # type: ignore[union-attr]
    assert describe(error).traceback == f"daskflow.errors.NotFound: {error}\n"
