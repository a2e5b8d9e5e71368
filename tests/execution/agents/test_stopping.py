import os
import signal
from functools import partial
from typing import Any, cast

import pytest

from daskflow.execution.agents.agent import Agent
from daskflow.execution.agents.stopping import stoppable
from daskflow.execution.agents.terms import Terms
from daskflow.stores.buckets.shelf import Wanted
from tests.execution.patience import until


class Stopped:
    """Notes how it is stopped."""

    terms = Terms(Wanted(("sample",)), grace=30.0)

    def __init__(self, in_hand: int = 0) -> None:
        self.heard: list[bool] = []
        self.in_hand = in_hand

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


@pytest.mark.parametrize(
    ("in_hand", "told"), [(0, []), (2, ["Finishing 2 works (at most 30 s); another signal gives them back."])]
)
def test_the_first_signal_says_what_is_waited_for(in_hand: int, told: list[str]) -> None:
    agent, heard = Stopped(in_hand), list[str]()
    with stoppable(cast("Agent", cast("Any", agent)), heard.append):
        for count in (1, 2):
            os.kill(os.getpid(), signal.SIGTERM)
            until(partial(_heard, agent, count))
    assert heard == told


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
