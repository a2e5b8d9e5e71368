"""How commands that go on for long are told to stop."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@contextmanager
def told_to_stop() -> Iterator[threading.Event]:
    """Within the block, in the main thread, Ctrl-C, SIGTERM and SIGHUP set an event."""
    stop = threading.Event()
    # Who starts a process in the background, or by nohup, has it ignore a signal.
    numbers = [one for one in _SIGNALS if signal.getsignal(one) is not signal.SIG_IGN]
    before = {one: signal.signal(one, lambda *_: stop.set()) for one in numbers}
    try:
        yield stop
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
