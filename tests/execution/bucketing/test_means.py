from __future__ import annotations

import pytest

from daskflow.execution.bucketing.deposit import Deposit
from daskflow.execution.bucketing.means import work_of
from daskflow.execution.bucketing.packing import Packing
from daskflow.execution.bucketing.parcel import PERFORM
from tests.execution.bucketing.camp import Camp, add


@pytest.mark.parametrize(("pipeline", "bucket"), [("", "some-work"), ("flows", "flows")])
def test_a_work_names_its_run_and_its_job(camp: Camp, pipeline: str, bucket: str) -> None:
    deposit = Deposit(camp.node("sum", add, 1, 2), camp.ear, {})
    work = work_of(deposit, camp.means(pipeline), Packing(camp.values))
    assert (work.pipeline, work.site, work.user, work.function) == (bucket, "camp", "ada", PERFORM)
    assert (work.tags, work.config.parent) == (["a-run", "sum"], "a-run")
    assert list(work.parameters or ()) == ["parcel"]
