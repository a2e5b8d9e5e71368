"""Nodes offer to command jobs what is configured."""

from pathlib import Path

from daskflow.commands.containers.runtimes import RUNTIMES
from daskflow.settings.stations import station_of
from tests.conftest import settings_in


def test_a_site_has_what_all_have_or_its_own(tmp_path: Path) -> None:
    far = {"kind": "threads", "scratch": "/far", "containers": ["podman"], "binds": ["/data"]}
    settings = settings_in(tmp_path, sites={"far": far})
    found = station_of(settings, "far")
    assert (found.scratch, found.containers.order, found.containers.binds) == ("/far", ("podman",), ("/data",))
    assert station_of(settings, "far:batch")[:2] == found[:2]
    common = station_of(settings, "local")
    assert (common.scratch, common.containers.order) == (settings.scratch, RUNTIMES)
    assert common.cache.root == tmp_path / "cache"
    assert station_of(settings, "far:bucket")[:2] == found[:2]
    assert station_of(settings, "only-agents-know-it:bucket").scratch == settings.scratch
