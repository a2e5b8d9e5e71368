"""Stops an agent by signals: the first lets it finish what it has in hand, another one gives that back."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from daskflow.execution.agents.agent import Agent

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_END = b"\0"
"""No signal has this number."""


@contextmanager
def stoppable(agent: Agent, tell: Callable[[str], object] = lambda text: None) -> Iterator[None]:
    """Within the block, in the main thread, signals stop the agent.

    Parameters
    ----------
    tell
        Gets what is waited for, for people; called by another thread.

    Notes
    -----
    The numbers of signals come through a pipe, which another thread reads. A handler in Python is executed by the main
    thread alone, which waits: a second signal that comes soon may be delivered to another thread, and wakes nobody.
    """
    # Who starts a process in the background, or by nohup, has it ignore a signal.
    before = {one: signal.getsignal(one) for one in _SIGNALS if signal.getsignal(one) is not signal.SIG_IGN}
    reader, writer = os.pipe()
    os.set_blocking(writer, False)

    def listen() -> None:
        heard = 0
        while (number := os.read(reader, 1)) != _END:
            if ord(number) in before:
                heard += 1
                agent.stop(at_once=heard > 1)
                if heard == 1 and (count := agent.in_hand):
                    tell(finishing(count, agent.terms.grace))

    ear = threading.Thread(target=listen, name="daskflow-agent-ear", daemon=True)
    ear.start()
    wakeup = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    for number in before:
        signal.signal(number, _heard)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(wakeup)
        os.write(writer, _END)
        ear.join()
        os.close(writer)
        os.close(reader)


def finishing(count: int, grace: float | None) -> str:
    """What an agent says that is told to stop, and has works in hand.

    Examples
    --------
    >>> finishing(2, 30.0)
    'Finishing 2 works (at most 30 s); another signal gives them back.'
    >>> finishing(1, None)
    'Finishing 1 work, however long it takes; another signal gives it back.'
    """
    one = count == 1
    works, them, it = ("1 work", "it", "it takes") if one else (f"{count} works", "them", "they take")
    limit = f", however long {it}" if grace is None else f" (at most {grace:g} s)"
    return f"Finishing {works}{limit}; another signal gives {them} back."


def _heard(number: int, frame: FrameType | None) -> None:
    """Nothing: the pipe tells of it."""
