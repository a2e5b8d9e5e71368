"""Which kinds of sites have which options."""

from __future__ import annotations

import inspect
from typing import get_args

from daskflow.settings.kinds import (
    BATCH,
    BATCHING,
    HERE,
    KINDS_OF,
    POOL_OPTIONS,
    SPANNING,
    SYSTEM_OPTIONS,
    Kind,
    strangers,
)
from daskflow.settings.sites import PoolSettings, SiteSettings
from daskflow.sites.batch.table import SYSTEMS

KINDS = {kind for one in get_args(Kind) for kind in get_args(one) or (one,)}


def test_all_names_are_known() -> None:
    assert {kind for kinds in KINDS_OF.values() for kind in kinds} | {*HERE, *BATCHING, *SPANNING} <= KINDS
    assert set(KINDS_OF) <= set(SiteSettings.model_fields)
    assert {*POOL_OPTIONS, "memory"} == set(PoolSettings.model_fields)


def test_the_batch_systems_have_the_same_options() -> None:
    assert {strangers(kind, KINDS_OF) == strangers("slurm", KINDS_OF) for kind in BATCH} == {True}


def test_strangers() -> None:
    assert strangers("slurm", ["queue", "address", "workers", "binds"]) == ["address", "workers"]
    assert strangers("processes", ["queue", "address", "workers", "binds"]) == ["queue", "address"]


def test_the_options_of_a_batch_system_are_those_of_its_class() -> None:
    for kind, names in SYSTEM_OPTIONS.items():
        parameters = inspect.signature(SYSTEMS[kind]).parameters
        assert set(names) == set(parameters), kind
    assert set(SYSTEM_OPTIONS) == set(BATCH)
