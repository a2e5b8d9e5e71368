"""Pictures of the study for its report."""

from collections.abc import Sequence

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from daskflow.examples.melt.thermo import SETTLED, Round


def convergence(table: xr.Dataset, rounds: Sequence[Round], tolerance: float) -> Figure:
    """Draw the pressure of the longest simulation with its running mean, and the errors of all of them."""
    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    liquid = table["pressure"].sel(step=slice(SETTLED, None))
    mean = np.cumsum(liquid.values) / np.arange(1, liquid.size + 1)
    left.plot(table["step"], table["pressure"], linewidth=0.4, color="0.6")
    left.plot(liquid["step"], mean, linewidth=1.2)
    left.set(title="pressure [ε/σ³]", xlabel="step", ylim=_limits(liquid.values))
    steps = np.array([one.nsteps for one in rounds], dtype=np.float64)
    right.loglog(steps, [one.error for one in rounds], "o-")
    right.axhline(tolerance, linestyle="--", color="0.5")
    right.loglog(steps, rounds[0].error * np.sqrt(steps[0] / steps), ":", color="0.5")
    right.set_xticks(steps, [f"{one.nsteps}" for one in rounds])
    right.tick_params(axis="x", which="minor", labelbottom=False)
    right.set(title="error of the mean [ε/σ³]", xlabel="steps of the simulation")
    return figure


def _limits(values: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> tuple[float, float]:
    middle, width = float(values.mean()), 6 * float(values.std())
    return middle - width, middle + width
