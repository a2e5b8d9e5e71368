from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import SecretStr

from daskflow.execution.agents.slack import Slack, blocks_of, text_of
from daskflow.model.work import Work, WorkStatus
from tests.execution.agents.conftest import make
from tests.execution.slacks import GOOD, TOKEN, receiving


def ended(status: WorkStatus = WorkStatus.success, **slack: Any) -> Work:
    work = make("add", notify={"slack": slack})
    work.id, work.attempt, work.status = "ab12", 2, status
    return work


def test_a_message_is_posted_with_the_token_and_the_answer_comes_back() -> None:
    with receiving((200, {}, json.dumps(GOOD))) as slack:
        answer = Slack(slack.secret).post("C01", ended(message="Look!", member_ids=["U07"]))
    assert answer == GOOD
    assert slack.tokens == [f"Bearer {TOKEN}"]
    assert slack.messages == [{"channel": "C01", "text": text_of(ended(message="Look!", member_ids=["U07"]))}]
    assert slack.messages[0]["text"] == "<@U07> Look!\nsample ab12 at local: success in attempt 2"


def test_blocks_go_between_the_end_and_what_is_to_be_shown() -> None:
    asked = [{"type": "divider"}, {"type": "section", "text": {"type": "mrkdwn", "text": "mine"}}]
    work = ended(message="Look!", results=True, blocks={"blocks": asked})
    work.results = {"dm": 3}
    with receiving((200, {}, json.dumps(GOOD))) as slack:
        Slack(slack.secret).post("C01", work)
    head, *blocks, shown = slack.messages[0]["blocks"]
    assert blocks == asked
    assert head["text"]["text"].splitlines() == ["Look!", "sample ab12 at local: success in attempt 2"]
    assert '"dm": 3' in shown["text"]["text"]
    # People without blocks, as on a watch, read the text.
    assert slack.messages[0]["text"] == text_of(work)


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({"type": "divider"}, [{"type": "divider"}]),
        ({"blocks": {"type": "divider"}}, [{"type": "divider"}]),
        ([{"type": "divider"}] * 2, [{"type": "divider"}] * 2),
        ([{"type": "divider"}] * 70, [{"type": "divider"}] * 49),
    ],
)
def test_one_block_or_several(given: Any, found: list[Any]) -> None:
    assert blocks_of(ended(blocks=given))[1:] == found


def test_products_and_plots_are_links() -> None:
    work = ended(products=True, plots=True)
    work.products = ["/archive/a b.h5", "s3://bucket/c.h5", "artifact:d"]
    work.plots = ["https://else.where/x.png?a=1&b=2"]
    assert text_of(work, "https://files.example.org/").splitlines()[1:] == [
        "products:",
        "<https://files.example.org/archive/a%20b.h5|/archive/a b.h5>",
        "s3://bucket/c.h5",
        "artifact:d",
        "plots:",
        "<https://else.where/x.png?a=1&b=2|https://else.where/x.png?a=1&amp;b=2>",
    ]
    assert "/archive/a b.h5" in text_of(work).splitlines()


def test_nothing_in_a_work_is_taken_for_signs_of_slack() -> None:
    work = ended(WorkStatus.failure, results=True)
    work.error, work.results = "ValueError: <!channel> & more\nTraceback", "<!here>"
    text = text_of(work)
    assert "ValueError: &lt;!channel&gt; &amp; more" in text
    assert "&lt;!here&gt;" in text
    assert "<!" not in text
    assert "Traceback" not in text


def test_long_results_and_many_files_are_cut() -> None:
    work = ended(results=True, plots=True)
    work.results, work.plots = ["x" * 100] * 1000, [f"/archive/{number}.png" for number in range(1000)]
    assert len(text_of(work, "https://files.example.org")) < 5000
    lines = text_of(work, "https://files.example.org").splitlines()
    assert lines[-1] == "..."
    assert lines[-2].endswith(".png>")


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ((200, {}, '{"ok": false, "error": "channel_not_found"}'), {"ok": False, "error": "channel_not_found"}),
        ((200, {}, "ok"), {"ok": True}),
        ((404, {}, "no_service"), {"ok": False, "error": "Slack answers 404: no_service"}),
        ((500, {}, "{}"), {"ok": False}),
        ((302, {"Location": "http://127.0.0.1:9/"}, ""), {"ok": False, "error": "Slack answers 302: "}),
        ((200, {}, json.dumps({"ok": False, "error": f"no {TOKEN}"})), {"ok": False, "error": "no ***"}),
        ((200, {}, json.dumps({**GOOD, "message": "x" * 20_000})), {"ok": True, "channel": "C01", "ts": GOOD["ts"]}),
    ],
)
def test_whatever_is_answered_is_told(answer: tuple[int, dict[str, str], str], expected: Any) -> None:
    with receiving(answer) as slack:
        assert Slack(slack.secret).post("C01", ended()) == expected
    assert len(slack.messages) == 1


def test_where_there_are_too_many_it_is_waited() -> None:
    busy = (429, {"Retry-After": "0"}, '{"ok": false, "error": "ratelimited"}')
    with receiving(busy, (200, {}, json.dumps(GOOD))) as slack:
        assert Slack(slack.secret).post("C01", ended()) == GOOD
    assert len(slack.messages) == 2
    with receiving(busy) as slack:
        assert Slack(slack.secret).post("C01", ended())["error"] == "ratelimited"
    assert len(slack.messages) == 3
    # Who ends does not wait.
    with receiving((429, {"Retry-After": "1000"}, "{}")) as slack:
        told = Slack(slack.secret)
        told.close()
        assert told.post("C01", ended()) == {"ok": False}
    assert len(slack.messages) == 1


@pytest.mark.parametrize(
    ("secret", "error"),
    [
        (f"http://{TOKEN}@slack.example.org/api", "http://, which anybody on the way can read. Use https."),
        (f"http://{TOKEN}@127.0.0.1:9/api", "Slack does not answer: NewConnectionError."),
        (f"https://{TOKEN}@[", "neither a token nor an address"),
        (f"nonsense://{TOKEN}", "Apprise does not know such a URL"),
    ],
)
def test_secrets_that_lead_nowhere(secret: str, error: str) -> None:
    answer = Slack(lambda: SecretStr(secret)).post("C01", ended())
    assert answer["ok"] is False
    assert error in answer["error"]
    assert TOKEN not in answer["error"]
