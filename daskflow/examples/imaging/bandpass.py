"""Third stage: the gain of each antenna along frequency, per spectral window and polarization."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from daskflow import flow, report, task
from daskflow.examples.imaging import pictures, qa
from daskflow.examples.imaging.flag import flag_stage
from daskflow.examples.imaging.solvers import refer, solve_bandpass
from daskflow.examples.imaging.visibilities import (
    STOKES_I,
    Baselines,
    complex_of,
    complex_pair,
    select,
    weights_of,
)

MIN_SNR = 3.0
"""A solution with less signal to noise is no solution."""


@task
def bandpass(data: xr.Dataset, polarization: str, order: int | None, reference: int) -> xr.Dataset:
    """Solve the bandpass of one spectral window and polarization, see `solve_bandpass`."""
    one = select(data, polarization)
    found = solve_bandpass(
        complex_of(one, "visibility")[..., 0], weights_of(one)[..., 0], Baselines.of(one), order=order
    )
    values = refer(found.values, _index(one, reference))
    return xr.Dataset(
        {
            **complex_pair("gain", ("channel", "antenna"), values, {"units": "1"}),
            "snr": ("antenna", found.snr, {"long_name": "signal to noise in one integration"}),
            "solved": ("antenna", found.snr >= MIN_SNR),
        },
        coords={name: one[name] for name in ("frequency", "antenna", "station")},
        attrs={"spw": one.attrs["spw"], "polarization": polarization},
    )


def _index(data: xr.Dataset, antenna: int) -> int:
    """Find the place of an antenna by its number."""
    return int(np.flatnonzero(data["antenna"].values == antenna)[0])


@task
def inspect_bandpasses(solutions: Sequence[xr.Dataset]) -> qa.Score:
    """Show amplitudes, phases and signal to noise; the score is the share of antennas solved."""
    report.figure(pictures.bandpasses(solutions), title="Bandpass solutions")
    report.table([_described(one) for one in solutions], title="Signal to noise of the bandpass solutions")
    solved = float(np.mean([one["solved"].values.mean() for one in solutions]))
    return qa.judge("bandpass", solved, f"share of antennas with a signal to noise of {MIN_SNR:g} or more")


def _described(solution: xr.Dataset) -> dict[str, Any]:
    missing = solution["antenna"].values[~solution["solved"].values]
    return {
        "spw": solution.attrs["spw"],
        "polarization": solution.attrs["polarization"],
        "median": round(float(np.median(solution["snr"].values)), 1),
        "lowest": round(float(solution["snr"].values.min()), 1),
        "antennas without": " ".join(str(number) for number in missing) or "none",
    }


@flow
def bandpass_stage(
    flagged: Sequence[xr.Dataset] | None = None, *, order: int | None = 3, reference: int = 1
) -> dict[str, Any]:
    """Solve all spectral windows and polarizations side by side.

    Parameters
    ----------
    flagged
        A dataset per spectral window; None flags the example's observation.
    order
        Degree of the Legendre polynomials along frequency. None leaves each channel free: with the signal
        to noise of a single channel, about five for an antenna here, such a solution follows the noise, and
        the image that is made with it looks better than it is.
    reference
        Number of the antenna whose phase is zero.

    Returns
    -------
    dict
        ``data``: a solution per spectral window and polarization, windows first; ``score``.
    """
    windows = flag_stage()["data"] if flagged is None else flagged
    solutions = [bandpass(window, name, order, reference) for window in windows for name in STOKES_I]
    return {"data": solutions, "score": inspect_bandpasses(solutions)}


if __name__ == "__main__":
    bandpass_stage()
