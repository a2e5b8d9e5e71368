"""Notifications: tells people of events, by mail, chat or webhook, as the rules of the configuration say."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase

from pydantic import SecretStr

from daskflow.execution.notices.events import EventHub
from daskflow.execution.notices.messenger import Messenger
from daskflow.execution.notices.rules import Rule
from daskflow.model.records import EventRecord

FAILED = "notify.failed"
"""Kind of the event that says that a notification could not be sent."""
LIMIT = 1000
"""So many events wait for a slow service at most; then the oldest go."""
_LISTED = 20

_log = logging.getLogger("daskflow")


class Notifier:
    """Sends notifications.

    Parameters
    ----------
    rules
        Which events are told to whom.
    reveal
        Gives the address that the `to` of a rule stands for.
    flow_of
        Gives the name of the flow of a run.
    record
        Records, as `(run, kind, data)`, that a message could not be sent.

    Raises
    ------
    CredentialsMissing
        A secret that a rule refers to is not there.
    ExtraMissing
        Apprise or keyring is not installed.
    SettingsInvalid
        An address is none that Apprise knows.

    Notes
    -----
    Each rule has a thread of its own, so that a service that does not answer delays nobody: no run, no other rule, and
    not the end of the process. What happens while a message is under way is told together in the next one.
    """

    def __init__(
        self,
        rules: Sequence[Rule],
        reveal: Callable[[str], SecretStr],
        *,
        flow_of: Callable[[str], str],
        record: Callable[[str, str, dict[str, object]], object],
    ) -> None:
        self._lines = [_Line(rule, Messenger(rule.to, reveal(rule.to)), flow_of, record) for rule in rules]

    def attach(self, hub: EventHub) -> None:
        """Tell of what the hub hears from now on."""
        for line in self._lines:
            hub.subscribe(line.rule.on, line.put)

    def close(self, timeout: float) -> None:
        """Send what is left, and wait for it so long at most [s]."""
        deadline = time.monotonic() + timeout
        for line in self._lines:
            line.finish()
        for line in self._lines:
            line.leave(max(0.0, deadline - time.monotonic()))


class _Line:
    """The messages by one rule, and the thread that sends them."""

    def __init__(
        self,
        rule: Rule,
        messenger: Messenger,
        flow_of: Callable[[str], str],
        record: Callable[[str, str, dict[str, object]], object],
    ) -> None:
        self.rule = rule
        self._messenger = messenger
        self._flow_of = flow_of
        self._record = record
        self._changed = threading.Condition()
        self._waiting: deque[EventRecord] = deque()
        self._dropped = 0
        self._earliest = 0.0
        self._finishing = self._left = self._failing = False
        self._thread: threading.Thread | None = None

    def put(self, event: EventRecord) -> None:
        """Tell of an event soon; returns at once."""
        if event.kind == FAILED:  # else a service that is down would cause a message for each message
            return
        with self._changed:
            if self._finishing:
                return
            if len(self._waiting) >= LIMIT:
                self._waiting.popleft()
                self._dropped += 1
            self._waiting.append(event)
            if self._thread is None:
                self._thread = threading.Thread(target=self._serve, name="daskflow-notify", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def finish(self) -> None:
        """Take no more, and send what waits without any pause."""
        with self._changed:
            self._finishing = True
            self._changed.notify_all()

    def leave(self, timeout: float) -> None:
        """Wait for what is under way so long [s]; what fails later is recorded nowhere."""
        if self._thread is not None:
            self._thread.join(timeout)
        with self._changed:
            self._left = True

    def _serve(self) -> None:
        while batch := self._next():
            try:
                self._send(*batch)
            except Exception:  # the journal may not answer; the next message may go
                _log.exception("A notification to %s was not sent.", self.rule.to)
            self._earliest = time.monotonic() + self.rule.every

    def _next(self) -> tuple[list[EventRecord], int] | None:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._finishing)
            self._changed.wait_for(lambda: self._finishing, max(0.0, self._earliest - time.monotonic()))
            if self._left or not self._waiting:
                return None
            batch, dropped = list(self._waiting), self._dropped
            self._waiting.clear()
            self._dropped = 0
            return batch, dropped

    def _send(self, events: Sequence[EventRecord], dropped: int) -> None:
        told = [(event, flow) for event in events if fnmatchcase(flow := self._flow_of(event.run), self.rule.flow)]
        if not told:
            return
        failure = any(event.kind.endswith((".failed", ".failure")) for event, _ in told)
        why = self._messenger.send(_title(told), _body(told, dropped), failure=failure)
        with self._changed:
            if why and not self._left:
                self._complain(told[0][0].run, why, len(told))
            self._failing = bool(why)

    def _complain(self, run: str, why: str, count: int) -> None:
        if not self._failing:
            _log.warning("A notification to %s was not sent: %s", self.rule.to, why)
        self._record(run, FAILED, {"to": self.rule.to, "reason": why, "events": count})


Told = Sequence[tuple[EventRecord, str]]
"""Events, each with the name of its flow."""


def _title(told: Told) -> str:
    flows = ", ".join(dict.fromkeys(flow for _, flow in told))
    kinds = ", ".join(dict.fromkeys(event.kind for event, _ in told))
    many = f"{len(told)} events: " if len(told) > 1 else ""
    return f"{flows[:80] or 'daskflow'}: {many}{kinds[:120]}"


def _body(told: Told, dropped: int) -> str:
    parts = [_paragraph(event, flow) for event, flow in told[:_LISTED]]
    unlisted = len(told) - len(parts)
    if unlisted:
        parts.append(f"and {unlisted} more: `daskflow show {told[-1][0].run}` shows them")
    if dropped:
        parts.append(f"{dropped} earlier events were dropped: the service is too slow")
    return "\n\n".join(parts)


def _paragraph(event: EventRecord, flow: str) -> str:
    when = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(event.time))
    lines = [f"{event.kind}, {when}", f"flow: {flow}", f"run: {event.run}"]
    if event.key:
        lines.append(f"job: {event.key}")
    return "\n".join([*lines, *(f"{name}: {value}" for name, value in event.data.items())])
