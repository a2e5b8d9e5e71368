"""What a simulation says: its thermodynamic table, and the averages of it."""

from io import StringIO
from typing import Any

import numpy as np
import xarray as xr
from pydantic import BaseModel, ConfigDict

from daskflow import task
from daskflow.examples.melt.averages import block_average

COLUMNS = {
    "temperature": "epsilon / k",
    "potential": "epsilon / atom",
    "energy": "epsilon / atom",
    "pressure": "epsilon / sigma^3",
}
"""Columns of the table after the step, and their units."""
SETTLED = 200
"""Until this step the crystal melts and heat spreads; the averages begin after it."""


class Round(BaseModel):
    """What one simulation has found, in Lennard-Jones units."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    nsteps: int
    """Its length [steps]."""
    temperature: float
    """Mean temperature of the liquid [epsilon / k]."""
    pressure: float
    """Mean pressure of the liquid [epsilon / sigma^3]."""
    error: float
    """Standard error of the pressure [epsilon / sigma^3]."""
    correlation: float
    """Steps that count as one independent measurement of the pressure."""
    drift: float
    """Change of the total energy from the beginning to the end, which should be none [epsilon / atom]."""


def read_table(text: str) -> xr.Dataset:
    """The thermodynamic table of a simulation, by `step`.

    Raises
    ------
    ValueError
        The text holds no such table.
    """
    rows = np.loadtxt(StringIO(text), ndmin=2)
    if rows.shape[1:] != (1 + len(COLUMNS),):
        raise ValueError(f"a thermodynamic table has {1 + len(COLUMNS)} columns, this one begins with {text[:80]!r}")
    columns = {name: ("step", rows[:, at], {"units": unit}) for at, (name, unit) in enumerate(COLUMNS.items(), 1)}
    return xr.Dataset(columns, coords={"step": rows[:, 0].astype(int)})


@task
def measure(simulation: Any) -> Round:
    """Average the liquid; `simulation` is what a simulation gave."""
    table = read_table(simulation.stdout())
    liquid = table.sel(step=slice(SETTLED, None))
    pressure = block_average(liquid["pressure"].values)
    energy = table["energy"].values
    return Round(
        nsteps=int(table["step"].values[-1]),
        temperature=float(liquid["temperature"].mean()),
        pressure=pressure.value,
        error=pressure.error,
        correlation=pressure.inefficiency * float(np.diff(liquid["step"].values[:2])[0]),
        drift=float(energy[-1] - energy[0]),
    )
