import logging

import pytest
from pydantic import SecretStr

from daskflow.errors import CredentialsMissing
from daskflow.execution.agents.notices import Notices, slack_secret, text_of
from daskflow.execution.notices.rules import Rule
from daskflow.model.work import Work, WorkStatus
from tests.execution.agents.conftest import make
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


def test_a_failure_is_told_with_its_first_line() -> None:
    work = ended(WorkStatus.failure)
    work.error = "ValueError: no peak\nTraceback"
    assert text_of(work).splitlines() == ["sample ab12 at local: failure in attempt 2", "ValueError: no peak"]
