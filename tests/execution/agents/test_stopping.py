import os
import signal
from functools import partial
from typing import Any, cast

from daskflow.execution.agents.agent import Agent
from daskflow.execution.agents.stopping import stoppable
from tests.execution.patience import until


class Stopped:
    """Notes how it is stopped."""

    def __init__(self) -> None:
        self.heard: list[bool] = []

    def stop(self, *, at_once: bool = False) -> None:
        self.heard.append(at_once)


def _heard(agent: Stopped, count: int) -> bool:
    return len(agent.heard) == count


def test_the_first_signal_stops_and_another_one_at_once() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)]
    agent = Stopped()
    with stoppable(cast("Agent", cast("Any", agent))):
        for count, number in enumerate((signal.SIGTERM, signal.SIGINT, signal.SIGHUP), 1):
            os.kill(os.getpid(), number)
            until(partial(_heard, agent, count))
    assert agent.heard == [False, True, True]
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)] == before


def test_what_the_process_ignores_it_goes_on_ignoring() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        agent = Stopped()
        with stoppable(cast("Agent", cast("Any", agent))):
            os.kill(os.getpid(), signal.SIGHUP)
            os.kill(os.getpid(), signal.SIGTERM)
            until(lambda: agent.heard)
        assert agent.heard == [False]
    finally:
        signal.signal(signal.SIGHUP, before)
