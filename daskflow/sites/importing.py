"""Imports distributed in one thread at a time: two that begin at once find it half imported."""

from __future__ import annotations

import threading

LOCK = threading.RLock()
"""Held by whoever may be the first to import distributed, or what imports it."""


def import_distributed() -> None:
    """Import distributed, unless that was done."""
    with LOCK:
        import distributed  # noqa: F401
