from __future__ import annotations

import math
import time
from pathlib import Path

import pytest

from daskflow.errors import SettingsInvalid
from daskflow.settings.allocating import allocation_site, within
from daskflow.settings.sites import SiteSettings
from daskflow.sites.batch.steps import Ground
from daskflow.sites.pilots.plan import SitePlan


def test_a_site_has_a_pilot_on_each_node_until_the_end() -> None:
    plan = within(SitePlan((), "/home"), Ground("7", 3, 8, 10 << 30, time.time() + 3600.0))
    (pool,) = plan.pools
    assert (pool.cores, pool.minimum, pool.maximum, pool.memory) == (8, 3, 3, 9 << 30)
    assert 3500 < pool.walltime <= 3600
    assert plan.idle == math.inf
    (unknown,) = within(SitePlan((), "/home"), Ground("7", 1, 8, None, None)).pools
    assert unknown.walltime > 86400
    assert unknown.memory > 1 << 30


def test_outside_of_a_job_there_is_no_such_site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    with pytest.raises(SettingsInvalid, match="'nodes' computes on the nodes of the Slurm job"):
        allocation_site("nodes", SiteSettings(kind="allocation"), "", str(tmp_path))


def test_inside_of_a_job_there_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"JOB_ID": "7", "JOB_CPUS_PER_NODE": "2", "MEM_PER_NODE": "100", "JOB_END_TIME": "9e9"}.items():
        monkeypatch.setenv(f"SLURM_{name}", value.replace("9e9", "9000000000"))
    site = allocation_site("nodes", SiteSettings(kind="allocation"), "", str(tmp_path))
    assert (site.name, site.slots) == ("nodes", 2)
