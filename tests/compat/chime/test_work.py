from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

import daskflow
from daskflow.compat.chime import patience
from daskflow.compat.chime.buckets import Buckets
from daskflow.compat.chime.context import HTTPContext
from daskflow.compat.chime.work import InvalidWork, Work
from daskflow.errors import StoreUnavailable, WorkInvalid, WorkLocked, WorkLost
from tests.compat.chime.conftest import TOKENS


def made(**changes: Any) -> Work:
    given = {"pipeline": "sample-pipeline", "site": "local", "user": "ada", "function": "math.hypot"}
    return Work(**{**given, **changes})


@pytest.mark.usefixtures("store")
def test_it_goes_to_its_bucket_and_back() -> None:
    work = made(parameters={"x": 3})
    assert work.deposit() is True
    assert work.id is not None
    assert work.status == "queued"
    found: Any = Work.withdraw(pipeline="sample-pipeline")
    assert {type(found)} == {Work}
    assert (found.id, found.status, found.attempt, found.parameters) == (work.id, "running", 1, {"x": 3})
    assert found.start is not None
    assert Work.withdraw(pipeline="sample-pipeline") is None
    found.results, found.status = {"y": 4}, "success"
    assert found.update() is True
    with daskflow.Buckets() as buckets:
        kept = buckets.get(str(work.id))
    assert kept is not None
    assert (kept.status, kept.results) == ("success", {"y": 4})
    assert found.delete() is True
    assert found.delete() is False


@pytest.mark.usefixtures("store")
def test_ids_come_back_where_they_are_asked_for() -> None:
    work = made()
    assert work.deposit(return_ids=True) == [work.id]
    with pytest.raises(WorkInvalid, match="deposited before"):
        work.deposit()


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, "urgent"),
        ({"event": 7}, "seven"),
        ({"event": [7, 8]}, "seven"),
        ({"site": "chime"}, "chime"),
        ({"priority": 1}, "low"),
        ({"user": "grace"}, "grace"),
        ({"tags": "t"}, "tagged"),
        ({"tags": ["t", "u"]}, "tagged"),
        ({"parent": "p"}, "child"),
        ({"user": "grace", "event": 7}, None),
    ],
)
def test_works_are_withdrawn_by_what_they_are(filters: dict[str, Any], expected: str | None) -> None:
    works = {
        "low": made(priority=1),
        "seven": made(event=[6, 7], priority=2),
        "chime": made(site="chime"),
        "grace": made(user="grace"),
        "tagged": made(tags=["t"]),
        "child": made(config={"parent": "p"}),
        "urgent": made(priority=5),
    }
    with Buckets() as buckets:
        buckets.buckets.deposit(works.values())
    found = Work.withdraw(["sample-pipeline", "other"], **filters)
    assert (None if found is None else found.id) == (None if expected is None else works[expected].id)


def test_the_keywords_of_buckets_say_where(here: Path) -> None:
    work = made()
    assert work.deposit(base_url="there.db", timeout=15.0, debug=True, authentication=True)
    assert Work.withdraw("sample-pipeline") is None
    found: Any = Work.withdraw("sample-pipeline", base_url=here / "there.db")
    # It goes back to where it came from.
    found.status = "success"
    assert found.update()
    assert work.delete()
    with Buckets("there.db") as buckets:
        assert buckets.view() == []
    with pytest.raises(TypeError, match="base"):
        made().deposit(base="there.db")


def test_buckets_are_used_again_where_they_are_given() -> None:
    with Buckets("there.db") as http:
        work = made(http=http)
        assert work.deposit(return_ids=True) == [work.id]
        found = Work.withdraw("sample-pipeline", http=http)
        assert found is not None
        assert found.delete()
        assert http.status()["total"] == 0
    with HTTPContext(base_url="else.db", token=SecretStr("t")) as context:
        work = made(http=context)
        assert work.deposit(return_ids=True) == [work.id]
        assert Work.withdraw("sample-pipeline", http=context) is not None
        assert context.results.client.buckets.count() == 1
    with pytest.warns(FutureWarning, match="http=object is not used"):
        made(http=object()).deposit()


def test_a_token_goes_to_no_other_place(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[tuple[Any, Any]] = []
    start = daskflow.Buckets.__init__

    def noted(buckets: daskflow.Buckets, url: Any = None, *, token: str | None = None) -> None:
        given.append((url, token))
        start(buckets, url, token=token)

    monkeypatch.setattr(daskflow.Buckets, "__init__", noted)
    work = made()
    work.deposit(base_url="a.db", token="for-a")
    work.update()
    with pytest.raises(WorkLost):
        work.update(base_url="b.db")
    work.delete()
    made(token="own").deposit(base_url="c.db")
    made(token="own").deposit(base_url="d.db", token=SecretStr("for-d"))
    made().deposit()
    assert given == [
        ("a.db", "for-a"),
        ("a.db", "for-a"),
        ("b.db", None),
        ("a.db", "for-a"),
        ("c.db", "own"),
        ("d.db", "for-d"),
        (None, None),
    ]


@pytest.mark.usefixtures("store")
def test_it_is_tried_again_while_the_store_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    trouble = [StoreUnavailable("busy"), StoreUnavailable("busy")]
    deposit = daskflow.Buckets.deposit

    def shaky(buckets: daskflow.Buckets, works: Any) -> list[str]:
        if trouble:
            raise trouble.pop()
        return deposit(buckets, works)

    monkeypatch.setattr(patience, "_PAUSES", (0.0, 0.0))
    monkeypatch.setattr(daskflow.Buckets, "deposit", shaky)
    assert made().deposit()
    assert not trouble
    assert Buckets().status()["queued"] == 1


@pytest.mark.usefixtures("store")
def test_a_late_worker_does_not_overwrite_what_another_one_made() -> None:
    made(retries=3).deposit()
    late: Any = Work.withdraw("sample-pipeline")
    with Buckets() as buckets:
        late.status = "failure"
        late.results, late.products, late.plots = {"old": 1}, ["old.fits"], ["old.png"]
        late.update()
        assert buckets.audit()["failed"] == 1
    second: Any = Work.withdraw("sample-pipeline")
    # Each attempt begins with nothing.
    assert (second.attempt, second.results, second.products, second.plots) == (2, None, None, None)
    assert second.parameters == late.parameters
    second.results, second.status = {"new": 2}, "success"
    assert second.update()
    with pytest.raises(WorkLost, match="attempt 2"):
        late.update()
    with Buckets() as buckets:
        (kept,) = buckets.view()
    assert kept["results"] == {"new": 2}
    assert kept["products"] is None


@pytest.mark.usefixtures("store")
def test_what_is_gone_or_locked_is_told() -> None:
    work = made()
    with pytest.raises(WorkInvalid, match="never deposited"):
        work.update()
    work.deposit()
    with Buckets() as buckets:
        buckets.buckets.lock(work)
        for act in (work.update, work.delete):
            with pytest.raises(WorkLocked):
                act()
        buckets.buckets.unlock(work)
    assert work.delete()
    with pytest.raises(WorkLost, match="not there any more"):
        work.update()


def test_payloads_go_round() -> None:
    work = made(event=5, tag="t", group=["g"], results=3)
    assert Work.from_dict(work.payload) == work
    again = Work.from_json(json.dumps(work.payload))
    assert (type(again), again.event, again.tags, again.group, again.results) == (Work, [5], ["t"], ["g"], 3)
    assert pickle.loads(pickle.dumps(work)).payload == work.payload


def test_neither_a_token_nor_a_connection_travels(here: Path) -> None:
    with Buckets("there.db") as http:
        work = made(token="very-secret")
        work.deposit(base_url=here / "there.db", token="very-secret")
        again = pickle.loads(pickle.dumps(work))
        assert b"very-secret" not in pickle.dumps(work)
        assert again.delete()
        assert http.status()["total"] == 0
        assert pickle.loads(pickle.dumps(made(http=http))).user == "ada"


@pytest.mark.parametrize("name", TOKENS)
def test_the_token_is_found_and_never_shown(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GITHUB_TOKEN")
    monkeypatch.setenv(name, "very-secret")
    work = made()
    assert work.token is not None
    assert work.token.get_secret_value() == "very-secret"
    assert "very-secret" not in f"{work.payload} {work!r} {work} {work.model_dump_json()}"
    with pytest.raises(ValueError, match="timeout") as caught:
        made(timeout=0, token="very-secret")
    assert "very-secret" not in str(caught.value)


@pytest.mark.usefixtures("store")
def test_a_new_work_without_a_token_warns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GITHUB_TOKEN")
    with pytest.warns(FutureWarning, match="workflow token required after v4.0.0") as told:
        work = made()
    assert [warning.filename for warning in told] == [__file__]
    # A token of GitHub is sent to no server by itself.
    assert "GITHUB" not in str(told[0].message)
    assert work.deposit()
    # Who has withdrawn it has proved already who it is.
    assert Work.withdraw("sample-pipeline") is not None


@pytest.mark.parametrize(
    "wrong",
    [
        {"pipeline": "a/b"},
        {"timeout": 86401},
        {"retries": 6},
        {"priority": 0},
        {"command": ["true"]},
        {"results": object()},
        {"results": {"nested": [["x" * 1000] * 1000] * 10}},
    ],
)
def test_what_does_not_fit_is_a_value_error(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))) as caught:
        made(**wrong)
    assert isinstance(caught.value, WorkInvalid)
    work = made()
    before = work.payload
    ((name, value),) = wrong.items()
    with pytest.raises(InvalidWork, match=name):
        setattr(work, name, value)
    assert work.payload == before


def test_pipelines_are_reformatted_with_a_warning() -> None:
    with pytest.warns(SyntaxWarning, match="pipeline reformatted to sample-pipeline-2") as told:
        assert made(pipeline="Sample_Pipeline 2").pipeline == "sample-pipeline-2"
    assert [warning.filename for warning in told] == [__file__]


def test_tags_of_the_environment_are_added(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKFLOW_TAGS", "b,c")
    assert made(tags=["a", "b"]).tags == ["a", "b", "c"]


def test_nothing_in_the_home_is_read_or_written(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = here / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    assert made().deposit(base_url=str(here / "works.db"))
    assert list(home.iterdir()) == []
