from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from daskflow.compat.chime import variables
from daskflow.compat.chime.buckets import _own_token
from daskflow.compat.chime.variables import completed
from daskflow.compat.chime.work import Work
from daskflow.errors import WorkInvalid


@pytest.fixture
def secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    found = tmp_path / "secrets"
    found.mkdir()
    monkeypatch.setattr(variables, "_SECRETS", str(found))
    return found


def test_fields_that_are_not_given_come_from_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {
        "PIPELINE": "sample",
        "SITE": "7",
        "USER": "ada",
        "COMMAND": '["echo", "a"]',
        "PARAMETERS": '{"a": 1}',
        "EVENT": "42",
        "TIMEOUT": "7200",
        "PRIORITY": "5",
        "CONFIG_PARENT": "12",
        "CONFIG_ARCHIVE_PLOTS": "move",
        "CONFIG_ARCHIVE_RESULTS": "false",
        "NOTIFY_SLACK_CHANNEL_ID": "C01",
        "NOTIFY_SLACK_RESULTS": "true",
    }
    for name, value in given.items():
        monkeypatch.setenv(f"WORKFLOW_{name}", value)
    work = Work(user="grace", retries=1)
    assert (work.pipeline, work.site, work.user, work.command) == ("sample", "7", "grace", ["echo", "a"])
    assert (work.parameters, work.event, work.timeout, work.priority, work.retries) == ({"a": 1}, [42], 7200, 5, 1)
    archive, slack = work.config.archive, work.notify.slack
    assert (work.config.parent, archive.plots, archive.products, archive.results) == ("12", "move", "copy", False)
    assert (slack.channel_id, slack.results, slack.plots) == ("C01", True, None)


def test_what_is_given_goes_first(monkeypatch: pytest.MonkeyPatch, secrets: Path) -> None:
    (secrets / "workflow_site").write_text("of-a-file\n")
    assert completed({})["site"] == "of-a-file"
    monkeypatch.setenv("WORKFLOW_SITE", "of-a-variable")
    assert completed({})["site"] == "of-a-variable"
    assert completed({"site": "given"})["site"] == "given"
    monkeypatch.setenv("WORKFLOW_CONFIG_ARCHIVE_PLOTS", "move")
    given: dict[str, Any] = {"config": {"archive": {"plots": "delete"}}}
    assert completed(given)["config"] == {"archive": {"plots": "delete"}}
    assert completed({"config": {"parent": "p"}})["config"] == {"parent": "p", "archive": {"plots": "move"}}
    # What is given is not changed itself.
    assert given == {"config": {"archive": {"plots": "delete"}}}
    whole = Work(pipeline="sample", site="local", user="ada", config={"archive": {"plots": "copy"}})
    assert Work.from_dict(whole.payload).config.archive.plots == "copy"
    assert completed({"config": whole.config})["config"] is whole.config


def test_who_gives_a_function_wants_no_command_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKFLOW_COMMAND", '["echo", "a"]')
    assert completed({"function": "statistics.fmean"}) == {"function": "statistics.fmean"}
    assert completed({"function": None})["command"] == ["echo", "a"]
    monkeypatch.setenv("WORKFLOW_FUNCTION", "statistics.fmean")
    assert completed({"command": ["ls"]}) == {"command": ["ls"]}
    with pytest.raises(WorkInvalid, match="together"):
        Work(pipeline="sample", site="local", user="ada")


def test_a_variable_that_does_not_fit_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKFLOW_TIMEOUT", "soon")
    with pytest.raises(WorkInvalid, match="timeout"):
        Work(pipeline="sample", site="local", user="ada")


def test_a_token_may_be_a_secret_of_a_container(monkeypatch: pytest.MonkeyPatch, secrets: Path) -> None:
    monkeypatch.delenv("GITHUB_TOKEN")
    (secrets / "workflow_token").write_text("very-secret\n")
    work = Work(pipeline="sample", site="local", user="ada")
    assert work.token is not None
    assert work.token.get_secret_value() == "very-secret"
    assert "very-secret" not in f"{work!r} {work.payload}"
    assert _own_token() == "very-secret"
    monkeypatch.setenv("WORKFLOW_HTTP_TOKEN", "of-http")
    assert _own_token() == "of-http"
