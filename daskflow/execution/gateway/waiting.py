"""Holds requests until there is something to answer."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any

from daskflow.execution.gateway.bell import Bell
from daskflow.execution.gateway.gateway import Gateway
from daskflow.stores.buckets.shelf import Payload, Wanted

MOST = 1000
"""So many requests are held at a time."""
_GONE = 1.0
"""So often it is looked whether somebody who waits has gone [s]."""


class Crowded(Exception):
    """Too many wait already."""


async def await_rung(bell: Bell, ticket: str, wait: float) -> None:
    """Return as soon as works may have been queued since the ticket; at the latest after some time [s].

    Raises
    ------
    Crowded
    """
    if wait > 0:
        _check(bell)
        await bell.wait(ticket, wait)


async def withdraw_within(
    gateway: Gateway, wanted: Wanted, wait: float, *, gone: Callable[[], Awaitable[bool]], **asked: Any
) -> Payload | None:
    """Take a work as soon as there is one, at the latest after some time [s]; None if there is none.

    Parameters
    ----------
    gone
        Tells whether who asks has gone: what was taken for them is queued again.
    asked
        As of `WorkDesk.withdraw`.

    Raises
    ------
    Crowded
    """
    until = time.monotonic() + wait
    if wait > 0:
        _check(gateway.bell)
    while True:
        ticket = gateway.bell.ticket
        found = await gateway.call(gateway.desk.withdraw, wanted, **asked)
        left = until - time.monotonic()
        away = await gone()
        if found is not None and away:
            await gateway.call(gateway.desk.take_back, found, asked["request"], asked["turn"])
            return None
        if found is not None or away or left <= 0 or gateway.bell.closed:
            return found
        while ticket == gateway.bell.ticket and (left := until - time.monotonic()) > 0 and not await gone():
            await gateway.bell.wait(ticket, min(left, _GONE))


def _check(bell: Bell) -> None:
    if bell.waiting >= MOST:
        raise Crowded
