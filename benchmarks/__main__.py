"""`python -m benchmarks`: measures, and prints one table."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from functools import partial

from rich.console import Console

from benchmarks import commands, graphs, memory, staging, startup, walltime, works
from benchmarks.figures import Figure
from benchmarks.table import machine, show

_ITEMS = {**commands.ITEMS, **memory.ITEMS, **staging.ITEMS, **startup.ITEMS, **walltime.ITEMS, **works.ITEMS}
_NAMES = [*graphs.CASES, *_ITEMS]


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measures daskflow against dask itself.")
    parser.add_argument("--only", action="append", choices=_NAMES, metavar="NAME", help=f"one of {', '.join(_NAMES)}")
    parser.add_argument("--quick", action="store_true", help="small sizes, one round: does it still run at all?")
    parser.add_argument("--rounds", type=int, help="how often everything is measured (3)")
    parser.add_argument("--json", action="store_true", help="print plain data instead of the table")
    given = parser.parse_args()
    rounds = given.rounds or (1 if given.quick else 3)
    progress = Console(stderr=True)
    names = given.only or _NAMES
    asked: dict[str, Callable[..., list[Figure]]] = {name: _ITEMS[name] for name in names if name in _ITEMS}
    if found := [name for name in names if name in graphs.CASES]:
        asked = {"graphs": partial(graphs.compare, found), **asked}
    figures: list[Figure] = []
    failed = []
    for name, measure in asked.items():
        try:
            with progress.status(f"{name} ..."):
                figures.extend(measure(quick=given.quick, rounds=rounds))
        except RuntimeError as error:  # the other figures are worth having all the same
            failed.append(name)
            progress.print(f"{name} was not measured: {error}", style="red", markup=False)
    if given.json:
        json.dump({"machine": machine(), "figures": [figure.record() for figure in figures]}, sys.stdout, indent=1)
        print()
    else:
        note = "\nquick: the budgets are those of the full sizes" if given.quick else ""
        show(figures, Console(width=None if sys.stdout.isatty() else 200), note)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
