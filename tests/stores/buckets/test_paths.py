from __future__ import annotations

from typing import Any

import pytest

from daskflow.errors import WorkInvalid
from daskflow.stores.buckets.paths import FIELDS, Projection, found, steps

WORK: dict[str, Any] = {
    "id": "w1",
    "user": "ada",
    "results": {"bursts": [{"dm": 1, "snr": 9}, {"dm": 2}, 5], "0": "zero", "empty": [], "none": None},
}


@pytest.mark.parametrize(
    ("path", "values"),
    [
        ("user", ["ada"]),
        ("results.none", [None]),
        ("results.absent", []),
        ("results.bursts.dm", [1, 2]),
        ("results.bursts.0.dm", [1]),
        ("results.bursts.0", [{"dm": 1, "snr": 9}]),
        ("results.bursts.2", [5]),
        ("results.bursts.3", []),
        ("results.bursts.-1", []),
        ("results.bursts.٣", []),
        ("results.bursts.99999999999999999999", []),
        ("results.0", ["zero"]),
        ("results.empty", [[]]),
        ("results.empty.a", []),
        ("user.a", []),
        ("tags", []),
    ],
)
def test_found(path: str, values: list[Any]) -> None:
    assert list(found(WORK, steps(path))) == values


def test_lists_within_lists_are_entered_by_numbers() -> None:
    assert list(found({"results": [[1, 2], [{"a": 3}]]}, ("results", "1", "a"))) == [3]
    assert list(found({"results": [[{"a": 3}]]}, ("results", "a"))) == []


@pytest.mark.parametrize("path", ["", ".", "results.", "results..a", ".user", "results" + ".a" * 100, None, 3])
def test_no_path(path: Any) -> None:
    with pytest.raises(WorkInvalid, match="is no path to a field"):
        steps(path)


def test_fields_are_those_of_works() -> None:
    assert "token" not in FIELDS
    assert {"id", "config", "results", "given_back"} < FIELDS
    with pytest.raises(WorkInvalid, match="Works have no field 'token'; they have attempt, command"):
        steps("token")
    assert steps("dm", within=True) == ("dm",)
    assert steps("tag") == ("tags",)
    assert steps("tag", within=True) == ("tag",)


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("config.parnet", r"no field 'config\.parnet'; do you mean 'config\.parent'\?$"),
        (
            "config.archive.product.0",
            r"no field 'config\.archive\.product'; do you mean 'config\.archive\.products'\?$",
        ),
        ("notify.slak.message", r"no field 'notify\.slak'; do you mean 'notify\.slack'\?$"),
        (
            "notify.slack.xyz",
            r"no field 'notify\.slack\.xyz'; they have notify\.slack\.blocks, notify\.slack\.channel_id",
        ),
        ("config.0", r"no field 'config\.0'; they have config\.archive, config\.metrics"),
        ("evnt", r"no field 'evnt'; do you mean 'event'\?$"),
        ("tokens", "no field 'tokens'; "),
    ],
)
def test_misspelt_parts_of_records_are_refused(path: str, told: str) -> None:
    for asks in (steps, lambda path: Projection({path: 1}), lambda path: Projection({path: 0})):
        with pytest.raises(WorkInvalid, match=told):
            asks(path)


def test_the_parts_of_records_that_works_have() -> None:
    free = ["notify.slack.reply.any.ts", "notify.slack.blocks.blocks.0", "config.orgs.0", "results.config.parnet"]
    for path in ["config", "config.parent", "config.archive.logs", "notify.slack.channel_id", *free]:
        assert steps(path) == tuple(path.split("."))
    assert steps("config.parnet", within=True) == ("config", "parnet")


@pytest.mark.parametrize(
    ("asked", "shown"),
    [
        ({"user": 1}, {"id": "w1", "user": "ada"}),
        ({"user": True, "id": 0}, {"user": "ada"}),
        ({"id": 1}, {"id": "w1"}),
        ({"results.bursts.dm": 1, "id": 0}, {"results": {"bursts": [{"dm": 1}, {"dm": 2}]}}),
        ({"results.absent": 1}, {"id": "w1", "results": {}}),
        ({"user.part": 1, "log": 1}, {"id": "w1"}),
        ({"results": 0}, {"id": "w1", "user": "ada"}),
        ({"id": 0, "results": 0}, {"user": "ada"}),
        ({"id": 0}, {"user": "ada", "results": WORK["results"]}),
        (
            {"results.bursts.dm": 0, "results.0": 0, "user": False},
            {"id": "w1", "results": {"bursts": [{"snr": 9}, {}, 5], "empty": [], "none": None}},
        ),
        ({"log.part": 0, "results": 0}, {"id": "w1", "user": "ada"}),
        ({}, WORK),
    ],
)
def test_projections(asked: dict[str, Any], shown: dict[str, Any]) -> None:
    assert Projection(asked).of(WORK) == shown


def test_a_projection_changes_nothing() -> None:
    before = repr(WORK)
    Projection({"results.bursts": 0}).of(WORK)
    assert repr(WORK) == before


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"user": 1, "log": 0}, "not both"),
        ({"user": 2}, "is no projection"),
        ({"user": "yes"}, "is no projection"),
        ({"user": {"$slice": 1}}, "is no projection"),
        ({"user": 1.0}, "is no projection"),
        (["user"], "is no projection"),
        ({"usr": 1}, "no field 'usr'"),
        ({"results": 1, "results.dm": 1}, "'results.dm', and what it is part of"),
        ({"results.dm": 1, "results": 1}, "'results', and parts of it"),
        ({"tag": 1, "tags": 1}, "itself again"),
    ],
)
def test_no_projection(asked: Any, message: str) -> None:
    with pytest.raises(WorkInvalid, match=message):
        Projection(asked)
