"""Pictures for the reports of the stages; each function draws one figure and touches nothing else.

Figures are drawn without pyplot, whose global state threads would share.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from daskflow.examples.imaging.uvfits import SPEED_OF_LIGHT
from daskflow.examples.imaging.visibilities import average, complex_of, weights_of

COLOURS = "viridis"


def panels(rows: int, columns: int, size: tuple[float, float] = (4.2, 3.2)) -> tuple[Figure, npt.NDArray[Any]]:
    """Make a figure of so many panels, each of that size [inch]."""
    figure = Figure(figsize=(size[0] * columns, size[1] * rows), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, np.asarray(figure.subplots(rows, columns, squeeze=False))


def _name(solution: xr.Dataset) -> str:
    return f"spw {solution.attrs['spw']} {solution.attrs['polarization']}"


def uv_coverage(data: xr.Dataset) -> Figure:
    """Draw where the baselines measured, in thousands of wavelengths."""
    figure, axes = panels(1, 1, (4.5, 4.2))
    scale = float(data["frequency"].values.mean()) / SPEED_OF_LIGHT / 1e3
    held = ~data["flag"].values.all(axis=(2, 3))
    u, v = (data["uvw"].values[..., axis][held] * scale for axis in (0, 1))
    axes[0, 0].plot(np.concatenate([u, -u]), np.concatenate([v, -v]), ".", markersize=1.5)
    axes[0, 0].set(xlabel="u [kλ]", ylabel="v [kλ]", aspect="equal")
    return figure


def flag_waterfall(data: Sequence[xr.Dataset]) -> Figure:
    """Draw the flagged share of each time and channel, per spectral window."""
    figure, axes = panels(1, len(data))
    for axis, one in zip(axes[0], data, strict=True):
        share = one["flag"].values.mean(axis=(1, 3))
        drawn = axis.imshow(share, aspect="auto", vmin=0, vmax=1, cmap=COLOURS, interpolation="nearest")
        axis.set(title=f"spw {one.attrs['spw']}", xlabel="channel", ylabel="integration")
    figure.colorbar(drawn, ax=axes, label="flagged share")
    return figure


def bandpasses(solutions: Sequence[xr.Dataset]) -> Figure:
    """Draw amplitude and phase of each antenna along frequency."""
    figure, axes = panels(2, len(solutions), (3.2, 2.4))
    for (upper, lower), one in zip(axes.T, solutions, strict=True):
        gains = complex_of(one, "gain")[:, one["solved"].values]
        upper.plot(np.abs(gains), linewidth=0.8)
        lower.plot(np.angle(gains, deg=True), ".", markersize=2)
        upper.set(title=_name(one), ylabel="amplitude", ylim=(0, None))
        lower.set(xlabel="channel", ylabel="phase [deg]", ylim=(-180, 180))
    return figure


def gain_phases(solutions: Sequence[xr.Dataset]) -> Figure:
    """Draw the phases of the single integrations about those of the solution interval, per antenna."""
    figure, axes = panels(1, len(solutions), (3.2, 2.8))
    for axis, one in zip(axes[0], solutions, strict=True):
        drift = complex_of(one, "instant") * complex_of(one, "gain").conj()
        shown = np.where(one["solved"].values & (drift != 0), np.angle(drift, deg=True), np.nan)
        axis.plot(one["time"].values, shown, linewidth=0.8)
        axis.set(title=_name(one), xlabel="time [s]", ylabel="phase drift [deg]")
    return figure


def amplitude_by_distance(calibrated: Sequence[xr.Dataset]) -> Figure:
    """Draw channel averages of the calibrated visibilities by baseline length."""
    figure, axes = panels(1, 2)
    for one in calibrated:
        mean, total = average(complex_of(one, "visibility"), weights_of(one), (2, 3))
        length = np.hypot(*np.moveaxis(one["uvw"].values[..., :2], -1, 0))
        held = total > np.median(total) / 4
        axes[0, 0].plot(length[held], np.abs(mean[held]), ".", markersize=1)
        axes[0, 1].plot(length[held], np.angle(mean[held], deg=True), ".", markersize=1)
    axes[0, 0].set(xlabel="baseline [m]", ylabel="amplitude [Jy]", ylim=(0, None))
    axes[0, 1].set(xlabel="baseline [m]", ylabel="phase [deg]", ylim=(-180, 180))
    return figure


def show_sky(figure: Figure, axis: Axes, image: xr.Dataset, values: Any, **style: Any) -> None:
    """Draw an image as on the sky: north up, east to the left."""
    cell = float(image.attrs["cell"])
    low, high = (edge * cell - cell / 2 for edge in (-values.shape[0] / 2, values.shape[0] / 2))
    drawn = axis.imshow(values.T, origin="lower", extent=(low, high, low, high), cmap=COLOURS, **style)
    axis.invert_xaxis()
    axis.set(xlabel="l, east [arcsec]", ylabel="m, north [arcsec]")
    figure.colorbar(drawn, ax=axis, shrink=0.8)


def dirty_images(planes: Sequence[xr.Dataset], joined: xr.Dataset) -> Figure:
    """Draw each dirty image, the continuum, and the continuum's point spread function."""
    figure, axes = panels(2, (len(planes) + 3) // 2)
    shown = [(plane.attrs["label"], plane["residual"].values) for plane in (*planes, joined)]
    shown.append(("point spread function", joined["psf"].values))
    for axis in axes.flat[len(shown) :]:
        axis.set_visible(False)
    for axis, (title, values) in zip(axes.flat, shown, strict=False):
        show_sky(figure, axis, joined, values)
        axis.set_title(title)
    return figure


def clean_images(image: xr.Dataset) -> Figure:
    """Draw the restored image, the residual, and the middle of the model."""
    figure, axes = panels(1, 3)
    noise = float(image.attrs["noise"])
    for axis, name in zip(axes[0], ("restored", "residual"), strict=False):
        show_sky(figure, axis, image, image[name].values, vmin=-3 * noise, vmax=8 * noise)
        axis.set_title(f"{name} [Jy/beam]")
    middle = image.sizes["l"] // 2
    near = slice(middle - 16, middle + 16)
    show_sky(figure, axes[0, 2], image, image["model"].values[near, near])
    axes[0, 2].set_title("components [Jy/pixel]")
    return figure


def selfcal(rounds: Sequence[xr.Dataset], kept: int) -> Figure:
    """Draw the dynamic range of each round, and the residuals before and after."""
    figure, axes = panels(1, 3)
    axes[0, 0].plot([float(image.attrs["dynamic_range"]) for image in rounds], "o-")
    axes[0, 0].plot(kept, float(rounds[kept].attrs["dynamic_range"]), "*", markersize=14)
    axes[0, 0].set(xlabel="round", ylabel="dynamic range", xticks=range(len(rounds)))
    noise = float(rounds[0].attrs["noise"])
    for axis, image, title in zip(axes[0, 1:], (rounds[0], rounds[kept]), ("before", "after"), strict=True):
        show_sky(figure, axis, image, image["residual"].values, vmin=-4 * noise, vmax=4 * noise)
        axis.set_title(f"residual {title}")
    return figure


def selfcal_phases(solutions: Sequence[xr.Dataset]) -> Figure:
    """Draw the phases that each round solved, per antenna."""
    figure, axes = panels(1, max(1, len(solutions)))
    for number, (axis, one) in enumerate(zip(axes[0], solutions, strict=False), start=1):
        axis.plot(one["time"].values, np.angle(complex_of(one, "gain"), deg=True), linewidth=0.8)
        axis.set(title=f"round {number}", xlabel="time [s]", ylabel="phase [deg]")
    return figure
