"""What a batch system and its queues are found to be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from daskflow.errors import BatchRefused
from daskflow.execution.doctor import batch
from daskflow.execution.doctor.findings import Mark
from daskflow.execution.doctor.patient import Patient
from tests.execution.doctor.conftest import POOL, QUEUE, FakeSystem


def test_commands(system: FakeSystem) -> None:
    assert batch.commands(system).mark is Mark.ok
    system.commands = ("sh", "no-such-program")
    found = batch.commands(system)
    assert (found.mark, found.text) == (Mark.broken, "there is no no-such-program in the PATH")
    system.commands = ()
    assert batch.commands(system).text == "none are needed"


def test_a_pool_that_fits() -> None:
    (found,) = batch.pool_fits(POOL, [QUEUE])
    assert found.mark is Mark.ok
    assert found.text == ("2 cores, 4 GiB for 1 h 0 min fit into the queue 'main' (8 cores, 8 GiB, at most 24 h 0 min)")


@pytest.mark.parametrize(
    ("pool", "queue", "text"),
    [
        ({"walltime": 90000.0}, {}, "a walltime of 25 h 0 min is over the limit of the queue 'main', 24 h 0 min"),
        ({"cores": 9}, {}, "no node of the queue 'main' has 9 cores; the largest has 8"),
        ({"memory": 9 << 30}, {}, "no node of the queue 'main' has 9 GiB of memory; the largest has 8 GiB"),
        ({"gpus": 1}, {}, "no node of the queue 'main' has 1 gpus; the most is 0"),
        ({"nodes": 5}, {}, "the queue 'main' has 4 nodes, not 5"),
        ({}, {"up": False}, "the queue 'main' is down"),
        ({}, {"queue": "other"}, "there is no queue 'main'"),
    ],
)
def test_a_pool_that_does_not_fit(pool: dict[str, Any], queue: dict[str, Any], text: str) -> None:
    (found,) = batch.pool_fits(POOL._replace(**pool), [QUEUE._replace(**queue)])
    assert (found.mark, found.text) == (Mark.broken, text)
    assert found.cure


def test_everything_that_does_not_fit_is_told() -> None:
    assert len(batch.pool_fits(POOL._replace(cores=99, memory=1 << 50), [QUEUE])) == 2


def test_what_nobody_tells_is_no_limit() -> None:
    free = QUEUE._replace(walltime=None, nodes=None, cores=None, memory=None, gpus=None)
    (found,) = batch.pool_fits(POOL._replace(cores=999, gpus=8, walltime=1e9), [free])
    assert found.mark is Mark.ok
    assert "no limit of time" in found.text


def test_the_default_queue() -> None:
    bare = POOL._replace(queue=POOL.queue._replace(queue=""))
    assert batch.pool_fits(bare, [QUEUE])[0].mark is Mark.ok
    (found,) = batch.pool_fits(bare, [QUEUE._replace(default=False)])
    assert found.mark is Mark.warning
    assert "main" in found.cure


def test_rehearsals(system: FakeSystem, patient: Callable[..., Patient]) -> None:
    assert batch.rehearsal(system, patient(), POOL).mark is Mark.ok
    rich = POOL._replace(queue=POOL.queue._replace(account="me"))
    assert "account 'me'" in batch.rehearsal(system, patient(), rich).text
    system.wrong["rehearse"] = BatchRefused("sbatch: Invalid account")
    found = batch.rehearsal(system, patient(), POOL)
    assert (found.mark, found.text) == (Mark.broken, "sbatch: Invalid account")
    system.wrong["rehearse"] = BatchRefused("Requested node configuration is not available")
    assert batch.rehearsal(system, patient(), POOL).mark is Mark.warning
