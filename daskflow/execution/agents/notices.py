"""Tells people of the ends of works: by the rules of the configuration, and on Slack where a work asks for it."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

from pydantic import SecretStr

from daskflow.errors import DaskflowError
from daskflow.execution.credentials import credentials, revealed
from daskflow.execution.notices.events import EventHub
from daskflow.execution.notices.messenger import Messenger
from daskflow.execution.notices.notify import LIMIT, Notifier
from daskflow.execution.notices.rules import Rule
from daskflow.model.records import EventRecord
from daskflow.model.work import Work, WorkStatus

SLACK = "slack"
"""Under this name the credentials for Slack are kept."""
_KINDS = "work.*"
_PATIENCE = 10.0
"""What is under way when an agent ends is waited for so long [s]."""
_LONGEST = 2000
"""Results that are longer are cut [characters]."""

_log = logging.getLogger("daskflow")


class Notices:
    """Makes an event of each end of a work, `work.success` or `work.failure`, and tells those who want to know.

    Parameters
    ----------
    rules
        Which events are told to whom; the name of a pipeline stands for that of a flow.
    secret
        Gives the credentials for Slack; None: `slack_secret` does.

    Raises
    ------
    CredentialsMissing, ExtraMissing, SettingsInvalid
        A rule cannot be kept.

    Notes
    -----
    Returns at once, and raises nothing: a service that does not answer delays no work and fails none. Slack gets a
    message where a work names a channel or members; what it answers is not written into the work, and blocks are not
    sent. An end that nobody performed, because an agent was lost, is told by no agent.
    """

    def __init__(self, rules: Sequence[Rule] = (), secret: Callable[[], SecretStr] | None = None) -> None:
        self._secret = secret or slack_secret
        self._ended: dict[str, Work] = {}
        self._pipelines: OrderedDict[str, str] = OrderedDict()
        self._lock = threading.Lock()
        self._messengers: dict[str, Messenger] = {}
        self._trouble: set[str] = set()
        self._hub = EventHub()
        self._notifier = Notifier(rules, revealed, flow_of=self._pipeline_of, record=_not_sent)
        self._notifier.attach(self._hub)
        self._hub.subscribe(_KINDS, self._on_slack)
        self._wanted = bool(rules)

    def tell(self, work: Work) -> None:
        """Tell of the end of a work; nothing is told of a failure with attempts left."""
        if not work.ended or work.id is None or not (self._wanted or _asks(work)):
            return
        with self._lock:
            self._pipelines[work.id] = work.pipeline
            while len(self._pipelines) > LIMIT:
                self._pipelines.popitem(last=False)
            if _asks(work):
                self._ended[work.id] = work.model_copy(deep=True)
        data = {"site": work.site, "user": work.user, "attempt": work.attempt, "host": work.host}
        data |= {"event": work.event, "tags": work.tags, "error": work.error and work.error.splitlines()[0]}
        told = {name: value for name, value in data.items() if value}
        self._hub.publish(EventRecord(run=work.id, kind=f"work.{work.status}", time=time.time(), data=told))

    def close(self) -> None:
        """Wait for what is under way, for some time."""
        self._hub.close(_PATIENCE)
        self._notifier.close(_PATIENCE)

    def _pipeline_of(self, id: str) -> str:
        with self._lock:
            return self._pipelines.get(id, "")

    def _on_slack(self, event: EventRecord) -> None:
        with self._lock:
            work = self._ended.pop(event.run, None)
        if work is None:
            return
        slack = work.notify.slack
        for target in [slack.channel_id] if slack.channel_id else slack.member_ids or []:
            self._send(target, work)

    def _send(self, target: str, work: Work) -> None:
        try:
            why = self._messenger(target).send(
                f"{work.pipeline}: {work.status}", text_of(work), failure=work.status is WorkStatus.failure
            )
        except DaskflowError as error:
            why = str(error)
        if why and why not in self._trouble:
            self._trouble.add(why)
            _log.warning("Slack was not told of the work %s: %s", work.id, why)

    def _messenger(self, target: str) -> Messenger:
        found = self._messengers.get(target)
        if found is None:
            secret = self._secret().get_secret_value()
            url = secret.replace("{channel}", target) if "://" in secret else f"slack://{secret}/+{target}"
            found = self._messengers[target] = Messenger(f"Slack, {target}", SecretStr(url))
        return found


def slack_secret() -> SecretStr:
    """The token of a bot, or an Apprise URL in which `{channel}` stands for the channel.

    Raises
    ------
    CredentialsMissing
    """
    user, secret = credentials(SLACK).reveal()
    return SecretStr(f"{user}:{secret}" if user else secret)


def text_of(work: Work) -> str:
    """What is told of the end of a work on Slack."""
    slack = work.notify.slack
    mentions = " ".join(f"<@{member}>" for member in slack.member_ids or ())
    parts = [" ".join(part for part in (mentions, slack.message) if part)]
    parts.append(f"{work.pipeline} {work.id} at {work.site}: {work.status} in attempt {work.attempt}")
    if work.error:
        parts.append(work.error.splitlines()[0])
    shown: list[tuple[str, Any, bool | None]] = [
        ("results", work.results, slack.results),
        ("products", work.products, slack.products),
        ("plots", work.plots, slack.plots),
    ]
    for name, value, wanted in shown:
        if wanted and value:
            text = "\n".join(value) if name != "results" else json.dumps(value, ensure_ascii=False, indent=1)
            parts.append(f"{name}:\n{text[:_LONGEST]}")
    return "\n".join(part for part in parts if part)


def _asks(work: Work) -> bool:
    return bool(work.notify.slack.channel_id or work.notify.slack.member_ids)


def _not_sent(run: str, kind: str, data: dict[str, object]) -> None:
    """Nothing: there is no journal of works, and it is logged."""
