"""What the doctor is told of a site."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from daskflow.artifacts.store import ObjectStore
from daskflow.sites.batch.system import Examined
from daskflow.sites.pilots.plan import SitePlan


class Patient(NamedTuple):
    """A site that is looked over, in plain values."""

    name: str
    kind: str
    plan: SitePlan
    journal: str
    """Where runs are remembered: a path, or a URL."""
    logs: Path
    store: ObjectStore | None = None
    system: Examined | None = None
    """None: its workers are no batch jobs."""
    address: str = ""
    """Of a scheduler that runs already."""
    scratch: str = ""
    """Where command jobs run on its nodes; empty: among temporary files."""
