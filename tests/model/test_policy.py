from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from daskflow.errors import ArgumentsInvalid
from daskflow.model.policy import Policy, Resources, policy_change


def test_a_function_may_decide_on_retries() -> None:
    def worth(error: BaseException, attempts: int) -> bool:
        return attempts < 2

    assert Policy(name="fit", retry_on=worth).retry_on is worth


def test_what_holds_where_nothing_is_said() -> None:
    policy = Policy(name="fit")
    assert (policy.cache, policy.retries, policy.timeout, policy.site, policy.version) == (True, 0, None, None, None)
    assert policy.resources == Resources()
    assert (policy.resources.cores, policy.resources.nodes, policy.resources.gpus) == (1, 1, 0)


def test_units_are_read() -> None:
    policy = Policy.model_validate(
        {"name": "fit", "timeout": "2 h", "backoff": ["1 s", 2], "resources": {"memory": "8 GiB", "walltime": "1 d"}}
    )
    assert policy.timeout == 7200
    assert policy.pause(1) == 1
    assert policy.pause(2) == 2
    assert (policy.resources.memory, policy.resources.walltime) == (2**33, 86400)


@pytest.mark.parametrize("given", [ValueError, [ValueError], (ValueError,)])
def test_one_error_or_several_are_worth_another_attempt(given: Any) -> None:
    assert Policy.model_validate({"name": "fit", "retry_on": given}).retry_on == (ValueError,)


def test_pauses() -> None:
    assert [Policy(name="f", backoff=2).pause(n) for n in (1, 2)] == [2, 2]
    assert [Policy(name="f", backoff=(1, 5)).pause(n) for n in (1, 2, 3)] == [1, 5, 5]
    assert Policy(name="f", backoff=()).pause(1) == 0
    assert [Policy(name="f", backoff=lambda made: 2**made).pause(n) for n in (1, 2)] == [2, 4]


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": ""},
        {"name": "a b"},
        {"name": "1a"},
        {"name": "a" * 101},
        {"cache": "always"},
        {"cache": 2},
        {"retries": -1},
        {"timeout": 0},
        {"timeout": "-1 s"},
        {"retry_on": int},
        {"retry_on": "OSError"},
        {"jitter": -0.1},
        {"jitter": 1.5},
        {"resources": {"memory": 0}},
        {"backoff": "soon"},
        {"resources": {"cores": 0}},
        {"resources": {"gpus": -1}},
        {"resources": {"nodes": 0}},
        {"resources": {"tasks": 0}},
        {"resources": {"walltime": 0}},
        {"resources": {"walltime": "0 s"}},
        {"resources": {"walltime": float("nan")}},
        {"resources": {"walltime": timedelta(seconds=-5)}},
        {"resources": {"memory": 16}},
        {"resources": {"memory": float("inf")}},
        {"timeout": timedelta(seconds=-5)},
        {"backoff": timedelta(seconds=-5)},
        {"backoff": float("nan")},
        {"resources": {"memory": "much"}},
        {"other": 1},
    ],
)
def test_what_does_not_fit(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Policy.model_validate({"name": "fit", **wrong})


def test_memory_without_its_unit_is_told() -> None:
    with pytest.raises(ArgumentsInvalid, match="16 is 16 bytes, and less than 1000 B is too little; write 16 GiB"):
        Resources(memory=16)


def test_resources_tell_all_that_does_not_fit() -> None:
    with pytest.raises(ArgumentsInvalid) as caught:
        Resources(cores=0, wallltime="2 h")  # type: ignore[call-arg]
    assert str(caught.value) == (
        "Resources(): cores: it must be at least 1; wallltime: there is no such field; do you mean 'walltime'?"
    )


def test_resources_of_a_policy_tell_their_place_in_it() -> None:
    with pytest.raises(ValidationError) as caught:
        Policy.model_validate({"name": "fit", "retries": -1, "resources": {"cores": 0}})
    assert [each["loc"] for each in caught.value.errors()] == [("retries",), ("resources", "cores")]


def test_changes_are_checked_and_leave_the_policy_as_it_was() -> None:
    policy = Policy(name="fit", retries=1)
    changed = policy_change(policy, {"timeout": "1 min", "cache": "run"})
    assert (changed.timeout, changed.cache, changed.retries) == (60, "run", 1)
    assert policy.timeout is None
    with pytest.raises(ValidationError):
        policy_change(policy, {"retries": -1})
    with pytest.raises(ValidationError):
        policy.retries = 2
