from __future__ import annotations

import pickle
from typing import Any

import pytest

from daskflow.artifacts.values import Values
from daskflow.errors import CodeMismatch
from daskflow.execution.plan import Prior
from daskflow.execution.sending.dispatch import Packer, attempts, pack_task
from daskflow.execution.sending.needing import Needing
from daskflow.execution.worker.package import ONCE, Bench, Package, Shipped
from daskflow.model.policy import Policy
from tests.conftest import Lab
from tests.execution.handmade import job, stored

BENCH = pickle.dumps(Bench("a-run", Values(None), "logs", "boxes"), protocol=5)


@pytest.fixture
def packer() -> Packer:
    return Packer("a-run", BENCH, Needing())


def opened(package: bytes) -> Package:
    found: Package = pickle.loads(package)
    return found


def test_sources_of_all_kinds(packer: Packer) -> None:
    known, flying = job("known"), job("flying")
    one, two = job("one"), job("two")
    inside = job("inside")
    last = job("last", known, flying, one, inside)
    shipment = packer.ship([[one, two], [inside, last]], {"known": stored()}, {"flying": "node-of-flying"}, {})
    bundle, node = shipment.nodes
    assert node.upstream == ("node-of-flying", bundle.key)
    assert opened(node.package).assignments[1].sources == (stored(), 0, (1, "one"), "inside")
    assert opened(bundle.package).wanted == ("one",)
    assert opened(bundle.package).bundle
    assert shipment.kept == [node.key]
    assert shipment.members == {bundle.key: [one, two], node.key: [inside, last]}


def test_a_package_holds_what_its_worker_needs(packer: Packer) -> None:
    one = job("one", retries=2, backoff=[1, 2], timeout="3 s")
    one.attempts = 4
    prior = Prior("form", (("inputs", stored()),))
    (node,) = packer.ship([[one]], {}, {}, {"one": prior}).nodes
    package = opened(node.package)
    assert package.node == node.key
    assert package.bench == BENCH
    assert not package.bundle
    (assignment,) = package.assignments
    assert assignment.priors == prior.results
    assert assignment.first == 5, "attempts of an interrupted run count on"
    assert (assignment.attempts.retries, assignment.attempts.pauses, assignment.attempts.timeout) == (
        2,
        (1.0, 2.0),
        3.0,
    )


def test_a_package_tells_what_failed_before(packer: Packer) -> None:
    one, two = job("one", retries=2), job("two", retries=2)
    (node,) = packer.ship([[one, two]], {}, {}, {}, {"one": 2}).nodes
    assert [(made.key, made.failed) for made in opened(node.package).assignments] == [("one", 2), ("two", 0)]


def test_no_two_nodes_have_the_same_key() -> None:
    keys: set[str] = set()
    for _ in range(2):  # two runs of one process
        packer = Packer("a-run", BENCH, Needing())
        for _ in range(2):  # a job that is submitted again
            one, two, three = job("fit-1"), job("fit-2"), job("fit-3")
            keys.update(node.key for node in packer.ship([[one], [two, three]], {}, {}, {}).nodes)
    assert len(keys) == 8
    assert {key.split("-")[0] for key in keys} == {"fit", "work"}, "the dashboard groups by task"


def test_a_task_is_packed_once_for_all_jobs_of_its_code(packer: Packer) -> None:
    one = job("one")
    two = job("two")
    two.task = one.task
    first, second = packer.ship([[one], [two]], {}, {}, {}).nodes
    assert opened(first.package).tasks == opened(second.package).tasks
    two.fingerprint = "other code"
    with pytest.raises(CodeMismatch, match="two was made"):
        packer.ship([[two]], {}, {}, {})


def test_foreign_graphs_travel_along(packer: Packer, lab: Lab) -> None:
    dask = pytest.importorskip("dask")

    @lab.task
    def total(x: Any) -> Any:
        return x

    found = total([dask.delayed(pow, pure=True)(2, 3)])
    shipment = packer.ship([[found]], {}, {}, {})
    (node,) = shipment.nodes
    assert node.upstream[0] in shipment.foreign


class Shy:
    """Does not pickle."""

    def __reduce__(self) -> Any:
        raise TypeError("shy")


def test_why_a_job_cannot_be_sent(packer: Packer) -> None:
    assert packer.fault(job("fine")) is None
    shy = job("shy")
    shy.arguments = [Shy()]
    assert str(packer.fault(shy)) == "shy"
    odd = job("odd", retries=1, backoff=lambda number: 1 / 0)
    assert isinstance(packer.fault(odd), ZeroDivisionError)


def test_what_of_a_policy_the_worker_follows() -> None:
    assert attempts(Policy(name="a", cache=False)) is ONCE
    assert attempts(Policy(name="a", retries=3, backoff=0.5)).pauses == (0.5, 0.5, 0.5)
    limited = attempts(Policy.model_validate({"name": "a", "resources": {"memory": "1 KiB"}}))
    assert (limited.memory, limited.retry, limited.apart) == (1024, None, True)
    busy = attempts(Policy(name="a", retries=1, retry_on=(OSError,), jitter=0.5))
    assert (busy.jitter, busy.apart) == (0.5, False)
    assert busy.retry is not None
    assert not busy.retry.worth(ValueError(), 1)


def test_local_tasks_travel_with_their_code(lab: Lab) -> None:
    factor = 3

    @lab.task
    def scale(x: int) -> int:
        return factor * x

    shipped: Shipped = pickle.loads(pack_task(scale(2)))
    assert shipped.parts == {}, "there is nothing to compare with on the worker"
    assert shipped.task.function(2) == 6
    assert shipped.task.launcher is None
