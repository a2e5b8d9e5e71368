"""Benchmarks of what comes first: building jobs, importing, the first result of a new process."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tempfile
from collections.abc import Callable
from statistics import median

from benchmarks.figures import Budget, Figure, interleaved
from benchmarks.fresh import Lived, command, environment, procedure, python

_HEAVY = ("dask", "distributed", "numpy", "pandas", "xarray", "sqlalchemy", "yaml")
_STARTS = 7


def building(*, quick: bool, rounds: int) -> list[Figure]:
    """Make jobs, beside bare dask tasks."""
    sizes = (1_000, 10_000) if quick else (10_000, 100_000)
    figures = []
    for shape in ("fan-out", "chain"):
        for jobs in sizes:
            _, said = procedure("build", shape=shape, jobs=jobs, rounds=rounds)
            figures.append(
                Figure(
                    f"building {jobs:,} jobs, {'one plain argument' if shape == 'fan-out' else shape}",
                    "µs",
                    tuple(said["ours"]),
                    tuple(said["reference"]),
                    "bare Task",
                    Budget("difference", 15.0),
                    note="CPU time of each job",
                )
            )
    return figures


def importing(*, quick: bool, rounds: int) -> list[Figure]:
    """Import the front door, and show the help of the command line."""
    starts = 2 if quick else _STARTS
    python("import daskflow")
    _help()
    bare, known, ours, cli = interleaved(
        starts,
        lambda _: python("pass"),
        lambda _: python("from pydantic import BaseModel"),
        lambda _: python("import daskflow"),
        lambda _: _help(),
    )
    walls = tuple(lived.wall * 1000 for lived in ours)
    least = min(lived.wall for lived in bare) * 1000
    imported = Figure(
        "import daskflow",
        "ms",
        walls,
        tuple(lived.wall * 1000 for lived in bare),
        "python -c pass",
        Budget("difference", 150.0),
        note=f"min {min(walls) - least:.0f} ms more; BaseModel alone: {_median(known) - _median(bare):.0f} ms more"
        + _unwanted("import daskflow"),
    )
    return [imported, *_help_figure(cli)]


def _help() -> Lived | None:
    if importlib.util.find_spec("daskflow.views.cli") is None:
        return None
    return command(sys.executable, "-c", _HELP)


_HELP = "import sys; sys.argv = ['daskflow', '--help']; from daskflow.views.cli import main; main()"


def _help_figure(found: list[Lived | None]) -> list[Figure]:
    walls = tuple(lived.wall * 1000 for lived in found if lived is not None)
    if not walls:
        return []
    note = f"min {min(walls):.0f} ms{_unwanted(f'import atexit; atexit.register(lambda: exec(CHECK)); {_HELP}')}"
    return [Figure("daskflow --help", "ms", walls, budget=Budget("value", 300.0), note=note)]


def _unwanted(line: str) -> str:
    check = f"import sys; print('imports', *[name for name in {_HEAVY} if name in sys.modules], file=sys.stderr)"
    program = f"CHECK = {check!r}\n{line}" if "CHECK" in line else f"{line}\n{check}"
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=environment(), check=False
    )
    heavy = ended.stderr.strip().splitlines()[-1].split()[1:] if ended.stderr.strip() else []
    return f"; imports {', '.join(heavy)}" if heavy else ""


def _median(found: list[Lived]) -> float:
    return median(lived.wall for lived in found) * 1000


def first_result(*, quick: bool, rounds: int) -> list[Figure]:
    """One job in a new process: on a new cluster, and remembered."""

    def ours(_: int) -> float:
        with tempfile.TemporaryDirectory(prefix="daskflow-bench-", ignore_cleanup_errors=True) as directory:
            lived, said = procedure("run", directory=directory, graph="fan-out", jobs=1)
        return float(said["at"]) - lived.began

    def reference(_: int) -> float:
        lived, said = procedure("plain_first")
        return float(said["at"]) - lived.began

    walls, references = interleaved(1 if quick else max(rounds, 5), ours, reference)
    first = Figure(
        "first result of a new process",
        "s",
        tuple(walls),
        tuple(references),
        "LocalCluster, Client, delayed",
        Budget("ratio", 1.1),
        note="from the start of the process",
    )
    return [first, _remembered(1 if quick else max(rounds, 3))]


def _remembered(rounds: int) -> Figure:
    with tempfile.TemporaryDirectory(prefix="daskflow-bench-", ignore_cleanup_errors=True) as directory:
        procedure("run", directory=directory, graph="fan-out", jobs=10)
        found = [procedure("run", directory=directory, graph="fan-out", jobs=10) for _ in range(rounds)]
    started = any(said["cluster"] for _, said in found)
    return Figure(
        "10 jobs, all cached, in a new process",
        "s",
        tuple(lived.wall for lived, _ in found),
        budget=Budget("value", 0.6),
        note="A CLUSTER WAS STARTED" if started else "no cluster",
    )


ITEMS: dict[str, Callable[..., list[Figure]]] = {
    "building": building,
    "import": importing,
    "first": first_result,
}
