"""The channel by which a job that runs tells something at once, without waiting for its end."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar

Channel = Callable[[bytes], None]
"""Sends one record to the listener of the run; returns at once."""

CURRENT_CHANNEL: ContextVar[Channel | None] = ContextVar("daskflow_channel", default=None)
"""Set by a site around what it performs; None where nobody listens."""
