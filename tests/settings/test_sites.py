"""What can be said of sites and pools."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from daskflow.settings.options import load
from daskflow.settings.sites import PoolSettings, SiteSettings, built_in

CONFIGS = Path(__file__).parents[2] / "configs"
SLURM: dict[str, Any] = {"kind": "slurm", "cores": 2, "memory": "4 GiB", "walltime": "1 h"}


def test_pools_have_what_their_site_has() -> None:
    site = SiteSettings.model_validate(
        SLURM
        | {
            "queue": "main",
            "prologue": "module load a\n\nmodule load b\n",
            "pools": {"small": {}, "big": {"memory": "1 TiB", "queue": "big", "prologue": []}},
        }
    )
    small, big = site.whole_pools().values()
    assert (small.cores, small.memory, small.walltime, small.queue) == (2, 4 << 30, 3600.0, "main")
    assert small.prologue == ("module load a", "module load b")
    assert (big.cores, big.memory, big.queue, big.prologue) == (2, 1 << 40, "big", ())


def test_a_site_without_pools_is_one() -> None:
    assert list(SiteSettings.model_validate(SLURM).whole_pools()) == ["default"]


def test_the_order_of_pools_is_that_of_the_file(here: Path) -> None:
    names = ["z", "b", "y", "a"]
    pools = "".join(f"      {name}: {{}}\n" for name in names)
    (here / "daskflow.yaml").write_text(
        f"sites:\n  s:\n    kind: slurm\n    cores: 1\n    memory: 1 GiB\n    walltime: 1 h\n    pools:\n{pools}"
    )
    assert list(load().sites["s"].whole_pools()) == names


def test_directives_lose_their_prefix() -> None:
    given = ["#SBATCH --qos=long", "  #PBS -q x", "#$ -l h", "--constraint=a"]
    site = SiteSettings.model_validate(SLURM | {"directives": given})
    assert site.directives == ("--qos=long", "-q x", "-l h", "--constraint=a")


def test_numbers_may_be_texts() -> None:
    site = SiteSettings.model_validate(SLURM | {"account": 4711, "environment": {"OMP_NUM_THREADS": 1, "X": True}})
    assert (site.account, dict(site.environment)) == ("4711", {"OMP_NUM_THREADS": "1", "X": "true"})


def test_a_variable_reaches_one_option_of_a_pool(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "daskflow.yaml").write_text(
        "sites:\n  s: {kind: slurm, cores: 1, memory: 1 GiB, walltime: 1 h, pools: {big: {queue: a}}}\n"
    )
    monkeypatch.setenv("DASKFLOW_SITES__S__POOLS__BIG__MEMORY", "2 GiB")
    monkeypatch.setenv("DASKFLOW_SITES__S__WALLTIME", "00:30:00")
    (pool,) = load().sites["s"].whole_pools().values()
    assert (pool.queue, pool.memory, pool.walltime) == ("a", 2 << 30, 1800.0)


def test_what_was_read_can_be_read_again() -> None:
    site = SiteSettings.model_validate(SLURM | {"pools": {"a": {"walltime": "2 h"}}})
    assert SiteSettings.model_validate(site.model_dump()) == site


@pytest.mark.parametrize("given", [{"queue": "x"}, {"pools": {"a": {}}}, {"idle": "1 s"}, {"address": "tcp://a"}])
def test_options_of_other_kinds_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="the kinds that have it are"):
        SiteSettings.model_validate(given)


def test_the_built_in_sites() -> None:
    assert {name: site.kind for name, site in built_in().items()} == {
        "local": "processes",
        "threads": "threads",
        "synchronous": "synchronous",
    }


def commented() -> dict[str, Any]:
    """The options that `configs/slurm.yaml` shows in comments, with their values."""
    text = (CONFIGS / "slurm.yaml").read_text()
    return {
        name: yaml.safe_load(value or "null")
        for name, value in re.findall(r"^    # ([a-z_]+): (.*?)(?:\s+#.*)?$", text, re.MULTILINE)
        if name in SiteSettings.model_fields
    }


_TOLD_IN_WORDS: dict[str, Any] = {
    "gpus": 0,
    "nodes": None,
    "min_pilots": 0,
    "max_pilots": 10,
    "directives": [],
    "prologue": [],
}


def test_the_example_shows_every_option_with_its_default() -> None:
    shown = commented()
    said = set(load(CONFIGS / "slurm.yaml").sites["slurm"].model_fields_set)
    others = {"workers", "threads", "address"}
    assert set(SiteSettings.model_fields) == set(shown) | said | others
    for name, default in _TOLD_IN_WORDS.items():
        assert (shown.pop(name), SiteSettings.model_fields[name].default) == (default, None)
    defaults = SiteSettings.model_validate(SLURM)
    assert SiteSettings.model_validate(SLURM | shown) == defaults


def test_pools_in_the_example_are_pools() -> None:
    text = (CONFIGS / "slurm.yaml").read_text()
    pools = dict(re.findall(r"^    #   ([a-z]+): (\{.*\})$", text, re.MULTILINE))
    assert set(pools) == {"small", "big", "gpu"}
    for value in pools.values():
        PoolSettings.model_validate(yaml.safe_load(value))


@pytest.mark.parametrize("option", ["memory", "idle", "margin", "notice", "poll"])
@pytest.mark.parametrize("amount", [-1, "-1 s", float("nan"), float("inf"), "soon", True])
def test_what_is_no_amount_is_refused(option: str, amount: Any) -> None:
    with pytest.raises(ValidationError, match="is not an amount of"):
        SiteSettings.model_validate(SLURM | {option: amount})


@pytest.mark.parametrize(
    "option", ["cores", "memory", "walltime", "nodes", "max_pilots", "idle", "poll", "patience", "max_jobs"]
)
def test_nothing_is_refused_where_something_is_needed(option: str) -> None:
    # A pilot that may not wait is taken back before it begins.
    with pytest.raises(ValidationError):
        SiteSettings.model_validate(SLURM | {option: 0})
    with pytest.raises(ValidationError):
        SiteSettings.model_validate(SLURM | {option: "0 s"})


def test_what_is_particular_to_a_batch_system() -> None:
    given = {"kind": "sge", "cores": 2, "memory": "1 GiB", "walltime": "1 h"}
    made = SiteSettings.model_validate({**given, "system": {"parallel": "openmp", "memory": "h_vmem"}})
    assert made.system == {"parallel": "openmp", "memory": "h_vmem"}
    made = SiteSettings.model_validate({**given, "system": {"timeout": "2 min"}})
    assert made.system == {"timeout": 120.0}
    assert SiteSettings.model_validate(made.model_dump()) == made
    with pytest.raises(ValidationError, match=r"system.paralel is no option of the kind 'sge'; there are parallel"):
        SiteSettings.model_validate({**given, "system": {"paralel": "openmp"}})
    with pytest.raises(ValidationError, match="no option 'system'"):
        SiteSettings.model_validate({"system": {"timeout": 5}})
