from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from daskflow.execution.notices.rules import Rule, fault


@pytest.mark.parametrize(
    "to",
    [
        "${SLACK_HOOK}",
        "slack://${A}/${B}/#channel",
        "mailto://${MAIL_USER}:${MAIL_PASSWORD}@mail.example.org",
        "json://127.0.0.1:8080/hook",
        "jsons://me@example.org/hook?method=PUT&+X-Key=${KEY}",
        "mailto://mail.example.org?to=me@example.org",
        "keyring:notifications/slack",
    ],
)
def test_addresses_without_secrets(to: str) -> None:
    assert fault(to) == ""


@pytest.mark.parametrize(
    "to",
    [
        "json://me:hush-hush@127.0.0.1",
        "mailto://me:hush-hush@${HOST}",
        "slack://hush-hush/B/C/#channel",
        "https://hooks.slack.com/services/T/B/hush-hush",
        "json://127.0.0.1/?+Authorization=hush-hush",
        "mailto://mail.example.org?user=me&pass=hush-hush",
        "json://127.0.0.1/?:token=hush-hush&method=${METHOD}",
    ],
)
def test_secrets_in_the_configuration_are_refused_and_not_repeated(to: str) -> None:
    assert "secrets do not belong into the configuration" in fault(to)
    with pytest.raises(ValidationError) as caught:
        Rule.model_validate({"on": "qa.*", "to": to})
    assert "hush-hush" not in str(caught.value)


@pytest.mark.parametrize("to", ["", "nowhere", "json://[::1", "keyring:service", "keyring:/user", "keyring:service/"])
def test_what_is_no_address(to: str) -> None:
    assert "write" in fault(to)


def test_a_rule_as_yaml_gives_it() -> None:
    rule = Rule.model_validate({True: "qa.*", "to": "${HOOK}", "every": "2 min"})
    assert (rule.on, rule.flow, rule.every) == (("qa.*",), "*", 120.0)
    assert Rule.model_validate({"on": ["a", "b.*"], "to": "${HOOK}"}).on == ("a", "b.*")


@pytest.mark.parametrize(
    "given", [{"on": []}, {"on": "a", "every": -1}, {"on": "a", "every": "soon"}, {"on": "a", "whom": "me"}, {}]
)
def test_rules_that_do_not_fit(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Rule.model_validate({"to": "${HOOK}", **given})
