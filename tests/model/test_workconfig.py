from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from daskflow.errors import WorkInvalid
from daskflow.model.work import Work
from daskflow.model.workconfig import (
    Archive,
    Notify,
    Numbers,
    Slack,
    Whole,
    WorkConfig,
    checked,
    known,
    printable,
    told,
)


class Sample(BaseModel):
    numbers: Numbers = []
    whole: Whole = 0


def test_defaults_are_those_of_the_field() -> None:
    config = WorkConfig()
    assert config.archive == Archive(results=True, products="copy", plots="copy", logs="move")
    assert (config.metrics, config.parent, config.orgs, config.teams) == (False, None, ["chimefrb"], None)
    assert config.strategy == "strict"
    assert Notify().slack == Slack()
    assert WorkConfig().orgs is not config.orgs


@pytest.mark.parametrize(
    ("given", "means"),
    [
        ("pass", "bypass"),
        (True, "copy"),
        (False, "bypass"),
        ("move", "move"),
        ("delete", "delete"),
        ("upload", "upload"),
    ],
)
def test_strategies_of_older_versions(given: Any, means: str) -> None:
    assert Archive(products=given).products == means


@pytest.mark.parametrize("given", ["Copy", 1, None, ""])
def test_no_strategy(given: Any) -> None:
    with pytest.raises(WorkInvalid, match="products: it must be 'bypass', 'copy', 'move', 'delete' or 'upload'"):
        Archive(products=given)


def test_a_part_of_a_work_tells_its_place_in_it() -> None:
    with pytest.raises(
        WorkInvalid, match=r"retries: it must be less than 6; config\.archive\.products: it must be 'bypass'"
    ):
        Work(pipeline="a", site="local", user="ada", retries=6, config={"archive": {"products": "burn"}})


def test_an_assignment_that_does_not_fit_changes_nothing() -> None:
    config = WorkConfig()
    with pytest.raises(WorkInvalid, match="plots: it must be 'bypass'"):
        config.archive.plots = "burn"  # type: ignore[assignment]
    with pytest.raises(WorkInvalid, match=r"parent: .*cannot be printed"):
        config.parent = "a\nb"
    with pytest.raises(WorkInvalid, match="parent"):
        config.parent = "a" * 257
    assert config == WorkConfig()


def test_one_is_a_list_of_one() -> None:
    assert WorkConfig.model_validate({"teams": "bursts"}).teams == ["bursts"]
    assert Sample.model_validate({"numbers": 3}).numbers == [3]


@pytest.mark.parametrize("fields", [{"numbers": True}, {"numbers": [1, False]}, {"whole": True}, {"numbers": "a"}])
def test_truth_values_are_no_numbers(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Sample(**fields)


@pytest.mark.parametrize("text", ["a\nb", "\0", "\x1b[31m", "\ud800", "a\u2028b"])
def test_what_cannot_be_shown_in_one_line(text: str) -> None:
    with pytest.raises(ValueError, match="cannot be printed"):
        printable(text)


def test_printable_text_is_itself() -> None:
    assert printable("näive x") == "näive x"


def test_mistakes_are_told_without_what_was_given() -> None:
    with pytest.raises(ValidationError) as caught:
        WorkConfig.model_validate({"archive": {"products": "sesame"}, "unknown": "sesame"})
    text = told(caught.value, WorkConfig)
    assert "archive.products" in text
    assert "unknown: there is no such field; there are archive, metrics, orgs, parent, strategy, teams" in text
    assert "sesame" not in text


@pytest.mark.parametrize(
    ("given", "place", "meant"),
    [
        ({"parents": "a"}, "parents", "'parent'"),
        ({"archive": {"plot": "copy"}}, "archive.plot", "'plots'"),
    ],
)
def test_a_field_that_is_misspelt_is_told_with_what_may_be_meant(given: Any, place: str, meant: str) -> None:
    with pytest.raises(ValidationError) as caught:
        WorkConfig.model_validate(given)
    assert f"{place}: there is no such field; do you mean {meant}?" in told(caught.value, WorkConfig)


def test_a_field_that_is_given_by_both_of_its_names_is_told() -> None:
    with pytest.raises(
        WorkInvalid, match="tag: it is another name of 'tags', which is given too; leave one of them out"
    ):
        Work(pipeline="a", site="local", user="ada", tag=["a"], tags=["b"])


def test_an_attribute_that_is_misspelt_is_told() -> None:
    with pytest.raises(WorkInvalid, match="chanel_id: there is no such field; do you mean 'channel_id'"):
        Slack().chanel_id = "C01"


def test_what_only_newer_versions_know_is_left_out_at_any_depth() -> None:
    newer = {"parent": "a", "queue": 1, "archive": {"logs": "copy", "models": "copy"}}
    assert known(WorkConfig, newer) == {"parent": "a", "archive": {"logs": "copy"}}
    assert known(WorkConfig, {"archive": 7}) == {"archive": 7}
    assert known(WorkConfig, 7) == 7


def test_what_was_changed_is_checked_again() -> None:
    fits = WorkConfig(teams=["radio"]).model_dump()
    assert checked(WorkConfig, fits) == fits
    with pytest.raises(ValueError, match=r"^teams\.0: it must be a text$"):
        checked(WorkConfig, {**fits, "teams": [5]})


def test_a_sentence_has_one_end() -> None:
    with pytest.raises(WorkInvalid, match=r"do you mean 'channel_id'\?$"):
        Slack().chanel_id = "C02"
    with pytest.raises(WorkInvalid, match=r"do you mean 'function'\?$"):
        Work.from_dict({"functon": "math.sqrt", "pipeline": "a", "site": "local", "user": "ada"})
    with pytest.raises(WorkInvalid, match=r"retries: .*[^.]\.$"):
        Work.from_dict({"retries": 9, "pipeline": "a", "site": "local", "user": "ada"})
