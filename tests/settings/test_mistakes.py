"""What people are told of mistakes in a configuration."""

from __future__ import annotations

from pathlib import Path

import pytest

from daskflow.errors import SettingsInvalid
from daskflow.settings.options import load

SLURM = "kind: slurm, memory: 1 GiB, walltime: 1 h, cores: 1"


ONE_OF = "the kinds that have it are"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("stroe: a.db", "The option 'stroe' is not known; did you mean 'store'? (read"),
        ("queue: main", "The option 'queue' is not known; it belongs to one of those below 'sites'"),
        ("functions: [a]", "The option 'functions' is not known; it belongs to one of those below 'works'"),
        ("logs: 5", "The option 'logs' does not fit: it must be a path"),
        ("storage: {a: {}}", "The option 'storage.a' does not fit: it must be a text"),
        ("zzz: 1", "The option 'zzz' is not known among store, store_patience, artifacts"),
        ("sites: {'a:b': {}}", "The configuration does not fit: 'a:b' is no name of a site"),
        ("sites: {s: 3}", "The option 'sites.s' does not fit"),
    ],
)
def test_mistakes_are_told(here: Path, text: str, message: str) -> None:
    (here / "daskflow.yaml").write_text(text)
    with pytest.raises(SettingsInvalid) as caught:
        load()
    assert message in str(caught.value)
    assert str(caught.value).endswith("(read daskflow.yaml, variables DASKFLOW_...).")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("wrkers: 2", "The option 'sites.s.wrkers' is not known; did you mean 'workers'?"),
        (f"{SLURM}, partition: a", "The option 'sites.s.partition' is not known; it is called 'queue' here"),
        (f"{SLURM}, job_extra_directives: [a]", "it is called 'directives' here"),
        (f"{SLURM}, pools: {{b: {{quue: a}}}}", "'sites.s.pools.b.quue' is not known; did you mean 'queue'?"),
        (f"{SLURM}, pools: {{b: {{idle: 1}}}}", "'sites.s.pools.b.idle' is not known among queue, account"),
        ("memory: 3 parsecs", "The option 'sites.s.memory' does not fit: '3 parsecs' is not an amount of memory"),
        ("cores: 0", "The option 'sites.s.cores' does not fit: it must be at least 1"),
        ("idle: soon", "The option 'sites.s.idle' does not fit: 'soon' is not an amount of time"),
        (f"{SLURM}, address: a", f"a site of the kind 'slurm' has no option 'address'; {ONE_OF} dask"),
        ("queue: a", f"has no option 'queue'; {ONE_OF} slurm, pbs, sge, lsf, oar, htcondor"),
        ("kind: slurm", "a site of the kind 'slurm' needs cores and memory and walltime of one pilot, such as"),
        (
            "kind: slurm, memory: 1 GiB, walltime: 1 h, pools: {a: {cores: 1}, b: {}}",
            "the pool 'b' needs cores of one pilot",
        ),
        (f"{SLURM}, pools: {{'a b': {{}}}}", "'a b' is no name of a pool"),
        (f"{SLURM}, margin: 2 h", "a walltime that is not longer than its margin of 7200 s"),
        (
            "memory: 16",
            "'sites.s.memory' does not fit: 16 is 16 bytes, and less than 16 MiB is too little; write 16 GiB",
        ),
        (
            "memory: 4000",
            "'sites.s.memory' does not fit: 4000 is 4000 bytes, and less than 16 MiB is too little; write 4000 M",
        ),
        ("memory: 0", "'sites.s.memory' does not fit: 0 is 0 bytes"),
        (f"{SLURM}, pools: {{b: {{memory: 16}}}}", "'sites.s.pools.b.memory' does not fit: 16 is 16 bytes"),
        (
            f"{SLURM}, system: {{timeout: -5}}",
            "'sites.s.system' does not fit: system.timeout: -5 is not an amount of time",
        ),
        (f"{SLURM}, min_pilots: 20", "a min_pilots that is more than its max_pilots"),
    ],
)
def test_mistakes_within_a_site_are_told(here: Path, options: str, message: str) -> None:
    (here / "daskflow.yaml").write_text(f"sites: {{s: {{{options}}}}}")
    with pytest.raises(SettingsInvalid) as caught:
        load()
    assert message in str(caught.value)


def test_secrets_at_wrong_places_are_not_told(here: Path) -> None:
    (here / "daskflow.yaml").write_text("storage: {secret_access_key: [hush]}")
    with pytest.raises(SettingsInvalid) as caught:
        load()
    assert "hush" not in str(caught.value)
    assert "'storage.secret_access_key'" in str(caught.value)
