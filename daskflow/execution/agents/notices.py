"""Tells people of the ends of works: by the rules of the configuration, and on Slack where a work asks for it."""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence

from pydantic import SecretStr

from daskflow.errors import DaskflowError
from daskflow.execution.agents.outcome import in_short
from daskflow.execution.agents.slack import Answer, Slack
from daskflow.execution.credentials import credentials, revealed
from daskflow.execution.notices.events import EventHub
from daskflow.execution.notices.notify import LIMIT, Notifier
from daskflow.execution.notices.rules import Rule
from daskflow.model.records import EventRecord
from daskflow.model.work import Work
from daskflow.stores.buckets import Buckets

SLACK = "slack"
"""Under this name the credentials for Slack are kept."""
_KINDS = "work.*"
_PATIENCE = 10.0
"""What is under way when an agent ends is waited for so long [s]."""

_log = logging.getLogger("daskflow")


class Notices:
    """Makes an event of each end of a work, `work.success` or `work.failure`, and tells those who want to know.

    Parameters
    ----------
    rules
        Which events are told to whom; the name of a pipeline stands for that of a flow.
    secret
        Gives the credentials for Slack; None: `slack_secret` does.
    links
        Under this address products and plots are seen in a browser; empty: nowhere.
    buckets
        Where the answer of Slack is written into the work; None: nowhere.

    Raises
    ------
    CredentialsMissing, ExtraMissing, SettingsInvalid
        A rule cannot be kept.

    Notes
    -----
    Returns at once, and raises nothing: a service that does not answer delays no work and fails none. Slack gets a
    message where a work names a channel or members, and `notify.slack.reply` what it answered: one answer, or one by
    each member. An end that nobody performed, because an agent was lost, is told by no agent.
    """

    def __init__(
        self,
        rules: Sequence[Rule] = (),
        secret: Callable[[], SecretStr] | None = None,
        *,
        links: str = "",
        buckets: Buckets | None = None,
    ) -> None:
        self._slack = Slack(secret or slack_secret, links)
        self._buckets = buckets
        self._ended: dict[str, Work] = {}
        self._pipelines: OrderedDict[str, str] = OrderedDict()
        self._lock = threading.Lock()
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
        data |= {"event": work.event, "tags": work.tags, "error": work.error and in_short(work.error)}
        told = {name: value for name, value in data.items() if value}
        self._hub.publish(EventRecord(run=work.id, kind=f"work.{work.status}", time=time.time(), data=told))

    def close(self) -> None:
        """Wait for what is under way, for some time."""
        self._hub.close(_PATIENCE)
        self._slack.close()
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
        targets = [slack.channel_id] if slack.channel_id else slack.member_ids or []
        answers = {target: self._slack.post(target, work) for target in targets}
        for answer in answers.values():
            self._complain(work, answer)
        if self._buckets is not None:
            self._note(self._buckets, work, answers if len(answers) > 1 else answers[targets[0]])

    def _complain(self, work: Work, answer: Answer) -> None:
        why = "" if answer["ok"] else str(answer.get("error") or "it does not say why")
        if why and why not in self._trouble:
            self._trouble.add(why)
            _log.warning("Slack was not told of the work %s: %s", work.id, why)

    def _note(self, buckets: Buckets, work: Work, reply: Answer) -> None:
        """Write what Slack answered into the work, if it is still as it was."""
        try:
            stored = buckets.get(str(work.id))
            if stored is None or (stored.attempt, stored.status, stored.locked) != (work.attempt, work.status, False):
                return
            stored.notify.slack.reply = reply
            buckets.update(stored)
        except DaskflowError as error:
            _log.info("The answer of Slack is not in the work %s: %s", work.id, error)


def slack_secret() -> SecretStr:
    """The token of a bot, or an address, as `Slack` takes them.

    Raises
    ------
    CredentialsMissing
    """
    user, secret = credentials(SLACK).reveal()
    return SecretStr(f"{user}:{secret}" if user else secret)


def _asks(work: Work) -> bool:
    return bool(work.notify.slack.channel_id or work.notify.slack.member_ids)


def _not_sent(run: str, kind: str, data: dict[str, object]) -> None:
    """Nothing: there is no journal of works, and it is logged."""
