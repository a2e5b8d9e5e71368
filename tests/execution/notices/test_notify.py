from __future__ import annotations

import functools
import logging
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from daskflow.errors import CredentialsMissing, RunFailed
from daskflow.execution.notices import notify as module
from daskflow.execution.notices.events import EventHub
from daskflow.execution.notices.notify import FAILED, Notifier
from daskflow.execution.notices.rules import Rule
from daskflow.model.records import EventRecord
from daskflow.sites import Site
from tests.conftest import Lab, settings_in
from tests.execution.patience import until
from tests.execution.webhooks import Webhook, webhook


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "*")


@pytest.fixture
def hook() -> Iterator[Webhook]:
    with webhook() as made:
        yield made


class Office:
    """A hub with a notifier; the runs are called `run-of-FLOW`."""

    def __init__(self, *rules: dict[str, Any]) -> None:
        self.hub = EventHub()
        self.recorded: list[tuple[str, str, dict[str, Any]]] = []
        self.notifier = Notifier(
            [Rule.model_validate(rule) for rule in rules],
            SecretStr,
            flow_of=lambda run: run.removeprefix("run-of-"),
            record=lambda run, kind, data: self.recorded.append((run, kind, data)),
        )
        self.notifier.attach(self.hub)

    def tell(self, *kinds: str, flow: str = "study", **data: Any) -> None:
        for kind in kinds:
            self.hub.publish(EventRecord(run=f"run-of-{flow}", kind=kind, time=0.0, key="fit-1", data=data))

    def close(self, timeout: float = 30.0) -> None:
        self.hub.close(30)
        self.notifier.close(timeout)


def blocked(hook: Webhook, office: Office) -> None:
    """Have a first message be under way until the hook answers."""
    hook.answering.clear()
    office.tell("first")
    until(lambda: hook.messages)


def test_a_person_reads_what_happened(hook: Webhook) -> None:
    office = Office({"on": "qa.*", "to": hook.url})
    office.tell("job.failed", "qa.low", score=0.4, stage="import")
    office.close()
    assert [message["title"] for message in hook.messages] == ["study: qa.low"]
    assert hook.messages[0]["message"].splitlines() == [
        "qa.low, 1970-01-01 00:00:00 UTC",
        "flow: study",
        "run: run-of-study",
        "job: fit-1",
        "score: 0.4",
        "stage: import",
    ]
    assert office.recorded == []


def test_what_happens_meanwhile_goes_together(hook: Webhook) -> None:
    office = Office({"on": ["*.failed", "first"], "to": hook.url})
    blocked(hook, office)
    office.tell(*["job.failed"] * 24, "run.failed")
    hook.answering.set()
    office.close()
    assert [message["title"] for message in hook.messages] == [
        "study: first",
        "study: 25 events: job.failed, run.failed",
    ]
    assert [message["type"] for message in hook.messages] == ["info", "failure"]
    assert hook.messages[1]["message"].count("job.failed, ") == 20
    assert "and 5 more: `daskflow show run-of-study` shows them" in hook.messages[1]["message"]


def test_a_rule_that_waits_between_messages_collects(hook: Webhook) -> None:
    office = Office({"on": "*", "to": hook.url, "every": "1 h"})
    office.tell("a")
    until(lambda: hook.messages)
    office.tell("b", "c")
    office.close()
    assert [message["title"] for message in hook.messages] == ["study: a", "study: 2 events: b, c"], (
        "the rest at the end"
    )


def test_only_flows_that_match(hook: Webhook) -> None:
    office = Office({"on": "*", "to": hook.url, "flow": "im*", "every": "1 h"})
    office.tell("a", flow="study")
    office.tell("b", flow="imaging")
    office.close()
    assert [message["title"] for message in hook.messages] == ["imaging: b"]


def _recorded(office: Office, count: int) -> bool:
    return len(office.recorded) == count


def test_a_hook_that_refuses_is_logged_once_and_recorded(hook: Webhook, caplog: pytest.LogCaptureFixture) -> None:
    office = Office({"on": "*", "to": hook.url})
    hook.status = 500
    for count in (1, 2):
        office.tell("a")
        until(functools.partial(_recorded, office, count))
    office.tell(FAILED)
    office.close()
    assert [(run, kind) for run, kind, _ in office.recorded] == [("run-of-study", FAILED)] * 2
    data = office.recorded[0][2]
    assert (data["to"], data["events"]) == (hook.url, 1)
    assert "500" in data["reason"]
    assert len(hook.messages) == 2, "nobody is notified of a notification that failed"
    assert [record.levelno for record in caplog.records if record.name == "daskflow"] == [logging.WARNING]


def test_a_hook_that_hangs_delays_neither_the_end_nor_other_rules(hook: Webhook) -> None:
    with webhook() as other:
        office = Office({"on": "*", "to": hook.url}, {"on": "*", "to": other.url})
        blocked(hook, office)
        until(lambda: other.messages)
        (thread,) = [line._thread for line in office.notifier._lines if line.rule.to == hook.url]
        hook.status = 500
        office.tell("more")
        until(lambda: len(other.messages) == 2)
        office.close(0.05)
        assert thread is not None
        assert thread.is_alive()
        hook.answering.set()
        thread.join(30)
        assert len(hook.messages) == 1, "what waited is given up"
        assert office.recorded == [], "the journal may be closed by now"


def test_events_that_wait_are_few(hook: Webhook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LIMIT", 3)
    office = Office({"on": "*", "to": hook.url})
    blocked(hook, office)
    office.tell("a", "b", "c", "d", "e")
    office.hub.close(30)
    hook.answering.set()
    office.close()
    assert hook.messages[1]["title"] == "study: 3 events: c, d, e"
    assert "2 earlier events were dropped: the service is too slow" in hook.messages[1]["message"]


def test_a_journal_that_does_not_answer_costs_one_message(hook: Webhook, caplog: pytest.LogCaptureFixture) -> None:
    office = Office({"on": "*", "to": hook.url})
    flow_of: Callable[[str], str] = lambda run: {"run-of-study": "study"}[run]  # noqa: E731
    office.notifier._lines[0]._flow_of = flow_of
    office.tell("a", flow="unknown")
    until(lambda: caplog.records)
    office.tell("b")
    office.close()
    assert [message["title"] for message in hook.messages] == ["study: b"]


def failing(lab: Lab) -> Any:
    @lab.task
    def fit(x: int) -> int:
        raise ValueError("the fit diverged")

    @lab.flow
    def study() -> Any:
        return fit(1)

    return study


def test_a_run_that_fails_notifies_and_its_journal_has_no_secret(
    hook: Webhook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shared_sites: dict[str, Site]
) -> None:
    monkeypatch.setenv("HOOK_PASSWORD", "hush-hush")
    monkeypatch.setenv("HOOK", hook.url.partition("://")[2])
    to = "json://me:${HOOK_PASSWORD}@${HOOK}"
    lab = Lab(settings_in(tmp_path, notifications=[{"on": "job.failed", "to": to}]), shared_sites)
    hook.status = 500
    with pytest.raises(RunFailed):
        failing(lab)()
    (run,) = lab.project.journal.runs()
    until(lambda: hook.messages)
    lab.close()
    assert hook.messages[0]["title"] == "study: job.failed"
    assert "reason: ValueError: the fit diverged" in hook.messages[0]["message"]
    assert f"run: {run.id}" in hook.messages[0]["message"]
    with_failure = lab.again()
    (event,) = with_failure.project.journal.events(run.id, FAILED)
    with_failure.close()
    assert event.data["to"] == to
    assert [path for path in tmp_path.rglob("*") if path.is_file() and b"hush-hush" in path.read_bytes()] == []


def test_the_end_of_a_run_is_told(hook: Webhook, tmp_path: Path, shared_sites: dict[str, Site]) -> None:
    rule = {"on": ["run.failed", "run.succeeded"], "to": hook.url}
    lab = Lab(settings_in(tmp_path, notifications=[rule]), shared_sites)
    with pytest.raises(RunFailed):
        failing(lab)()
    lab.close()
    (message,) = hook.messages
    assert (message["title"], message["type"]) == ("study: run.failed", "failure")
    assert "the fit diverged" in message["message"]


def test_a_missing_secret_is_told_before_a_run_is_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shared_sites: dict[str, Site]
) -> None:
    monkeypatch.delenv("HOOK", raising=False)
    lab = Lab(settings_in(tmp_path, notifications=[{"on": "*", "to": "${HOOK}"}]), shared_sites)
    with pytest.raises(CredentialsMissing, match="The variable HOOK is not set"):
        failing(lab)()
    assert lab.project.journal.runs() == []
    lab.close()


def test_a_run_does_not_wait_for_a_hook_that_hangs(
    hook: Webhook, tmp_path: Path, shared_sites: dict[str, Site]
) -> None:
    lab = Lab(settings_in(tmp_path, notifications=[{"on": "*", "to": hook.url}]), shared_sites)
    hook.answering.clear()
    with pytest.raises(RunFailed):
        failing(lab)()
    until(lambda: hook.messages)
    closing = threading.Thread(target=lab.close)
    closing.start()
    closing.join(60)
    assert not closing.is_alive()
