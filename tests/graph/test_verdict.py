from __future__ import annotations

from typing import Any

from daskflow.graph.verdict import Verdict, plain_policy
from tests.graph.projects import FakeLauncher


class Matter:
    """What a job of a run is about; two of them are never equal, but for what they say of themselves."""

    def __init__(self, text: str) -> None:
        self.text = text

    def key_text(self) -> str:
        return self.text


def decide(matter: Any, other: int = 0) -> Any:
    return matter


def test_what_it_is_about_counts_in_keys_by_what_it_says_of_itself() -> None:
    verdict = Verdict(decide, plain_policy("decide", cache=True), FakeLauncher())
    assert verdict(Matter("a")).key == verdict(Matter("a")).key
    assert verdict(Matter("a")).key != verdict(Matter("b")).key
    assert verdict(Matter("a"), 1).key != verdict(Matter("a"), 2).key
    assert verdict(Matter("a")).recipe.splitlines()[0] == "matter=a"


def test_its_policy_is_as_good_as_one_that_was_validated() -> None:
    policy = plain_policy("first", cache="run")
    assert policy == type(policy).model_validate({"name": "first", "cache": "run", "version": "1"})
