"""This process as one within a batch job."""

from __future__ import annotations

import time
from typing import Any

from daskflow.sites.allocation import Allocation

GIB = 2**30


def allocation(**fields: Any) -> Allocation:
    """A batch job of four cores and 1 GiB that has an hour yet."""
    given: dict[str, Any] = {
        "system": "slurm", "id": "12_0", "site": "cedar", "pool": "small", "node": "n3", "cores": 4, "memory": GIB,
        "ends": time.time() + 3600, "notice": 60.0,
    }  # fmt: skip
    return Allocation(**given | fields)
