"""`site ls|script|schema|check`, as processes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.views.conftest import Place

SITES = """
sites:
  cedar:
    kind: slurm
    queue: compute
    cores: 2
    memory: 4 GiB
    walltime: 1 h
    prologue: module load python
    pools:
      small: {}
      big: {memory: 64 GiB, gpus: 1, walltime: 2 h}
  far: {kind: dask, address: "tcp://far:1"}
"""


@pytest.fixture
def configured(place: Place) -> Place:
    place.write("daskflow.yaml", SITES)
    return place


def test_sites_are_listed(configured: Place) -> None:
    found = {row["site"]: row for row in configured.json("site", "ls")}
    assert set(found) == {"local", "threads", "synchronous", "cedar", "far"}
    assert found["synchronous"]["default"], "the one of the configuration"
    assert found["cedar"]["pools"]["big"]["memory"] == 64 << 30
    assert found["cedar"]["pools"]["small"]["queue"] == "compute"
    out = configured.run("site", "ls")
    assert "big: 2 cores, 64 GiB, 1 gpus, 2 h" in out
    assert "tcp://far:1" in out


def test_the_job_script_of_a_pool(configured: Place) -> None:
    out = configured.run("site", "script", "cedar")
    assert out.startswith("#!/usr/bin/env bash\n#SBATCH ")
    assert "#SBATCH --mem=4096M\n" in out
    assert "\nmodule load python\n" in out
    assert "--scheduler tls://DRIVER:PORT" in out
    assert "#SBATCH --gres=gpu:1" in configured.run("site", "script", "cedar", "--pool", "big")
    assert not (configured.directory / ".daskflow").exists(), "only looking makes nothing"


def test_no_script(configured: Place) -> None:
    assert "no pool 'huge'; there are small, big" in configured.error("site", "script", "cedar", "--pool", "huge")
    assert "has no pilots: it is of the kind 'dask'" in configured.error("site", "script", "far")
    assert "No site 'mars'" in configured.error("site", "script", "mars")
    assert "No site 'mars'" in configured.error("site", "check", "mars")


def test_the_schema_is_that_of_the_configs(place: Place) -> None:
    shipped = Path(__file__).parents[2] / "configs" / "daskflow.schema.json"
    assert json.loads(place.run("site", "schema")) == json.loads(shipped.read_text())


def test_a_site_of_this_machine_is_well(place: Place) -> None:
    told = place.json("site", "check", "local")
    assert told["ok"]
    assert {one["check"] for one in told["checks"]} == {"locks", "logs", "artifacts"}
    out = place.run("site", "check", "local")
    assert "ok       locks: " in out
    assert out.endswith("local is ready.\n")


def test_what_is_broken_has_a_cure_and_an_exit_code(place: Place) -> None:
    place.write("daskflow.yaml", "logs: /dev/null/logs\nsites: {far: {kind: dask, address: 'tcp://127.0.0.1:1'}}\n")
    out = place.run("site", "check", "far", code=1)
    assert "broken   logs: /dev/null/logs cannot be written: Not a directory" in out
    assert "broken   scheduler: tcp://127.0.0.1:1 is not reached" in out
    assert "→ Start the scheduler" in out
    assert "2 of 4 checks found what is broken at far." in out
