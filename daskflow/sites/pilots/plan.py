"""How a site of pilots is run: what its configuration says, in plain values."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import NamedTuple

from daskflow.sites.pools import Pool


class SitePlan(NamedTuple):
    """How a site of pilots is run."""

    pools: tuple[Pool, ...]
    """In the order in which jobs choose them."""
    home: str
    """Directory that driver and nodes share: scripts, logs, certificates, and what batch jobs are handed."""
    interface: str = ""
    """Network interface of the driver by which nodes reach it; empty: the one of its default route."""
    worker_interface: str = ""
    """Network interface of the nodes; empty: the one by which they reach the driver."""
    dashboard: str = "127.0.0.1:0"
    """Where the dask dashboard listens; empty: nowhere."""
    tls: bool = True
    """Whether driver and workers talk by TLS."""
    python: str = sys.executable
    """The interpreter on the nodes."""
    environment: Mapping[str, str] = {}
    """Variables for the pilots."""
    scratch: str = ""
    """Directory of the nodes for temporary files; empty: the one of the system."""
    idle: float = 60.0
    """Pilots that have nothing to perform go after this time [s]."""
    margin: float = 10.0
    """So long before the end of its walltime a pilot performs nothing any more [s]."""
    notice: float = 60.0
    """So long before the end of its walltime what a pilot performs is told to stop [s]; see `noticed`."""
    poll: float = 30.0
    """The batch system is asked how jobs stand at most so often [s]."""
    patience: int = 3
    """After so many pilots of a pool in a row that did not start, the pool is given up."""
    max_jobs: int | None = None
    """Not more batch jobs at a time, whatever the pools allow; None: no limit."""
    arrays: bool = True
    """Whether several pilots are submitted as one array, where the batch system has arrays."""

    def noticed(self, walltime: float) -> float:
        """So long before the end what is performed in so much time is told to stop [s].

        At most half of it: what was told to stop as soon as it begins would never get on.
        """
        return min(self.notice, walltime / 2)
