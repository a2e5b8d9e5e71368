from __future__ import annotations

from daskflow.sites.channel import CURRENT_CHANNEL
from daskflow.sites.grip import gripping


def test_the_channel_is_there_only_while_something_is_performed() -> None:
    told: list[bytes] = []
    assert CURRENT_CHANNEL.get() is None
    with gripping("node", told.append):
        channel = CURRENT_CHANNEL.get()
        assert channel is not None
        channel(b"record")
    assert CURRENT_CHANNEL.get() is None
    assert told == [b"record"]
