"""A site of a real Slurm gives what the local one gives, by the configuration as it is shipped."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.acceptance.clusters import Cluster
from tests.services.slurm import Slurm

pytestmark = [pytest.mark.integration, pytest.mark.acceptance, pytest.mark.timeout(1200)]

SHIPPED = Path(__file__).parents[2] / "configs" / "slurm.yaml"
EXAMPLE = ("run", "daskflow.examples.imaging:pipeline", "--set", "mode=cont", "--json")


def test_the_imaging_example_gives_the_same_on_slurm(
    slurm: Slurm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slurm.activate(monkeypatch)
    slurm.clear()
    shipped = SHIPPED.read_text("utf-8")
    assert shipped.count("queue: compute\n") == 1
    there, here = Cluster(tmp_path / "there", slurm), Cluster(tmp_path / "here", slurm)
    there.configure(shipped.replace("queue: compute\n", "queue: main\n"))
    remote = json.loads(there.daskflow(*EXAMPLE))
    local = json.loads(here.daskflow(*EXAMPLE))
    assert remote["value"] == local["value"]
    assert there.keys() == here.keys()
    assert len(there.keys()) > 20
    # Where it ran: on pilots that Slurm knows, and nowhere else.
    places = {attempt.place for attempt in there.attempts()}
    assert places
    assert all(slurm.job(place)["Partition"] == "main" for place in places)
    assert {attempt.place for attempt in here.attempts()} == {""}
