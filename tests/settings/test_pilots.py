"""How sites of batch systems are run, as configured."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from daskflow.errors import SettingsInvalid, SiteUnknown
from daskflow.settings.options import Settings
from daskflow.settings.pilots import batch_of, plan_of, site_of
from daskflow.settings.sites import SiteSettings
from daskflow.sites.pilots.plan import SitePlan
from daskflow.sites.pools import Queue
from tests.conftest import settings_in

SLURM: dict[str, Any] = {"kind": "slurm", "cores": 2, "memory": "4 GiB", "walltime": "1 h"}


def plan(**changes: Any) -> SitePlan:
    return plan_of("cedar", SiteSettings.model_validate(SLURM | changes), "/home/cedar")


def test_what_is_not_said_is_as_the_plan_has_it() -> None:
    made = plan()
    bare = SitePlan(made.pools, "/home/cedar")
    assert made == bare
    (pool,) = made.pools
    assert pool == type(pool)("default", 2, 4 << 30, 3600.0)
    assert made.python == sys.executable


def test_what_is_said_arrives() -> None:
    made = plan(
        queue="main",
        account="me",
        gpus=1,
        nodes=3,
        min_pilots=1,
        max_pilots=4,
        directives=["--qos=x"],
        prologue=["true"],
        interface="ib0",
        worker_interface="ib1",
        dashboard="",
        tls=False,
        python="~/venv/bin/python",
        environment={"A": 1},
        scratch="$TMPDIR",
        idle="5 s",
        margin="20 s",
        notice="30 s",
        poll="40 s",
        patience=2,
        max_jobs=7,
        arrays=False,
        shared="~/shared",
        pools={"a": {}, "b": {"queue": "other", "max_pilots": 1}},
    )
    first, second = made.pools
    assert first.queue == Queue("main", "me", ("--qos=x",), ("true",))
    assert (first.gpus, first.nodes, first.minimum, first.maximum) == (1, 3, 1, 4)
    assert (second.name, second.queue.queue, second.maximum) == ("b", "other", 1)
    assert made[1:] == (
        str(Path("~/shared").expanduser()),
        "ib0",
        "ib1",
        "",
        False,
        str(Path("~/venv/bin/python").expanduser()),
        {"A": "1"},
        "$TMPDIR",
        5.0,
        20.0,
        30.0,
        40.0,
        2,
        7,
        False,
    )


def test_each_batch_system_is_made(tmp_path: Path) -> None:
    for kind in ("slurm", "pbs", "sge", "lsf", "oar", "htcondor"):
        system, made = batch_of("cedar", settings_in(tmp_path, sites={"cedar": SLURM | {"kind": kind}}))
        assert (system.name, made.home) == (kind, str(tmp_path / "sites" / "cedar"))


def test_this_machine_has_batch_jobs_too(tmp_path: Path) -> None:
    system, made = batch_of("local", settings_in(tmp_path))
    assert system.name == "local"
    (pool,) = made.pools
    assert pool.cores >= 1
    assert pool.memory > 0
    assert batch_of("local", settings_in(tmp_path))[0] == system


def test_what_has_no_batch_system(tmp_path: Path) -> None:
    settings = settings_in(tmp_path, sites={"far": {"kind": "dask", "address": "tcp://far:1"}})
    with pytest.raises(SettingsInvalid, match=r"The site 'far' of the kind 'dask' has no batch system"):
        batch_of("far", settings)
    with pytest.raises(SiteUnknown, match=r"No site 'near' is configured; there are far, local"):
        site_of("near", settings)


@pytest.mark.parametrize(
    ("store", "home"),
    [
        ("/a/b/journal.db", "/a/b/sites/s"),
        ("sqlite:////a/b/journal.db", "/a/b/sites/s"),
        ("postgresql://host/name", "/logs/sites/s"),
    ],
)
def test_the_home_of_a_site_lies_beside_the_store(store: str, home: str) -> None:
    assert Settings(store=store, logs=Path("/logs/logs")).home_of("s") == home
