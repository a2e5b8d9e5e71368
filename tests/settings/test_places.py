from __future__ import annotations

from pathlib import Path

import pytest

import daskflow
from daskflow.errors import SettingsInvalid, SiteUnknown
from daskflow.settings.options import Settings
from daskflow.settings.places import Site, services_of
from daskflow.sites.batch.service import ServiceState
from daskflow.sites.batch.services import Services


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_services_run_on_the_built_in_site(tmp_path: Path) -> None:
    batch = daskflow.Site("local").batch
    service = batch.spawn("echo hello", name="x")
    assert service.wait(120).state is ServiceState.completed
    assert service.logs() == "hello\n"
    # Whoever opens the site of this directory finds it.
    assert Site("local").batch.states() == {"x": ServiceState.completed}
    assert batch.prune() == ["x"]


def test_a_site_reads_the_configuration_when_it_is_used(tmp_path: Path) -> None:
    site = Site("here")
    (tmp_path / "daskflow.yaml").write_text("sites: {here: {kind: threads}}")
    assert repr(site) == "Site('here')"
    assert isinstance(site.batch, Services)
    assert site.batch is site.batch
    assert site.batch.site == "here"


def test_what_has_no_batch_system_is_told() -> None:
    with pytest.raises(SiteUnknown, match="nowhere"):
        _ = Site("nowhere").batch
    settings = Settings.model_validate({"sites": {"far": {"kind": "dask", "address": "tcp://h:1"}}})
    with pytest.raises(SettingsInvalid, match="batch system"):
        services_of("far", settings)


def test_images_are_those_of_the_site(tmp_path: Path) -> None:
    settings = Settings.model_validate({"cache": str(tmp_path / "cache"), "containers": ["bubblewrap"]})
    service = services_of("local", settings).spawn("true", name="x", image=str(tmp_path / "none.sif"))
    found = service.wait(120)
    assert (found.state, found.error) == (ServiceState.failed, "ContainerError")
    assert "none.sif" in found.reason
