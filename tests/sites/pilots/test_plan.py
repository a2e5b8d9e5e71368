from __future__ import annotations

import sys

from daskflow.sites.pilots.plan import SitePlan
from daskflow.sites.pools import Pool


def test_a_plan_needs_pools_and_a_home() -> None:
    plan = SitePlan((Pool("main", 4, 1 << 30, 60.0),), "home")
    assert plan.tls
    assert plan.python == sys.executable
    assert plan.poll == 30.0, "the batch system is asked at most so often"


def test_nothing_is_told_to_stop_as_soon_as_it_begins() -> None:
    plan = SitePlan((Pool("main", 4, 1 << 30, 60.0),), "home", notice=60.0)
    assert plan.noticed(3600.0) == 60.0
    assert plan.noticed(60.0) == 30.0
