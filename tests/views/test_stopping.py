import signal
from collections.abc import Iterator

import pytest

from daskflow.views.stopping import told_to_stop

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@pytest.fixture(autouse=True)
def _handlers() -> Iterator[None]:
    """Those of the test, whatever those of its process are."""
    before = {one: signal.signal(one, signal.default_int_handler) for one in SIGNALS}
    yield
    for one, handler in before.items():
        signal.signal(one, handler)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_sets_the_event_and_ends_nothing(number: signal.Signals) -> None:
    with told_to_stop() as stop:
        assert not stop.is_set()
        signal.raise_signal(number)
        assert stop.wait(60)
    assert signal.getsignal(number) is signal.default_int_handler


def test_what_is_ignored_stays_ignored() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with told_to_stop() as stop:
        signal.raise_signal(signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        assert not stop.is_set()
