"""Pictures of spectra and cubes for the reports; as `pictures`, each draws one figure and touches nothing else."""

from collections.abc import Sequence

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from daskflow.examples.imaging.line import Line, gaussian
from daskflow.examples.imaging.pictures import panels, show_sky


def spectra(found: Sequence[xr.Dataset]) -> Figure:
    """Draw mean spectra; the channels that are no continuum are shaded."""
    figure, axes = panels(1, len(found))
    for axis, one in zip(axes[0], found, strict=True):
        channel = np.arange(one.sizes["channel"])
        axis.plot(channel, one["mean"].values, drawstyle="steps-mid", linewidth=0.9)
        axis.fill_between(channel, *axis.get_ylim(), where=~one["continuum"].values, alpha=0.2, step="mid")
        axis.set(title=f"spw {one.attrs['spw']}", xlabel="channel", ylabel="mean spectrum [Jy/beam]")
    return figure


def line(cube: xr.Dataset, found: Line) -> Figure:
    """Draw the channel of a line's peak, and the spectrum through it with the Gaussian that was fitted."""
    figure, axes = panels(1, 2)
    sky = cube["restored"].values
    highest = np.unravel_index(int(np.argmax(sky)), sky.shape)
    show_sky(figure, axes[0, 0], cube, sky[highest[0]])
    axes[0, 0].plot(*found.offset, "+", color="red", markersize=12)
    axes[0, 0].set_title(f"spw {found.spw}, channel {highest[0]} [Jy/beam]")
    channel = np.arange(len(sky), dtype=np.float64)
    axes[0, 1].plot(channel, sky[:, highest[1], highest[2]], drawstyle="steps-mid", linewidth=0.9)
    axes[0, 1].plot(channel, gaussian(channel, found.peak, found.channel, found.channels))
    # A label would run into the colour bar.
    axes[0, 1].set(title="flux density [Jy/beam]", xlabel="channel")
    return figure


def peaks(cube: xr.Dataset) -> Figure:
    """Draw the highest pixel of each channel, and the threshold of a detection."""
    figure, axes = panels(1, 1)
    axes[0, 0].plot(cube["restored"].values.max(axis=(1, 2)), drawstyle="steps-mid", linewidth=0.9)
    axes[0, 0].set(title=f"spw {cube.attrs['spw']}", xlabel="channel", ylabel="highest pixel [Jy/beam]")
    return figure
