import json
import logging
from typing import Any

import pytest
from pydantic import SecretStr

from daskflow.errors import CredentialsMissing
from daskflow.execution.agents.notices import Notices, slack_secret
from daskflow.execution.notices.rules import Rule
from daskflow.model.work import Work, WorkStatus
from daskflow.stores.buckets import Buckets
from tests.execution.agents.conftest import make
from tests.execution.slacks import GOOD, receiving
from tests.execution.webhooks import webhook


def ended(status: WorkStatus = WorkStatus.success, **fields: object) -> Work:
    work = make("add", **fields)
    work.id, work.attempt, work.status = "ab12", 2, status
    return work


def test_rules_hear_of_the_ends_of_works_by_pipeline() -> None:
    with webhook() as hook:
        notices = Notices([Rule(on=("work.failure",), to=hook.url, flow="sample")])
        notices.tell(ended())
        failed = ended(WorkStatus.failure)
        failed.error = "ValueError: no peak\nTraceback"
        notices.tell(failed)
        failed.attempt = 1
        notices.tell(failed)
        notices.close()
    assert len(hook.messages) == 1
    assert hook.messages[0]["title"] == "sample: work.failure"
    assert hook.messages[0]["type"] == "failure"
    assert "ValueError: no peak" in hook.messages[0]["message"]
    assert "Traceback" not in hook.messages[0]["message"]


def test_a_work_may_ask_for_a_message_to_a_channel() -> None:
    slack = {"channel_id": "C01", "member_ids": ["U07"], "message": "Look!", "results": True, "plots": True}
    with webhook() as hook:
        notices = Notices(secret=lambda: SecretStr(f"{hook.url}/{{channel}}"))
        work = ended(notify={"slack": slack})
        work.results, work.plots, work.products = {"dm": 3}, ["a.png"], ["a.h5"]
        notices.tell(work)
        notices.close()
    assert hook.paths == ["/C01"]
    text = hook.messages[0]["message"]
    assert text.splitlines()[0] == "<@U07> Look!"
    assert '"dm": 3' in text
    assert "a.png" in text
    assert "a.h5" not in text


def test_without_a_channel_each_member_is_told() -> None:
    with webhook() as hook:
        notices = Notices(secret=lambda: SecretStr(f"{hook.url}/{{channel}}"))
        notices.tell(ended(notify={"slack": {"member_ids": ["U07", "U08"]}}))
        notices.tell(ended())
        notices.close()
    assert hook.paths == ["/U07", "/U08"]


def test_where_nobody_keeps_the_token_it_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    def missing() -> SecretStr:
        raise CredentialsMissing("Nobody keeps credentials for 'slack'.")

    notices = Notices(secret=missing)
    with caplog.at_level(logging.WARNING, "daskflow"):
        for _ in range(2):
            notices.tell(ended(notify={"slack": {"channel_id": "C01"}}))
        notices.close()
    assert [record.getMessage() for record in caplog.records] == [
        "Slack was not told of the work ab12: Nobody keeps credentials for 'slack'."
    ]


def test_the_secret_is_a_token_or_a_whole_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DASKFLOW_CREDENTIALS_SLACK", "xoxb-1-2-abc")
    assert slack_secret().get_secret_value() == "xoxb-1-2-abc"
    monkeypatch.setenv("DASKFLOW_CREDENTIALS_SLACK", "json://127.0.0.1:80/{channel}")
    assert slack_secret().get_secret_value() == "json://127.0.0.1:80/{channel}"


def performed(buckets: Buckets, **slack: object) -> Work:
    """A work whose end an agent has just written."""
    buckets.deposit(make("add", notify={"slack": slack}))
    work = buckets.withdraw("sample", lease=60)
    assert work is not None
    work.results, work.status = {"dm": 3}, WorkStatus.success
    buckets.update(work)
    return work


def told(buckets: Buckets, work: Work, answer: str = json.dumps(GOOD)) -> Any:
    """What the work says of Slack after it was told."""
    with receiving((200, {}, answer)) as slack:
        notices = Notices(secret=slack.secret, buckets=buckets)
        notices.tell(work)
        notices.close()
    stored = buckets.get(str(work.id))
    assert len(slack.messages) == max(1, len(work.notify.slack.member_ids or ()))
    return stored and stored.notify.slack.reply


def test_what_slack_answered_is_written_into_the_work(buckets: Buckets) -> None:
    work = performed(buckets, channel_id="C01", blocks={"type": "divider"})
    expected = buckets.get(str(work.id))
    assert told(buckets, work) == GOOD
    stored = buckets.get(str(work.id))
    assert expected is not None
    assert stored is not None
    expected.notify.slack.reply = GOOD
    # Nothing else of it has changed.
    assert stored.payload == expected.payload


def test_each_member_has_an_answer(buckets: Buckets) -> None:
    work = performed(buckets, member_ids=["U07", "U08"])
    assert told(buckets, work) == {"U07": GOOD, "U08": GOOD}


def test_a_refusal_is_written_and_logged(buckets: Buckets, caplog: pytest.LogCaptureFixture) -> None:
    work = performed(buckets, channel_id="C01")
    with caplog.at_level(logging.WARNING, "daskflow"):
        reply = told(buckets, work, '{"ok": false, "error": "channel_not_found"}')
    assert reply == {"ok": False, "error": "channel_not_found"}
    assert caplog.messages == [f"Slack was not told of the work {work.id}: channel_not_found"]


def test_what_became_of_the_work_meanwhile_stays(buckets: Buckets) -> None:
    work = performed(buckets, channel_id="C01")
    again = work.model_copy(deep=True)
    again.status = WorkStatus.queued
    buckets.update(again)
    assert told(buckets, work) == {}
    assert buckets.status()["queued"] == 1
    locked = performed(buckets, channel_id="C01")
    buckets.lock(locked)
    assert told(buckets, locked) == {}
    gone = performed(buckets, channel_id="C01")
    buckets.delete(gone)
    assert told(buckets, gone) is None


def test_what_people_changed_meanwhile_stays(buckets: Buckets) -> None:
    work = performed(buckets, channel_id="C01")
    changed = work.model_copy(deep=True)
    changed.tags = ["seen"]
    buckets.update(changed)
    assert told(buckets, work) == GOOD
    stored = buckets.get(str(work.id))
    assert stored is not None
    assert stored.tags == ["seen"]
