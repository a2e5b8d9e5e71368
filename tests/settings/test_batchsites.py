"""The sites whose work is jobs of a batch system."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from daskflow.settings.batchsites import batch_site, pilot_site
from daskflow.settings.sites import SiteSettings
from daskflow.sites.batch.batchsite import BatchSite
from daskflow.sites.pilots.site import PilotSite

SLURM: dict[str, Any] = {"kind": "slurm", "cores": 2, "memory": "4 GiB", "walltime": "1 h"}


@pytest.mark.parametrize("shipping", [True, False])
def test_pilots(tmp_path: Path, shipping: bool) -> None:
    made = pilot_site("cedar", SiteSettings.model_validate(SLURM | {"shipping": shipping}), "", str(tmp_path / "home"))
    assert isinstance(made, PilotSite)
    assert (made.name, made.plan.home, made.packages.shipping) == ("cedar", str(tmp_path / "home"), shipping)
    assert not (tmp_path / "home").exists(), "a site opens when something is submitted"


@pytest.mark.parametrize("kind", ["slurm", "processes", "threads"])
def test_batch_jobs_of_their_own_stand_beside(tmp_path: Path, kind: str) -> None:
    given = SLURM if kind == "slurm" else {"kind": kind}
    made = batch_site("cedar", SiteSettings.model_validate(given), str(tmp_path / "boxes"), str(tmp_path / "home"))
    assert isinstance(made, BatchSite)
    assert made.name == "cedar:batch"
    made.close()
