from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from daskflow.errors import StoreUnavailable
from daskflow.settings.options import Settings, SiteSettings
from daskflow.settings.parts import make_site, open_project
from daskflow.sites import ClusterSite, SynchronousSite
from daskflow.sites.batch.batchsite import BatchSite
from daskflow.sites.pilots.site import PilotSite
from tests.conftest import settings_in


@pytest.mark.parametrize(
    ("given", "kind", "slots"),
    [
        ({"kind": "processes", "workers": 3, "threads": 2}, ClusterSite, 6),
        ({"kind": "threads", "workers": 3, "threads": 2}, ClusterSite, 3),
        ({"kind": "dask", "workers": 3, "threads": 2, "address": "tcp://far:8786"}, ClusterSite, 6),
        ({"kind": "synchronous", "workers": 3}, SynchronousSite, 1),
    ],
)
def test_sites_are_made_as_configured(given: dict[str, Any], kind: type, slots: int) -> None:
    made = make_site("a-site", SiteSettings.model_validate(given), "")
    assert type(made) is kind
    assert (made.name, made.slots) == ("a-site", slots)


@pytest.mark.parametrize("shipping", [True, False])
def test_a_site_may_take_no_packages(shipping: bool) -> None:
    made = make_site("a-site", SiteSettings(shipping=shipping), "")
    assert isinstance(made, ClusterSite)
    assert made.packages.shipping is shipping


def test_one_worker_for_each_core_unless_told_otherwise() -> None:
    assert make_site("a-site", SiteSettings(), "").slots == len(os.sched_getaffinity(0))


def test_a_project_knows_the_built_in_and_the_configured_sites(tmp_path: Path) -> None:
    project = open_project(
        settings_in(tmp_path, sites={"far": {"kind": "synchronous"}, "local": {"kind": "synchronous"}})
    )
    assert {project.site(name).name for name in ("local", "threads", "synchronous", "far")} == {
        "local",
        "threads",
        "synchronous",
        "far",
    }
    assert isinstance(project.site("local"), SynchronousSite), "a built-in one may be configured anew"
    assert project.default_site == "synchronous"
    assert project.logs == tmp_path / "logs"
    project.close()


def test_batch_jobs_of_their_own_have_a_site_beside_each(tmp_path: Path) -> None:
    slurm = {"kind": "slurm", "cores": 1, "memory": "1 GiB", "walltime": "1 h"}
    far = {"kind": "dask", "address": "tcp://far:8786"}
    project = open_project(settings_in(tmp_path, sites={"cedar": slurm, "far": far}))
    assert [name for name in ("cedar", "local", "threads", "far") if project.has_site(f"{name}:batch")] == [
        "cedar",
        "local",
        "threads",
    ]
    assert (type(project.site("cedar")), type(project.site("cedar:batch"))) == (PilotSite, BatchSite)
    assert project.site("cedar:batch").name == "cedar:batch"
    assert not (tmp_path / "sites").exists(), "a site opens when something is submitted"
    project.close()


@pytest.mark.parametrize(("told", "patience"), [({}, 600.0), ({"store_patience": "30 min"}, 1800.0)])
def test_a_journal_on_a_server_is_waited_for(tmp_path: Path, told: dict[str, Any], patience: float) -> None:
    project = open_project(settings_in(tmp_path, store="postgresql://ann@db.example.org/group", **told))
    assert project.journal.patience.longest == patience
    assert open_project(settings_in(tmp_path, **told)).journal.patience.longest == 0, "a file is never away"


def test_only_looking_makes_nothing(here: Path) -> None:
    project = open_project(Settings(), readonly=True)
    with pytest.raises(StoreUnavailable, match="There is no journal"):
        project.journal.runs()
    project.close()
    assert not (here / ".daskflow").exists()


def test_a_tilde_is_the_home_of_the_user(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(here / "home"))
    project = open_project(Settings.model_validate({"store": "~/journal.db", "artifacts": "~/files", "logs": "~/logs"}))
    project.journal.runs()
    assert project.values.store is not None
    project.values.store.put(b"x")
    assert {"daskflow", "files", "journal.db"} <= {path.name for path in (here / "home").iterdir()}
    assert not (here / "~").exists()
    assert project.logs == here / "home" / "logs"
    project.close()
