from __future__ import annotations

from typing import Any

import pytest

from daskflow.errors import ArgumentsInvalid
from daskflow.graph.lenient import Lenient, allow_failure
from tests.graph.endings import make
from tests.graph.projects import task


def gather(values: Any) -> Any:
    return values


def test_a_job_knows_whose_failure_it_takes_as_a_value() -> None:
    one, two = make(2)
    user = task(gather)([allow_failure(one), two])
    assert user.terms.lenient == {one.key}
    assert user.upstream == (one, two)


def test_taking_failures_makes_another_key() -> None:
    (job,) = make(1)
    assert task(gather)(allow_failure(job)).key != task(gather)(job).key


def test_of_a_list_each_one_is_allowed_to_fail() -> None:
    found = allow_failure(make(3))
    assert [type(item) for item in found] == [Lenient] * 3
    assert repr(found[0]).startswith("allow_failure(<Job fit-")


@pytest.mark.parametrize("part", [lambda job: job["a"], lambda job: job.key, lambda job: [job, 3]])
def test_nothing_but_a_job_can_fail(part: Any) -> None:
    with pytest.raises(ArgumentsInvalid, match="allow_failure"):
        allow_failure(part(make(1)[0]))
