from __future__ import annotations

import pytest

from daskflow import errors as ours
from daskflow.compat.prominence import errors

CLASSES = [each for each in vars(errors).values() if isinstance(each, type) and each is not ours.DaskflowError]


def test_all_are_prominence_errors_below_ours() -> None:
    assert len(CLASSES) == 20
    assert all(issubclass(each, errors.ProminenceError) for each in CLASSES)
    assert issubclass(errors.ProminenceError, ours.DaskflowError)


@pytest.mark.parametrize("error", CLASSES)
def test_the_tree_is_drawn_and_each_says_something(error: type[ours.DaskflowError]) -> None:
    assert error.__name__ in (errors.__doc__ or "")
    assert str(error()) == error.__doc__


def test_who_keeps_a_missing_key_apart_catches_it_as_before() -> None:
    with pytest.raises(errors.KeyValueError):
        raise errors.NoSuchKey
    assert errors.ConnectionError.transient
    assert not errors.JobGetError.transient
