from __future__ import annotations

import pytest

from daskflow.execution.bucketing import deposit as deposits
from daskflow.execution.bucketing.deposit import Deposit, Step, bucket_of
from daskflow.model.work import Work
from daskflow.sites.site import Node
from tests.execution.bucketing.camp import Ear


@pytest.mark.parametrize("kind", ["fit", "Fit_DM", "a.b.c", "__main__", "-", "x" * 300, "grün"])
def test_a_bucket_has_a_name_that_works_take_as_it_is(kind: str) -> None:
    name = bucket_of(kind)
    assert Work(pipeline=name, site="s", user="u").pipeline == name


def test_a_deposit_tells_of_its_job() -> None:
    ear = Ear()
    deposit = Deposit(Node("fit-1", b"", name="fit"), ear, {})
    before = deposit.since
    deposit.event("work.deposited", id="1")
    deposit.go(Step.queued)
    assert (deposit.key, deposit.job, deposit.step) == ("fit-1", "fit", Step.queued)
    assert deposit.since >= before
    assert ear.of("work.deposited") == [{"job": "fit", "id": "1"}]


@pytest.mark.parametrize(("brief", "goes_on"), [(1000.0, True), (0.0, False)])
def test_what_was_only_looked_at_has_waited_on(brief: float, goes_on: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deposits, "_BRIEF", brief)
    deposit = Deposit(Node("fit-1", b"", name="fit"), Ear(), {})
    deposit.go(Step.queued)
    since = deposit.since
    for _ in range(2):
        deposit.go(Step.running)
        assert deposit.since > since
        deposit.go(Step.queued)
    assert (deposit.since == since) is goes_on
