"""What the doctor is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from daskflow.settings.checkups import patient_of
from tests.conftest import settings_in

SLURM: dict[str, Any] = {"kind": "slurm", "cores": 2, "memory": "4 GiB", "walltime": "1 h"}


def test_a_site_of_a_batch_system(tmp_path: Path) -> None:
    told = patient_of("cedar", settings_in(tmp_path, sites={"cedar": SLURM | {"interface": "ib0"}}))
    assert told.system is not None
    assert (told.name, told.kind, told.system.name, told.plan.interface) == ("cedar", "slurm", "slurm", "ib0")
    assert (told.journal, told.logs) == (str(tmp_path / "journal.db"), tmp_path / "logs")
    assert told.scratch == str(tmp_path / "scratch"), "as said for all sites"
    assert told.store is not None
    assert told.store.url == (tmp_path / "artifacts").as_uri()


def test_scratch_of_its_own(tmp_path: Path) -> None:
    assert patient_of("cedar", settings_in(tmp_path, sites={"cedar": SLURM | {"scratch": "/own"}})).scratch == "/own"


def test_a_site_without_one(tmp_path: Path) -> None:
    settings = settings_in(tmp_path, sites={"far": {"kind": "dask", "address": "tcp://far:1"}})
    assert patient_of("far", settings)[-2:] == ("tcp://far:1", str(tmp_path / "scratch"))
    assert patient_of("far", settings).system is None
    assert patient_of("local", settings).system is None
