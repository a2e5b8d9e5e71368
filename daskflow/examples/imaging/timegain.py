"""The gains along time, solved as well as the signal to noise allows.

====================================  ==================================================================
signal to noise in an interval        solution
====================================  ==================================================================
high in all spectral windows          ``per-spw``: each window and polarization by itself
high in some                          ``best-spw``: the phases of the best window are carried to the others
high only when all are joined         ``combined``: phases are solved from all windows together
not even then                         ``global``: one solution for the whole observation
====================================  ==================================================================

References
----------
T. R. Hunter et al. (2023), "The ALMA Interferometric Pipeline Heuristics",
https://doi.org/10.1088/1538-3873/ace216, for the choice between windows by their signal to noise
"""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import xarray as xr

from daskflow import Context, flow, report, task
from daskflow.examples.imaging import qa
from daskflow.examples.imaging.bandpass import bandpass_stage
from daskflow.examples.imaging.calibrators import calibrators_stage
from daskflow.examples.imaging.flag import flag_stage
from daskflow.examples.imaging.gain import band_average, coherence, gain, solution_of, solve_gain
from daskflow.examples.imaging.solvers import Gains, interval_of, refer, solve_gains, solve_intervals
from daskflow.examples.imaging.visibilities import (
    STOKES_I,
    Baselines,
    Complex,
    Real,
    average,
    complex_of,
    complex_pair,
    divide,
    select,
)

Branch = Literal["per-spw", "best-spw", "combined", "global"]


class Choice(NamedTuple):
    """How the gains are to be solved."""

    branch: Branch
    best: int
    """Index of the spectral window with the highest signal to noise."""


@task
def signal_to_noise(shapes: Sequence[xr.Dataset], intervals: float) -> list[float]:
    """Tell the signal to noise of the median antenna in each spectral window.

    Parameters
    ----------
    shapes
        Bandpasses per spectral window and polarization, windows first.
    intervals
        How many integrations a solution interval has.
    """
    per_shape = [float(np.median(one["snr"].values)) * intervals**0.5 for one in shapes]
    found = np.reshape(per_shape, (-1, len(STOKES_I))).mean(axis=1)
    report.table([{"spw": spw, "signal to noise": round(float(snr), 1)} for spw, snr in enumerate(found)])
    return [float(snr) for snr in found]


def choose(snr: Sequence[float], high: float) -> Choice:
    """Choose the branch by the signal to noise of the spectral windows.

    Examples
    --------
    >>> [choose(snr, 10.0).branch for snr in ([11.0, 12.0], [11.0, 9.0], [9.0, 9.0], [3.0, 3.0])]
    ['per-spw', 'best-spw', 'combined', 'global']
    """
    best = int(np.argmax(snr))
    if min(snr) >= high:
        return Choice("per-spw", best)
    if max(snr) >= high:
        return Choice("best-spw", best)
    joined = float(np.hypot.reduce(snr))
    return Choice("combined" if joined >= high else "global", best)


@task
def drift(windows: Sequence[xr.Dataset], shapes: Sequence[xr.Dataset], interval: float) -> xr.Dataset:
    """Solve how the phases change along time, from several windows and polarizations together.

    Each is first freed of its own gains over the whole time; what is left is common to all of them.

    Returns
    -------
    xr.Dataset
        Phase factors, ``(time, antenna)``.
    """
    first, baselines = windows[0], Baselines.of(windows[0])
    parts = [_steady(window, shape, baselines) for window, shape in zip(windows, shapes, strict=True)]
    weight = np.sum([weight for _, weight in parts], axis=0)
    values = divide(np.sum([weight * value for value, weight in parts], axis=0), weight)
    steps = interval_of(first.sizes["time"], interval, float(first.attrs["integration"]))
    found = solve_intervals(values, weight, baselines, interval=steps, phase_only=True)
    factors = refer(found.values, 0)
    return xr.Dataset(
        complex_pair("drift", ("time", "antenna"), np.where(factors == 0, 1, factors), {"units": "1"}),
        coords={name: first[name] for name in ("time", "antenna")},
    )


def _steady(window: xr.Dataset, shape: xr.Dataset, baselines: Baselines) -> tuple[Complex, Real]:
    """Divide one polarization by its bandpass and its mean gains, ``(time, baseline)`` with weights."""
    values, weights = band_average(select(window, shape.attrs["polarization"]), shape)
    steady = solve_gains(*average(values, weights, 0), baselines).values
    factor = baselines.product(steady)
    return divide(values, np.broadcast_to(factor, values.shape)), weights * np.abs(factor) ** 2


@task
def carried(window: xr.Dataset, shape: xr.Dataset, phases: xr.Dataset) -> xr.Dataset:
    """Solve the mean gains of one window and polarization upon phases that others gave, see `gain`."""
    one, factor = select(window, shape.attrs["polarization"]), complex_of(phases, "drift")
    baselines, times = Baselines.of(one), one.sizes["time"]
    values, weights = band_average(one, shape)
    found, instant = solve_gain(
        values * baselines.product(factor).conj(),
        weights,
        baselines,
        interval=np.zeros(times, np.int64),
        calibrator=np.ones(times, bool),
    )
    return solution_of(one, shape, Gains(found.values * factor, found.snr), instant * factor)


@task
def inspect_timegains(solutions: Sequence[xr.Dataset], branch: Branch) -> qa.Score:
    """Show which branch was taken; the score is the coherence within the solution intervals."""
    value = float(np.mean([coherence(one) for one in solutions]))
    report.markdown(f"Branch **{branch}**", title="How the gains along time were solved")
    report.metric("coherence", value)
    return qa.judge("timegain", value, "coherence of the phases within a solution interval")


@flow
def timegain_stage(
    flagged: Sequence[xr.Dataset] | None = None,
    bandpasses: Sequence[xr.Dataset] | None = None,
    *,
    interval: float = 30.0,
    high: float = 10.0,
) -> dict[str, Any]:
    """Solve the gains along time by the branch that the signal to noise allows.

    Parameters
    ----------
    flagged
        A dataset per spectral window of 10 s integrations; None imports and flags the calibrators.
    bandpasses
        A solution per spectral window and polarization; None solves them.
    interval
        Solution interval of the phases [s].
    high
        Signal to noise of an antenna in an interval that is enough for a solution.

    Returns
    -------
    dict
        ``data``: a solution per spectral window and polarization, windows first; ``branch``; ``score``.
    """
    windows = flag_stage(calibrators_stage()["data"])["data"] if flagged is None else flagged
    shapes = bandpass_stage(windows)["data"] if bandpasses is None else bandpasses
    choice = choose(signal_to_noise(shapes, interval / 10.0).result(), high)
    Context.load().add("branch", choice.branch, stage="timegain")
    places = list(zip([window for window in windows for _ in STOKES_I], shapes, strict=True))
    solutions = _solved(places, choice, interval)
    return {"data": solutions, "branch": choice.branch, "score": inspect_timegains(solutions, choice.branch)}


def _solved(places: list[tuple[Any, Any]], choice: Choice, interval: float) -> list[Any]:
    if choice.branch in ("per-spw", "global"):
        length = interval if choice.branch == "per-spw" else None
        return [gain(window, shape, length, None) for window, shape in places]
    count = len(STOKES_I)
    source = places[count * choice.best :][:count] if choice.branch == "best-spw" else places
    phases = drift([window for window, _ in source], [shape for _, shape in source], interval)
    return [carried(window, shape, phases) for window, shape in places]


if __name__ == "__main__":
    timegain_stage()
