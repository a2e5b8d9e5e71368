"""What new processes do: `python -m benchmarks.procedures NAME OPTIONS` prints what it found as a line of JSON.

Everything beyond the standard library is imported in the procedures: importing is part of what they measure.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any


def run(directory: str, graph: str, jobs: int) -> dict[str, Any]:
    """Run a graph in a store; a second time it is remembered."""
    start = time.perf_counter()
    import daskflow  # noqa: F401, PLC0415

    imported = time.perf_counter()
    from benchmarks.laboratory import Laboratory, settings_in  # noqa: PLC0415

    laboratory = Laboratory(settings_in(directory))
    begun = time.perf_counter()
    laboratory.graph(graph, jobs)()
    ended, at = time.perf_counter(), time.time()
    cluster = "distributed" in sys.modules
    laboratory.launcher.close()
    return {"import": imported - start, "flow": ended - begun, "at": at, "cluster": cluster}


def plain_first() -> dict[str, Any]:
    """Start a cluster and compute one thing, by dask alone."""
    import dask  # noqa: PLC0415

    from benchmarks.plain import plain_cluster  # noqa: PLC0415
    from benchmarks.workload import nothing  # noqa: PLC0415

    with plain_cluster():
        dask.compute(dask.delayed(nothing)(0))
        at = time.time()
    return {"at": at}


def build(shape: str, jobs: int, rounds: int) -> dict[str, Any]:
    """Make jobs in a run, and bare dask tasks, interleaved: CPU time of each [µs]."""
    from benchmarks.laboratory import Laboratory, store  # noqa: PLC0415
    from benchmarks.workload import GRAPHS  # noqa: PLC0415
    from daskflow.execution import engine  # noqa: PLC0415

    engine.FLUSH_AT = sys.maxsize
    _bare(shape, 1)
    found: dict[str, Any] = {"ours": [], "reference": []}
    with store() as settings:
        laboratory = Laboratory(settings)

        def body() -> None:
            # What the first job of a process costs counts where a new process is measured.
            GRAPHS[shape](laboratory.task, 1, -1)
            for number in range(rounds):
                start = number * 1_000_000
                found["ours"].append(_cpu_each(lambda: GRAPHS[shape](laboratory.task, jobs, start), jobs))  # noqa: B023
                found["reference"].append(_cpu_each(lambda: _bare(shape, jobs), jobs))
            # Only building is measured: this lets the run end without performing anything.
            raise KeyboardInterrupt

        with contextlib.suppress(KeyboardInterrupt):
            laboratory.flow(body)()
        laboratory.launcher.close()
    return found


def _bare(shape: str, jobs: int) -> list[Any]:
    from dask._task_spec import Task, TaskRef  # noqa: PLC0415

    from benchmarks.workload import nothing  # noqa: PLC0415

    if shape == "fan-out":
        return [Task(f"nothing-{index}", nothing, index) for index in range(jobs)]
    return [Task(f"nothing-{index}", nothing, TaskRef(f"nothing-{index - 1}")) for index in range(jobs)]


def _cpu_each(make: Callable[[], Any], jobs: int) -> float:
    gc.collect()
    start = time.thread_time()
    kept = make()
    spent = time.thread_time() - start
    del kept
    return spent / jobs * 1e6


def memory(directory: str, jobs: int, warm: int) -> dict[str, Any]:
    """Run independent jobs, and keep the run: growth of the driver for each job [kB]."""
    from benchmarks.laboratory import Laboratory, settings_in  # noqa: PLC0415

    laboratory = Laboratory(settings_in(directory))

    def body(count: int) -> None:
        call = laboratory.task(_nothing())
        kept = [call(index) for index in range(count)]
        kept[-1].result()

    laboratory.flow(body)(warm)
    gc.collect()
    before = _resident("VmRSS")
    with contextlib.suppress(OSError), open("/proc/self/clear_refs", "w") as file:
        file.write("5")
    run = laboratory.flow(body).submit(jobs)
    run.result()
    gc.collect()
    grown, peak = _resident("VmRSS") - before, _resident("VmHWM") - before
    assert len(run.jobs) == jobs
    laboratory.launcher.close()
    return {"each": grown / jobs, "peak": peak / jobs}


def _nothing() -> Callable[..., Any]:
    from benchmarks.workload import nothing  # noqa: PLC0415

    return nothing


def _resident(name: str) -> float:
    if not os.path.exists("/proc/self/status"):
        import psutil  # noqa: PLC0415

        return float(psutil.Process().memory_info().rss) / 1000
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) * 1.024 for line in file if line.startswith(name))


PROCEDURES: dict[str, Callable[..., dict[str, Any]]] = {
    "run": run,
    "plain_first": plain_first,
    "build": build,
    "memory": memory,
}

if __name__ == "__main__":
    print(json.dumps(PROCEDURES[sys.argv[1]](**json.loads(sys.argv[2]))))
