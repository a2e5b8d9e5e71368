"""One pilot, as its fleet knows it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Stage(StrEnum):
    """How far a pilot has come."""

    submitted = "submitted"
    started = "started"
    """Its script runs; its worker has not arrived."""
    arrived = "arrived"
    closing = "closing"
    """It gets nothing more."""
    gone = "gone"


@dataclass
class Pilot:
    """One batch job that holds a dask worker."""

    id: str
    pool: str
    submitted: float
    """Seconds since the epoch [s]."""
    log: str
    """Path of its log."""
    stage: Stage = Stage.submitted
    node: str = ""
    address: str = ""
    started: float | None = None
    ends: float | None = None
    """When its walltime is over [s since the epoch]."""
    lost: float | None = None
    """Since when its worker is gone, if nobody sent it away and its time was not over [s since the epoch]."""
    reason: str = ""
    """Why it waits, or how it ended."""
