"""Shows figures as a table, and says on what machine they were measured."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from importlib.metadata import version
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.figures import Figure
from benchmarks.plain import workers

_MET = {True: "[green]yes[/]", False: "[red]no[/]", None: ""}
_SIGNS = {"ratio": "{:.2f} ×", "difference": "+ {:g} {}", "value": "{:g} {}"}


def machine() -> dict[str, Any]:
    """What the figures depend on."""
    return {
        "cores": workers(),
        "load": [round(load, 2) for load in os.getloadavg()],
        "python": platform.python_version(),
        **{name: version(name) for name in ("daskflow", "dask", "distributed", "pydantic")},
    }


def show(figures: Sequence[Figure], console: Console, note: str = "") -> None:
    """Print the table, and below it the machine."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("what")
    for name in ("daskflow", "reference", "ratio", "(min–max)", "CPU", "budget"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("met")
    table.add_column("note", style="dim")
    for figure in figures:
        table.add_row(*_row(figure))
    console.print(table)
    found = machine()
    load = " ".join(f"{value:.2f}" for value in found.pop("load"))
    versions = ", ".join(f"{name} {value}" for name, value in found.items() if name != "cores")
    console.print(f"{found['cores']} cores and workers, load average {load}; {versions}{note}", style="dim")


def _row(figure: Figure) -> list[str]:
    ratios = figure.ratios
    return [
        figure.what,
        _quantity(median(figure.ours), figure.unit),
        f"{_quantity(median(figure.reference), figure.unit)}" if figure.reference else "",
        f"{median(ratios):.2f}" if ratios else "",
        f"{min(ratios):.2f}–{max(ratios):.2f}" if len(ratios) > 1 else "",
        f"{median(figure.cpu):.2f}" if figure.cpu else "",
        _SIGNS[figure.budget.kind].format(figure.budget.limit, figure.unit) if figure.budget else "",
        _MET[figure.met],
        "; ".join(text for text in (f"beside {figure.against}" if figure.against else "", figure.note) if text),
    ]


def _quantity(value: float, unit: str) -> str:
    digits = 0 if unit == "ms" else 2 if value >= 1 else 3
    return f"{value:.{digits}f} {unit}"
