"""The rules of notifications: which events are told to whom."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from daskflow.execution.credentials import KEYRING, is_reference
from daskflow.model.quantities import Seconds

_TELLING = re.compile(r"^[-+: ]|pass|token|key|secret|auth", re.IGNORECASE)
"""Names in the query of a URL that hold secrets; those with a sign become HTTP headers and fields of the message."""
_PLAIN = frozenset(
    (
        "dbus",
        "form",
        "forms",
        "gnome",
        "json",
        "jsons",
        "macosx",
        "mailto",
        "mailtos",
        "syslog",
        "windows",
        "xml",
        "xmls",
    )
)
"""Services whose URLs need no secret; those of all others hold a token."""
_CURE = "write ${VARIABLE} in their place, or keyring:SERVICE/USER"


class Rule(BaseModel):
    """Which events are told to whom."""

    # What does not fit may be a secret at the wrong place.
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True, hide_input_in_errors=True)

    on: tuple[str, ...] = Field(min_length=1)
    """What the dotted kind of an event must match, as in a shell: `qa.*`; one pattern, or several."""
    to: str
    """An Apprise URL. Secrets in it stand as `${VARIABLE}`; or it is `keyring:SERVICE/USER` as a whole."""
    flow: str = "*"
    """What the name of the flow must match."""
    every: Seconds = Field(default=0.0, ge=0)
    """At most one message in this time, with all that happened [s]."""

    @model_validator(mode="before")
    @classmethod
    def _on_is_no_truth(cls, given: Any) -> Any:
        # YAML 1.1 reads a bare `on` as true.
        if isinstance(given, dict):
            return {"on" if key is True else key: value for key, value in given.items()}
        return given

    @field_validator("on", mode="before")
    @classmethod
    def _as_several(cls, given: Any) -> Any:
        return (given,) if isinstance(given, str) else given

    @field_validator("to")
    @classmethod
    def _without_secrets(cls, given: str) -> str:
        if wrong := fault(given):
            raise ValueError(wrong)
        return given


def fault(to: str) -> str:
    """What is wrong with an address in the configuration; empty when nothing is. Never repeats a secret.

    Examples
    --------
    >>> fault("slack://${SLACK_TOKEN}/#observing"), fault("json://127.0.0.1:8080/hook")
    ('', '')
    >>> fault("json://me:hush@127.0.0.1")
    'secrets do not belong into the configuration; write ${VARIABLE} in their place, or keyring:SERVICE/USER'
    """
    if to.startswith(KEYRING):
        service, _, user = to.removeprefix(KEYRING).rpartition("/")
        return "" if service and user else "write keyring:SERVICE/USER"
    try:
        url = urlsplit(to)
    except ValueError:
        return f"it is no URL; {_CURE}"
    if not url.scheme and not is_reference(to):
        return "it is no URL; write one that Apprise knows, ${VARIABLE}, or keyring:SERVICE/USER"
    given = [url.password or "", *(value for name, value in parse_qsl(url.query) if _TELLING.search(name))]
    secret = any(value and not is_reference(value) for value in given)
    if secret or not (is_reference(to) or url.scheme.lower() in _PLAIN):
        return f"secrets do not belong into the configuration; {_CURE}"
    return ""
