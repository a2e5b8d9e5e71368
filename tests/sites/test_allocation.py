from __future__ import annotations

import math
import time

from daskflow.sites.allocation import Allocation, here, settle

OURS = Allocation("slurm", "17_3", "cedar", "main", "n1", 4, 1 << 30)


def test_a_process_has_what_it_was_given() -> None:
    assert here() is None
    settle(OURS)
    try:
        assert here() is OURS
    finally:
        settle(None)


def test_time_left() -> None:
    assert OURS.time_left() == math.inf
    assert 50 < OURS._replace(ends=time.time() + 60).time_left() <= 60
