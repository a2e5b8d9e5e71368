"""What an attempt tells while it runs: events at once, metrics at once but not too often."""

from __future__ import annotations

import json
import math
import numbers
import pickle
import re
import threading
import time
from collections.abc import Mapping
from typing import Any

from daskflow.errors import UsageError
from daskflow.model.outcome import Live
from daskflow.sites.channel import Channel

_PAUSE = 0.2
"""The same metric is told at most once in this time; its latest value is told after it [s]."""
_KIND = re.compile(r"[a-z0-9_]+(\.[a-z0-9_]+)*")
_OWN = ("job", "run", "attempt")
"""First words of the events that daskflow makes itself."""


class Teller:
    """Tells the driver what one attempt emits and measures.

    Parameters
    ----------
    key
        Key of the job.
    channel
        Leads to the driver; None where nobody listens.

    Notes
    -----
    Safe for threads.
    """

    def __init__(self, key: str, channel: Channel | None) -> None:
        self._key = key
        self._channel = channel
        self._lock = threading.Lock()
        self._told: dict[str, float] = {}
        self._waiting: dict[str, str] = {}
        self._timer: threading.Timer | None = None
        self._closed = False

    def event(self, kind: str, data: Mapping[str, Any]) -> None:
        """Tell an event at once.

        Raises
        ------
        UsageError
            The kind is not dotted, or is one of daskflow's own; or the data have no JSON.
        """
        self._send([Live(self._key, "event", checked_kind(kind), event_text(data), time.time())])

    def note(self, kind: str, data: Mapping[str, Any]) -> None:
        """Tell an event of daskflow's own at once."""
        self._send([Live(self._key, "event", kind, event_text(data), time.time())])

    def metric(self, name: str, data: str) -> None:
        """Tell a metric, at once unless it was told just now; `data` is JSON."""
        with self._lock:
            now = time.monotonic()
            due = self._told.get(name, -math.inf) + _PAUSE
            if now < due:
                self._waiting[name] = data
                self._tell_later(due - now)
                return
            self._told[name] = now
            self._waiting.pop(name, None)
        self._send([Live(self._key, "metric", name, data, time.time())])

    def close(self) -> None:
        """Tell nothing more: what waits comes with the outcome."""
        with self._lock:
            self._closed = True
            self._waiting.clear()
            if self._timer is not None:
                self._timer.cancel()

    def _tell_later(self, pause: float) -> None:
        if self._timer is None and self._channel is not None:
            self._timer = threading.Timer(pause, self._flush)
            self._timer.daemon = True
            self._timer.start()

    def _flush(self) -> None:
        with self._lock:
            self._timer = None
            if self._closed:
                return
            waiting, self._waiting = self._waiting, {}
            self._told.update(dict.fromkeys(waiting, time.monotonic()))
        now = time.time()
        self._send([Live(self._key, "metric", name, data, now) for name, data in waiting.items()])

    def _send(self, messages: list[Live]) -> None:
        if self._channel is not None:
            self._channel(pickle.dumps(messages, protocol=5))


def checked_kind(kind: str) -> str:
    """The kind of an event of the user's own.

    Raises
    ------
    UsageError
        It is not dotted, or is one of daskflow's own.
    """
    if not isinstance(kind, str) or not _KIND.fullmatch(kind):
        raise UsageError(
            f"{kind!r} is no kind of event. Write words of small letters, digits and _, with dots between: "
            "'qa.import.low'."
        )
    if kind.partition(".")[0] in _OWN:
        raise UsageError(
            f"Events {kind.partition('.')[0]}.* are daskflow's own. Choose another first word: {'qa.' + kind!r}."
        )
    return kind


def event_text(data: Mapping[str, Any]) -> str:
    """The data of an event as JSON.

    Raises
    ------
    UsageError
        They have no JSON.
    """
    return json.dumps({name: plain(value, name) for name, value in data.items()})


def plain(value: Any, place: str) -> Any:
    """A value of an event as JSON has it: numbers of numpy become plain ones, those that JSON has not their text.

    Parameters
    ----------
    place
        What the value is called in an error.

    Raises
    ------
    UsageError
        It has no JSON.
    """
    item = getattr(value, "item", None)
    if callable(item) and getattr(value, "ndim", None) == 0:
        value = item()
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, numbers.Real):
        number = float(value)
        return number if math.isfinite(number) else repr(number)
    if isinstance(value, Mapping):
        return {_name(name, place): plain(part, f"{place}[{name!r}]") for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(part, f"{place}[{index}]") for index, part in enumerate(value)]
    raise UsageError(
        f"{place} of an event has the type {type(value).__qualname__}, which has no JSON. Emit numbers, texts, lists "
        "and dictionaries; return large values as the job's result."
    )


def _name(name: Any, place: str) -> str:
    if not isinstance(name, str):
        raise UsageError(f"{place} of an event has the key {name!r}; keys of JSON are texts. Emit str(key).")
    return name
