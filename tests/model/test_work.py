from __future__ import annotations

import copy
import json
import os
import pickle
import subprocess
import sys
import warnings
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daskflow.errors import WorkInvalid
from daskflow.model.work import LIMIT, LOG_LIMIT, TAGS, TOKENS, WORK_TRANSITIONS, Work, WorkStatus, bucket_name

NEEDED: dict[str, Any] = {"pipeline": "sample", "site": "local", "user": "ada"}


@pytest.fixture(autouse=True)
def _no_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*TOKENS, TAGS):
        monkeypatch.delenv(name, raising=False)


def make(**fields: Any) -> Work:
    return Work(**{**NEEDED, **fields})


class TestFields:
    def test_defaults(self) -> None:
        work = make()
        assert work.creation is not None
        assert {
            name: value for name, value in work.payload.items() if name not in ("creation", "config", "notify")
        } == {
            **NEEDED,
            **dict.fromkeys(("function", "command", "parameters", "results", "products", "plots", "tags", "group")),
            **dict.fromkeys(("event", "id", "start", "stop", "error", "log", "host")),
            **{"timeout": 3600, "retries": 2, "priority": 3, "attempt": 0, "given_back": 0, "status": "created"},
            **{"final": False, "locked": False},
        }

    @pytest.mark.parametrize("missing", list(NEEDED))
    def test_what_is_needed(self, missing: str) -> None:
        with pytest.raises(WorkInvalid, match=f"{missing}: it is needed"):
            Work(**{name: value for name, value in NEEDED.items() if name != missing})

    @pytest.mark.parametrize(
        ("field", "good"),
        [
            ("timeout", (1, 86400)),
            ("retries", (0, 5)),
            ("priority", (1, 5)),
            ("attempt", (0, 2**31 - 1)),
            ("pipeline", ("a", "a" * 128)),
            ("status", tuple(WorkStatus)),
            ("event", ([], [1, 2], [-(2**63)])),
            ("tags", ([], ["a" * 256])),
            ("start", (0, 1.5, -1.0)),
            ("results", (1, 0, False, "x", [], {}, {"a": [None]})),
            ("parameters", ({}, {"a": 1})),
            ("function", ("math.sqrt",)),
            ("command", (["a", "b"], [""])),
        ],
    )
    def test_ranges(self, field: str, good: tuple[Any, ...]) -> None:
        for value in good:
            assert make(**{field: value}).payload[field] == value

    @pytest.mark.parametrize(
        "fields",
        [
            {"timeout": 0},
            {"timeout": 86401},
            {"timeout": 1.5},
            {"timeout": True},
            {"retries": -1},
            {"retries": 6},
            {"retries": False},
            {"priority": 0},
            {"priority": 6},
            {"attempt": -1},
            {"attempt": 2**31},
            {"pipeline": ""},
            {"pipeline": "a" * 129},
            {"pipeline": "a/b"},
            {"pipeline": "é"},
            {"pipeline": "a\n"},
            {"site": ""},
            {"site": "a\0"},
            {"user": "a\nb"},
            {"status": "done"},
            {"event": ["a"]},
            {"event": [True]},
            {"event": [2**63]},
            {"event": True},
            {"tags": [1]},
            {"tags": ["a" * 257]},
            {"start": float("nan")},
            {"stop": float("inf")},
            {"creation": "soon"},
            {"parameters": []},
            {"parameters": {1: 2}},
            {"results": object()},
            {"function": ""},
            {"function": "a\nb"},
            {"function": "math.sqrt", "command": ["ls"]},
            {"config": {"archive": {"products": "burn"}}},
            {"config": {"unknown": 1}},
            {"notify": {"slack": {"unknown": 1}}},
            {"unknown": 1},
            {"parameters": {"x": "y" * LIMIT}},
        ],
    )
    def test_what_does_not_fit(self, fields: dict[str, Any]) -> None:
        with pytest.raises(WorkInvalid, match=r"^The work does not fit: "):
            make(**fields)

    def test_one_is_a_list_of_one(self) -> None:
        work = make(event=3, tag="a", group="g", command="ls", products="p", plots="q")
        assert (work.event, work.tags, work.group, work.command) == ([3], ["a"], ["g"], ["ls"])
        assert (work.products, work.plots) == (["p"], ["q"])

    def test_tag_is_another_name_of_tags(self) -> None:
        work = make()
        work.tag = ["a"]
        assert (work.tag, work.tags) == (["a"], ["a"])
        work.tag = "b"
        assert work.payload["tags"] == ["b"]

    def test_many_bytes_are_refused_however_they_lie(self) -> None:
        with pytest.raises(WorkInvalid, match=r"parameters: it takes .*Write it to a file"):
            make(parameters={"rows": [{"a": [0.123456789] * 1000} for _ in range(400)]})

    def test_of_a_long_log_the_end_is_kept(self) -> None:
        work = make(log="a" * LOG_LIMIT, error="é" * LOG_LIMIT)
        assert work.log == "a" * LOG_LIMIT
        assert work.error is not None
        assert len(work.error.encode()) <= LOG_LIMIT
        assert work.error.startswith("...é")
        assert make(error=work.error).error == work.error


class TestPipeline:
    @pytest.mark.parametrize(("given_name", "made"), [("Sample", "sample"), ("a b_c-1", "a-b-c-1"), ("ÅNGSTRÖM", None)])
    def test_hyphen_case(self, given_name: str, made: str | None) -> None:
        if made is None:
            with pytest.raises(ValueError, match="letters, digits and dashes"):
                bucket_name(given_name)
        else:
            assert bucket_name(given_name) == made

    def test_the_warning_points_at_who_wrote_it(self) -> None:
        work = make()
        for act in (
            lambda: Work(pipeline="Sample A", site="local", user="ada"),
            lambda: setattr(work, "pipeline", "Sample A"),
            lambda: Work.from_dict({**NEEDED, "pipeline": "Sample A"}),
        ):
            with pytest.warns(SyntaxWarning, match="pipeline reformatted to sample-a") as caught:
                act()
            assert [warning.filename for warning in caught] == [__file__]

    def test_a_good_name_warns_of_nothing(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert make().pipeline == "sample"


class TestAssigning:
    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("priority", 6),
            ("command", ["ls"]),
            ("results", object()),
            ("status", "done"),
            ("unknown", 1),
            ("event", "x"),
        ],
    )
    def test_what_is_refused_changes_nothing(self, name: str, value: Any) -> None:
        work = make(function="math.sqrt", results=1)
        before, known = work.payload, set(work.model_fields_set)
        with pytest.raises(WorkInvalid, match=name):
            setattr(work, name, value)
        assert work.payload == before
        assert work.model_fields_set == known
        work.priority = 5
        assert work.payload == {**before, "priority": 5}

    def test_other_fields_stay(self) -> None:
        work = make(tags=["a"], creation=5.0)
        work.results = {"dm": 332.7}
        work.status = WorkStatus.success
        assert (work.tags, work.creation, work.results) == (["a"], 5.0, {"dm": 332.7})

    def test_from_a_function_to_a_command(self) -> None:
        work = make(function="math.sqrt")
        work.function = None
        work.command = ["ls"]
        assert work.command == ["ls"]


class TestPayload:
    def test_what_was_changed_within_is_looked_at_again(self) -> None:
        work = make(parameters={"a": 1}, tags=["a"], event=[1])
        assert work.parameters is not None
        assert work.tags is not None
        work.parameters["b"] = (1, 2)
        work.tags.append("b")
        assert (work.payload["parameters"], work.payload["tags"]) == ({"a": 1, "b": [1, 2]}, ["a", "b"])
        work.parameters["c"] = object()
        with pytest.raises(WorkInvalid, match=r"parameters: parameters\.c is of the type object"):
            work.payload  # noqa: B018
        del work.parameters["c"]
        work.tags.append(3)  # type: ignore[arg-type]
        with pytest.raises(WorkInvalid, match="tags is a list of texts"):
            work.payload  # noqa: B018

    def test_it_is_a_copy(self) -> None:
        work = make(parameters={"a": [1]}, config={"orgs": ["o"]})
        work.payload["parameters"]["a"].append(2)
        work.payload["config"]["orgs"].append("p")
        assert (work.parameters, work.config.orgs) == ({"a": [1]}, ["o"])

    def test_changed_parts(self) -> None:
        work = make()
        work.config.parent = "run"
        work.notify.slack.blocks["a"] = {1: 2}
        with pytest.raises(WorkInvalid, match=r"notify: notify\.slack\.blocks\.a has the key 1"):
            work.payload  # noqa: B018
        work.notify.slack.blocks["a"] = "\0"
        assert work.payload["notify"]["slack"]["blocks"] == {"a": "\ufffd"}
        assert work.payload["config"]["parent"] == "run"

    @given(
        st.fixed_dictionaries(
            {},
            optional={
                "function": st.text("abc.", min_size=1),
                "parameters": st.dictionaries(st.text(max_size=3), st.none() | st.floats() | st.text(max_size=3)),
                "results": st.none() | st.floats() | st.text(max_size=5) | st.lists(st.booleans()),
                "tags": st.lists(st.text(max_size=5), max_size=3),
                "event": st.lists(st.integers(-(2**63), 2**63 - 1), max_size=3),
                "priority": st.integers(1, 5),
                "status": st.sampled_from(WorkStatus),
                "creation": st.floats(allow_nan=False, allow_infinity=False),
                "log": st.text(max_size=5),
                "notify": st.just({"slack": {"member_ids": ["a"]}}),
            },
        )
    )
    def test_round_trip(self, fields: dict[str, Any]) -> None:
        work = make(**fields)
        text = json.dumps(work.payload, allow_nan=False)
        assert Work.from_json(text) == work
        assert Work.from_dict(work.payload) == work
        assert Work.from_dict(work.payload).payload == work.payload
        assert work.model_dump(mode="json") == work.payload

    @pytest.mark.parametrize(
        "text", ["", "[", "3", "[1]", '"a"', "null", "[" * 100_000, '{"pipeline": "a"}', '{"a": 1e999}']
    )
    def test_no_payload(self, text: str) -> None:
        with pytest.raises(WorkInvalid):
            Work.from_json(text)

    @pytest.mark.parametrize("payload", [None, [], "a", {1: 2}])
    def test_no_dictionary(self, payload: Any) -> None:
        with pytest.raises(WorkInvalid, match="no payload of a work"):
            Work.from_dict(payload)


class TestTags:
    def test_those_of_the_variable_are_added_to_new_works(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(TAGS, "c, a,,d ,c")
        work = make(tags=["b", "a", "b"])
        assert work.tags == ["b", "a", "c", "d"]
        assert make().tags == ["c", "a", "d"]
        assert make(creation=5.0, tags=["a"]).tags == ["a"]
        work.tags = ["z"]
        assert work.tags == ["z"]
        assert Work.from_dict(work.payload).tags == ["z"]

    def test_a_variable_that_does_not_fit(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(TAGS, "a" * 300)
        with pytest.raises(WorkInvalid, match="at most 256 letters"):
            make()


class TestToken:
    @pytest.mark.parametrize("name", TOKENS)
    def test_it_is_found(self, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(name, "sesame")
        work = make()
        assert work.token is not None
        assert work.token.get_secret_value() == "sesame"

    def test_the_first_holds(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for number, name in reversed(list(enumerate(TOKENS))):
            monkeypatch.setenv(name, f"t{number}")
            token = make().token
            assert token is not None
            assert token.get_secret_value() == f"t{number}"

    def test_it_is_nowhere_to_be_seen(self) -> None:
        work = make(token="sesame")
        shown = [repr(work), str(work), json.dumps(work.payload), repr(work.__dict__), repr(list(work))]
        shown += [work.model_dump_json(), str(work.model_dump()), f"{work!r:s}", str(work.token)]
        assert not [text for text in shown if "sesame" in text]
        assert "sesame" not in json.dumps(Work.model_json_schema())
        for act in (
            lambda: setattr(work, "priority", "sesame"),
            lambda: make(token=["sesame"]),
            lambda: make(token="sesame", priority=9),
        ):
            with pytest.raises(WorkInvalid) as caught:
                act()
            assert "sesame" not in f"{caught.value}{caught.value!r}"

    def test_it_does_not_travel(self) -> None:
        work = make(token="sesame", tags=["a"])
        pickled = pickle.dumps(work)
        assert b"sesame" not in pickled
        again = pickle.loads(pickled)
        assert again.token is None
        assert again.payload == work.payload
        assert copy.deepcopy(work) == work


class TestStanding:
    @pytest.mark.parametrize(
        ("fields", "ended"),
        [
            ({"status": "created"}, False),
            ({"status": "running", "attempt": 9}, False),
            ({"status": "success"}, True),
            ({"status": "failure", "attempt": 1}, False),
            ({"status": "failure", "attempt": 2}, True),
            ({"status": "failure", "attempt": 2, "given_back": 1}, False),
            ({"status": "failure", "attempt": 1, "retries": 0}, True),
            ({"status": "failure", "attempt": 1, "final": True}, True),
        ],
    )
    def test_ended(self, fields: dict[str, Any], ended: bool) -> None:
        assert make(**fields).ended is ended

    def test_transitions_are_of_all(self) -> None:
        assert WORK_TRANSITIONS.keys() == set(WorkStatus)
        assert not [status for status, after in WORK_TRANSITIONS.items() if status in after or "created" in after]

    def test_values_from_the_buckets_are_taken_as_they_are(self) -> None:
        work = make()
        work.placed(id="a", status=WorkStatus.queued)
        assert (work.id, work.status) == ("a", WorkStatus.queued)
        assert {"id", "status"} <= work.model_fields_set


def test_it_is_light_to_import() -> None:
    line = "import sys, daskflow; daskflow.Work; print(sorted({'numpy', 'dask', 'yaml', 'urllib3'} & set(sys.modules)))"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    done = subprocess.run([sys.executable, "-c", line], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout == "[]\n"


class TestWhatWasStored:
    def test_what_newer_versions_know_is_left_out(self) -> None:
        work = make(config={"parent": "run-1"}, tags=["a"])
        payload = work.payload
        config = {**payload["config"], "queue": 3, "archive": {**payload["config"]["archive"], "models": "copy"}}
        notify = {"slack": {**payload["notify"]["slack"], "emoji": "x"}, "mail": {}}
        newer = {**payload, "shape": [1], "config": config, "notify": notify}
        assert Work.from_stored(newer) == work
        with pytest.raises(WorkInvalid, match=r"config\.archive\.models: .*; shape: "):
            Work.from_dict(newer)

    def test_no_token_is_taken_from_there(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("DASKFLOW_TOKEN", "mine")
        assert Work.from_stored({**make().payload, "token": "another"}).token is None

    def test_what_does_not_fit_is_refused(self) -> None:
        for wrong in ({"config": 7}, {"tags": 7}, {"pipeline": ""}):
            with pytest.raises(WorkInvalid, match=next(iter(wrong))):
                Work.from_stored({**make().payload, **wrong})


def test_a_payload_tells_what_was_changed_within_its_parts() -> None:
    work = make(config={"teams": ["radio"]}, notify={"slack": {"member_ids": ["U1"]}})
    work.config.teams.append(5)  # type: ignore[union-attr, arg-type]
    with pytest.raises(WorkInvalid, match=r"config: teams\.1: it must be a text"):
        work.payload  # noqa: B018
    work.config.teams.pop()  # type: ignore[union-attr]
    work.notify.slack.member_ids.append(None)  # type: ignore[union-attr, arg-type]
    with pytest.raises(WorkInvalid, match=r"notify: slack\.member_ids\.1"):
        work.payload  # noqa: B018


@pytest.mark.parametrize("text", ['"ghp_secret"', '["ghp_secret"]', "ghp_secret", '{"a": ghp_secret}', "9" * 5000])
def test_what_is_no_payload_is_not_shown(text: str) -> None:
    with pytest.raises(WorkInvalid, match="is no ") as caught:
        Work.from_json(text)
    assert "secret" not in str(caught.value)
    assert "999" not in str(caught.value)
