from __future__ import annotations

import dataclasses
import pickle
from collections.abc import Iterator
from typing import Any

import dask
import dask.array as da
import pytest
import xarray as xr
from dask.base import is_dask_collection
from dask.delayed import delayed
from pydantic import BaseModel

from daskflow.errors import JobCancelled, JobFailed, JobSkipped, UsageError
from daskflow.graph.host import CURRENT_HOST
from daskflow.graph.job import Job, lineage
from daskflow.model.states import JobState
from tests.graph.projects import FakeHost, task


def identity(x: Any) -> Any:
    return x


def add(x: Any, y: Any = 0) -> Any:
    return x + y


def total(items: Any) -> Any:
    return sum(items)


same, plus, summed = task(identity), task(add), task(total)


class Model(BaseModel):
    value: int
    more: list[int] = []


@dataclasses.dataclass
class Record:
    value: Any


@pytest.fixture(params=["synchronous", "threads"])
def scheduler(request: pytest.FixtureRequest) -> Iterator[str]:
    with dask.config.set(scheduler=request.param):
        yield request.param


def compute(job: Any) -> Any:
    (value,) = dask.compute(job)
    return value


def test_dask_alone_computes_jobs(scheduler: str) -> None:
    chain = plus(1)
    for _ in range(200):
        chain = plus(chain, 1)
    assert compute(chain) == 201
    assert dask.compute(plus(1), [plus(2)], {"a": plus(3)}) == (1, [2], {"a": 3})
    assert is_dask_collection(chain)


def test_jobs_are_found_in_all_structures() -> None:
    one, two = plus(1), plus(2)
    assert compute(summed([one, two, one])) == 4
    assert compute(same({"a": (one, {"b": [two]})})) == {"a": (1, {"b": [2]})}
    assert compute(same(Record([one, two]))) == Record([1, 2])
    model = Model.model_construct(value=one, more=[two])
    assert compute(same(model)) == Model(value=1, more=[2])
    assert compute(same({one, 7})) == {1, 7}


def test_text_that_equals_a_key_stays_text() -> None:
    one = plus(1)
    assert compute(same([one.key, one, (one.key,)])) == [one.key, 1, (one.key,)]


def test_delayed_objects() -> None:
    job = plus(plus(1), 2)
    assert job.to_delayed().compute() == 3
    assert delayed(add)(job, 4).compute() == 7
    assert delayed(total)([job, job]).compute() == 6
    assert job.to_delayed().key == job.key
    (persisted,) = dask.persist(job)
    assert persisted.compute() == 3


def test_collections_of_dask_as_arguments() -> None:
    array, other = da.arange(6, chunks=2), da.ones(3)
    assert compute(summed(array)) == 15
    assert compute(summed([array.sum(), other.sum(), array.sum(), plus(1)])) == 34
    assert compute(plus(array, array)).tolist() == [0, 2, 4, 6, 8, 10]
    assert compute(same(delayed(add, pure=True)(1, 2))) == 3
    data = xr.Dataset({"v": ("x", da.arange(3))}, {"x": [1, 2, 3]})
    assert compute(same(data)).identical(data.compute())
    assert compute(same(data["v"].mean())) == 1
    assert plus(array).key == plus(da.arange(6, chunks=2)).key != plus(da.arange(6, chunks=3)).key


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")
def test_a_client_of_distributed_computes_jobs() -> None:
    distributed = pytest.importorskip("distributed")
    with distributed.Client(
        processes=False, protocol="tcp://", dashboard_address="127.0.0.1:0", n_workers=1, threads_per_worker=2
    ) as client:
        job = summed([plus(1), plus(da.arange(3, chunks=1).sum(), 1)])
        assert client.compute(job).result(timeout=60) == 5
        assert client.gather(client.compute([plus(1), plus(2)])) == [1, 2]
        assert client.persist(job).compute() == 5


@pytest.mark.parametrize("use", [iter, list, lambda job: 3 in job, lambda job: [*job]])
def test_a_job_is_not_its_items(use: Any) -> None:
    for job in (plus(1), plus(1)["a"]):
        with pytest.raises(UsageError, match=r"is not there yet, so it cannot be iterated over\. Use `job\.result"):
            use(job)


def test_a_job_is_not_its_truth() -> None:
    for job in (plus(1), plus(1)["a"], plus(1).output):
        with pytest.raises(UsageError, match="neither true nor false"):
            bool(job)


def test_a_job_stays_in_its_process() -> None:
    for job in (plus(1), plus(1)["a"], [plus(1)]):
        with pytest.raises(UsageError, match=r"cannot leave the process of its run\. Pass it to a task"):
            pickle.dumps(job)


def test_results() -> None:
    host = FakeHost()
    token = CURRENT_HOST.set(host)
    job = plus({"a": 1}, 2)
    CURRENT_HOST.reset(token)
    job.host = host
    job.arguments = [{"a": [5]}]
    job.task = same
    job.state = JobState.succeeded
    assert job.result() == {"a": [5]}
    assert job["a"][0].result() == 5
    assert job.log() == "said"
    assert job.outcome is None
    job.state, job.reason = JobState.failed, "its worker was lost"
    with pytest.raises(JobFailed, match="failed: its worker was lost"):
        job.result()
    job.state = JobState.skipped
    assert isinstance(job.result(raise_on_failure=False), JobSkipped)
    job.state = JobState.cancelled
    assert isinstance(job.error(), JobCancelled)


def test_what_people_see() -> None:
    job = plus(1)
    assert repr(job) == f"<Job {job.key} created>"
    job.reason = "known"
    assert "(known)" in job._repr_html_()
    assert job.log() == ""
    assert job.outcome is None


def test_lineage_is_upstream_first_and_has_no_depth() -> None:
    chain: Job = plus(0)
    for number in range(3000):
        chain = plus(chain, number)
    side = plus(chain, chain)
    found = lineage([side, chain])
    assert len(found) == 3002
    places = {job.key: place for place, job in enumerate(found)}
    assert all(places[up.key] < places[job.key] for job in found for up in job.upstream if isinstance(up, Job))
