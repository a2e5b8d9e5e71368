from __future__ import annotations

from types import SimpleNamespace

import dask
import pytest

from daskflow.errors import UsageError
from daskflow.graph.gate import Awaited, Gatekeeper
from tests.graph.projects import FakeLauncher


def test_the_flow_and_its_arguments_make_the_key_and_not_the_run() -> None:
    keeper = Gatekeeper(FakeLauncher())
    one, two = SimpleNamespace(id="one"), SimpleNamespace(id="two")
    assert keeper(Awaited(one, "study x=1")).recipe == "matter=run(study x=1)"
    assert keeper(Awaited(one, "study x=1")).arguments[0].run is one
    assert keeper(Awaited(one, "study x=1")).task.policy.cache is False
    recipes = {keeper(Awaited(run, "study x=1")).recipe for run in (one, two)}
    assert len(recipes) == 1


def test_only_the_run_itself_knows_the_value() -> None:
    job = Gatekeeper(FakeLauncher())(Awaited(SimpleNamespace(id="one"), ""))
    with pytest.raises(UsageError, match="The value of the run one"):
        dask.compute(job)
