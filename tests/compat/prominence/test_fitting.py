from __future__ import annotations

import json
from pathlib import Path

import pytest

from daskflow import Resources
from daskflow.compat.prominence.fitting import check_fit
from daskflow.errors import FitsNowhere, SiteUnknown
from daskflow.settings.front import launcher

POOL = {"cores": 4, "memory": "8 GiB", "walltime": "1 h"}


@pytest.mark.parametrize("site", [None, "local", "threads", "synchronous"])
def test_this_machine_has_what_it_has(here: Path, site: str | None) -> None:
    check_fit(Resources(cores=1, memory=1 << 30, walltime=60), site)
    for asked, lacking in (
        (Resources(cores=100_000), "cores"),
        (Resources(memory=1 << 60), "memory"),
        (Resources(nodes=2), "2 nodes"),
        (Resources(walltime=1e12), "walltime"),
    ):
        with pytest.raises(FitsNowhere, match=f"lacks .*{lacking}"):
            check_fit(asked, site)


def test_a_cluster_has_its_pools(here: Path) -> None:
    hpc = {"kind": "slurm", **POOL, "nodes": 3}
    (here / "daskflow.yaml").write_text(json.dumps({"sites": {"hpc": hpc, "there": {"kind": "dask", "address": "x"}}}))
    launcher.close()
    check_fit(Resources(cores=4, memory=8 << 30, nodes=3, tasks=12), "hpc")
    # It fits into no pilot, which has to end before its walltime, but is a batch job.
    check_fit(Resources(walltime=3600), "hpc")
    for asked in (Resources(cores=5), Resources(memory=9 << 30), Resources(nodes=4), Resources(walltime=3601)):
        with pytest.raises(FitsNowhere, match="'default', which lacks"):
            check_fit(asked, "hpc")
    check_fit(Resources(cores=1000), "there")
    with pytest.raises(SiteUnknown, match="moon"):
        check_fit(Resources(), "moon")
