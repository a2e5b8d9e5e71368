"""The continuum taken off and every channel imaged: the cube in which the line is found.

Each spectral window goes its own way. One that fails is reported and left out; the others go on.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from daskflow import Context, flow, report, task
from daskflow.examples.imaging import charts, qa
from daskflow.examples.imaging.continuum import subtract_continuum
from daskflow.examples.imaging.dialogue import CleanOptions, guide
from daskflow.examples.imaging.exports import PRODUCTS, deposit, packed
from daskflow.examples.imaging.findcont import by_window, findcont_stage
from daskflow.examples.imaging.gridding import Grid
from daskflow.examples.imaging.line import Line, find_line
from daskflow.examples.imaging.spectral import (
    channel_noise,
    clean_cycle,
    dirty_cube,
    peak_left,
    restored_cube,
)

DOOMED = 1
"""The spectral window whose continuum cannot be subtracted where failures are injected."""


class SubtractionFailed(RuntimeError):
    """The continuum cannot be subtracted from this spectral window: its fit does not converge."""

    transient = False


@task
def contsub(parts: Sequence[xr.Dataset], spectrum: xr.Dataset, order: int, failures: bool) -> list[xr.Dataset]:
    """Subtract the continuum from the polarizations of one spectral window, see `subtract_continuum`."""
    if failures and spectrum.attrs["spw"] == DOOMED:
        raise SubtractionFailed(SubtractionFailed.__doc__)
    return [subtract_continuum(one, spectrum["continuum"].values, order) for one in parts]


@task
def cube_dirty(parts: Sequence[xr.Dataset], pixels: int, cell: float) -> xr.Dataset:
    """Image every channel of one spectral window, see `dirty_cube`."""
    return dirty_cube(parts, Grid(pixels, cell))


@task
def cube_noise(cube: xr.Dataset) -> float:
    """Estimate the noise of one channel [Jy per beam]."""
    return channel_noise(cube)


@task
def cube_cycle(cube: xr.Dataset, parts: Sequence[xr.Dataset], niter: int, threshold: float) -> xr.Dataset:
    """Run one minor and one major cycle on the channels above the threshold, see `clean_cycle`."""
    return clean_cycle(cube, parts, niter=niter, threshold=threshold)


@task
def cube_restored(cube: xr.Dataset, threshold: float) -> xr.Dataset:
    """Restore all channels, and note how far cleaning came."""
    return restored_cube(cube).assign_attrs(peak=peak_left(cube), threshold=threshold)


@task
def strongest_line(cubes: Sequence[xr.Dataset]) -> Line | None:
    """Find the strongest line of all spectral windows, and show it."""
    found = [(line, cube) for cube in cubes if (line := find_line(cube)) is not None]
    if not found:
        report.markdown("No line stands out of the noise.", title="Line")
        return None
    line, cube = max(found, key=lambda pair: pair[0].snr)
    report.markdown(describe(line), title="Line")
    report.figure(charts.line(cube, line), title="The line")
    report.metric("line channel", line.channel)
    report.metric("line flux", line.flux, unit="Jy km/s")
    return line


def describe(line: Line) -> str:
    """Say in words where a line is."""
    east, north = line.offset
    return (
        f"Spectral window {line.spw}, channel **{line.channel:.2f}** ({line.frequency:.6f} GHz), {east:.2f} arcsec "
        f"east and {north:.2f} arcsec north of the phase centre: peak {line.peak:.3f} Jy, width {line.width:.2f} km/s, "
        f"{line.flux:.2f} Jy km/s, {line.snr:.0f} times the noise."
    )


@task
def inspect_cubes(cubes: Sequence[xr.Dataset], failed: dict[int, str]) -> qa.Score:
    """Show the cubes, and the windows that have none.

    The score is the share of spectral windows that were imaged, less where a residual is above its threshold.
    """
    for spw, reason in failed.items():
        report.markdown(f"Spectral window **{spw} failed** and is not in the cube: {reason}", title="Failed window")
    report.table([_described(cube) for cube in cubes], title="Cubes")
    for cube in cubes:
        report.figure(charts.peaks(cube), title=f"Highest pixels of spw {cube.attrs['spw']}")
    share = len(cubes) / (len(cubes) + len(failed))
    depth = min([min(1.0, cube.attrs["threshold"] / cube.attrs["peak"]) for cube in cubes], default=0.0)
    return qa.judge("cube", share * depth, "share of the windows imaged, times threshold over the residual's peak")


def _described(cube: xr.Dataset) -> dict[str, Any]:
    attrs, sky = cube.attrs, cube["restored"].values
    return {
        "spw": attrs["spw"],
        "noise of a channel [mJy/beam]": round(1e3 * float(attrs["noise"]), 1),
        "highest pixel [Jy/beam]": round(float(sky.max()), 3),
        "in channel": int(np.argmax(sky.max(axis=(1, 2)))),
        "components": int(attrs["components"]),
    }


@flow
def cube_stage(  # noqa: PLR0913, each is a --set of the command line
    calibrated: Sequence[xr.Dataset] | None = None,
    spectra: Sequence[xr.Dataset] | None = None,
    *,
    pixels: int = 128,
    cell: float = 0.4,
    niter: int = 200,
    nsigma: float = 5.0,
    interactive: bool = False,
    failures: bool = False,
    products: Path = PRODUCTS,
) -> dict[str, Any]:
    """Subtract the continuum, image and clean every channel, and find the line.

    Parameters
    ----------
    calibrated
        A dataset per spectral window and polarization; None calibrates the example's target.
    spectra
        A mean spectrum per spectral window; None finds them.
    pixels, cell
        Pixels along each side, and the side of a pixel [arcsec].
    niter
        Largest number of components in a channel and cycle.
    nsigma
        Threshold in standard deviations of a channel.
    interactive
        Ask before each cycle how cleaning shall go on.
    failures
        The continuum of one spectral window cannot be subtracted.
    products
        Directory of the FITS files.

    Returns
    -------
    dict
        ``data``: a restored cube for each spectral window that did not fail; ``line``; ``failed``: the reason by
        spectral window; ``files``; ``score``.
    """
    if calibrated is None or spectra is None:
        found = findcont_stage()
        calibrated, spectra = found["data"], found["spectra"]
    windows = by_window(calibrated)
    jobs = [contsub(parts, one, 1, failures) for parts, one in zip(windows, spectra, strict=True)]
    failed = _failed(jobs)
    good = {spw: job for spw, job in enumerate(jobs) if spw not in failed}
    options = CleanOptions(niter=niter, threshold=0.0, interactive=interactive)
    dirty = {spw: cube_dirty(parts, pixels, cell) for spw, parts in good.items()}
    noise = {spw: cube_noise(cube) for spw, cube in dirty.items()}
    cubes = []
    for spw, parts in good.items():
        first = options.model_copy(update={"threshold": nsigma * noise[spw].result()})
        cleaned = guide(dirty[spw], first, _cycle_of(parts), name=f"the cube of spectral window {spw}")
        cubes.append(cube_restored(cleaned, first.threshold))
    files = {f"cube-spw{spw}.fits": packed(cube, windows[spw][0]) for spw, cube in zip(good, cubes, strict=True)}
    line, score = strongest_line(cubes), inspect_cubes(cubes, failed)
    paths = deposit(products, files)
    context = Context.load()
    context.add("products", {"files": paths}, stage="cube")
    context.add("failed_windows", {f"spw {spw}": reason for spw, reason in failed.items()}, stage="cube")
    return {"data": cubes, "line": line, "failed": failed, "files": paths, "score": score}


def _failed(jobs: Sequence[Any]) -> dict[int, str]:
    """Wait for the jobs of all spectral windows, and tell why some of them failed."""
    results = [job.result(raise_on_failure=False) for job in jobs]
    causes = {spw: one.__cause__ or one for spw, one in enumerate(results) if isinstance(one, Exception)}
    return {spw: str(cause).splitlines()[0] for spw, cause in causes.items()}


def _cycle_of(parts: Any) -> Any:
    return lambda cube, options: cube_cycle(cube, parts, options.niter, options.threshold)


if __name__ == "__main__":
    cube_stage()
