from __future__ import annotations

from daskflow.model.needs import Needs
from daskflow.sites.pools import Pool, first_fit, misfit

SMALL = Pool("small", 4, 8 << 30, 3600.0)
LARGE = Pool("large", 32, 256 << 30, 7200.0, gpus=2)


def test_memory_that_nobody_asked_for_is_shared_by_cores() -> None:
    assert SMALL.share(Needs(1)) == 2 << 30
    assert SMALL.share(Needs(3)) == 6 << 30
    assert SMALL.share(Needs(9)) == 8 << 30
    assert SMALL.share(Needs(1, memory=5)) == 5


def test_the_first_pool_that_holds_it() -> None:
    pools = [SMALL, LARGE]
    assert first_fit(pools, Needs()) is SMALL
    assert first_fit(pools, Needs(5)) is LARGE
    assert first_fit(pools, Needs(memory=9 << 30)) is LARGE
    assert first_fit(pools, Needs(gpus=1)) is LARGE
    assert first_fit(pools, Needs(seconds=3700.0, declared=True)) is LARGE
    assert first_fit(pools, Needs(seconds=3590.0, declared=True), 30.0) is LARGE
    assert first_fit(pools, Needs(seconds=9999.0)) is SMALL, "what was learned may be wrong"
    assert first_fit(pools, Needs(nodes=2)) is None


def test_a_misfit_names_the_nearest_pool_and_what_it_lacks() -> None:
    assert misfit("cedar", [SMALL, LARGE], Needs()) == ""
    text = misfit("cedar", [SMALL, LARGE], Needs(64, memory=20 << 30, gpus=1))
    assert "'cedar'" in text
    assert "nearest is 'large', which lacks 64 cores (it has 32)." in text
    text = misfit("cedar", [SMALL], Needs(seconds=7200.0, declared=True), 60.0)
    assert "2 h 0 min of walltime (it has 59 min 0 s)" in text


def test_of_pools_that_lack_the_same_the_larger_is_nearer() -> None:
    assert "nearest is 'large'" in misfit("cedar", [SMALL, LARGE], Needs(64))
    assert "nearest is 'large'" in misfit("cedar", [SMALL, LARGE], Needs(memory=300 << 30))
    assert "nearest is 'small'" in misfit("cedar", [SMALL], Needs(gpus=1))
