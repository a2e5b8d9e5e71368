from __future__ import annotations

import logging
import os
from types import SimpleNamespace
from typing import Any

import pytest

from daskflow.sites.clusters import close_all, cores, local_cluster, mend, running_cluster


class Closed:
    """Something that notes how it was closed."""

    def __init__(self, status: str = "running", error: Exception | None = None) -> None:
        self.status = SimpleNamespace(name=status)
        self.error = error
        self.timeouts: list[float] = []

    def close(self, timeout: float) -> None:
        self.timeouts.append(timeout)
        if self.error is not None:
            raise self.error


def test_all_are_closed_but_those_whose_closing_was_interrupted() -> None:
    slow, interrupted, last = Closed(error=TimeoutError()), Closed("closing"), Closed()
    close_all([slow, interrupted, last])
    assert [len(item.timeouts) for item in (slow, interrupted, last)] == [1, 0, 1]


def test_workers_that_gave_up_are_started_anew() -> None:
    def worker(status: str) -> Any:
        return SimpleNamespace(status=SimpleNamespace(name=status))

    scaled: list[int] = []
    cluster = SimpleNamespace(
        status=SimpleNamespace(name="running"),
        workers={0: worker("running"), 1: worker("failed"), 2: worker("closed")},
        worker_spec={0: {}, 1: {}, 2: {}},
        scale=scaled.append,
    )
    mend(cluster)
    assert (list(cluster.workers), scaled) == ([0], [3])
    cluster.workers = dict.fromkeys(cluster.worker_spec, worker("running"))
    mend(cluster)
    cluster.status.name, cluster.workers = "closing", {}
    mend(cluster)
    assert scaled == [3]


def test_a_local_cluster_computes_and_is_quiet_also_after_its_end(capfd: pytest.CaptureFixture[str]) -> None:
    client, closing = local_cluster(workers=1, threads=1, processes=False, memory=0, dashboard="")()
    assert client.submit(sum, [1, 2]).result() == 3
    second, _ = running_cluster(client.scheduler.address)()
    assert second.submit(sum, [3, 4]).result() == 7
    close_all([second, client, *closing])
    logging.getLogger("distributed.scheduler").info("a step")
    assert "a step" not in capfd.readouterr().err


@pytest.mark.parametrize("processes", [False, True])
def test_a_local_cluster_listens_on_this_machine_only(processes: bool) -> None:
    client, closing = local_cluster(workers=1, threads=1, processes=processes, memory=0, dashboard="")()
    listening = client.run(lambda dask_worker: dask_worker.http_server.address)
    assert set(listening.values()) == {"127.0.0.1"}
    assert closing[0].scheduler.http_server.address == "127.0.0.1"
    close_all([client, *closing])


def test_processors_are_those_that_the_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    assert cores() == len(os.sched_getaffinity(0))
    monkeypatch.delattr(os, "sched_getaffinity")
    assert cores() == os.cpu_count()
