"""The picture of a burst."""

import numpy as np
from matplotlib.figure import Figure

from daskflow.examples.burst.search import Found, Waterfall, dedispersed

_AROUND = 0.1
"""So much before and after the burst is shown [s]."""


def portrait(data: Waterfall, found: Found, title: str) -> Figure:
    """Draw the burst without its dispersion, its profile, and how the dispersion measure was found."""
    figure = Figure(figsize=(9, 5), layout="constrained")
    axes = figure.subplot_mosaic([["profile", "trials"], ["waterfall", "trials"]], height_ratios=[1, 2])
    near = np.abs(data.time - found.arrival) < _AROUND
    straight = dedispersed(data, found.dm)[:, near]
    time = 1e3 * (data.time[near] - found.arrival)
    axes["profile"].plot(time, straight.mean(axis=0), drawstyle="steps-mid", linewidth=0.8)
    axes["profile"].set(
        title=f"{title}: {found.width * 1e3:.1f} ms wide", ylabel="mean of channels", xlim=time[[0, -1]]
    )
    coarse = straight[: len(straight) // 8 * 8].reshape(-1, 8, straight.shape[1]).mean(axis=1)
    extent = (time[0], time[-1], data.frequency[-1], data.frequency[0])
    axes["waterfall"].imshow(coarse, aspect="auto", extent=extent, interpolation="nearest", cmap="viridis")
    axes["waterfall"].set(xlabel="time [ms]", ylabel="frequency [MHz]")
    axes["trials"].plot(*found.trials, linewidth=0.6)
    axes["trials"].axvline(found.dm, linestyle=":", color="0.4")
    axes["trials"].set(title=f"DM {found.dm:.2f} ± {found.dm_error:.2f} pc/cm³", xlabel="DM [pc/cm³]", ylabel="S/N")
    return figure
