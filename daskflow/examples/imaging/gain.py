"""Fourth stage: the gain of each antenna along time, per spectral window and polarization."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from daskflow import flow, report, task
from daskflow.examples.imaging import pictures, qa
from daskflow.examples.imaging.bandpass import MIN_SNR, bandpass_stage
from daskflow.examples.imaging.flag import flag_stage
from daskflow.examples.imaging.solvers import (
    Gains,
    interval_of,
    phase_factors,
    refer,
    solve_gains,
    solve_intervals,
)
from daskflow.examples.imaging.visibilities import (
    STOKES_I,
    Baselines,
    Complex,
    Index,
    Mask,
    Real,
    average,
    complex_of,
    complex_pair,
    divide,
    select,
    weights_of,
)


def band_average(data: xr.Dataset, bandpass: xr.Dataset) -> tuple[Complex, Real]:
    """Divide one polarization by its bandpass and average its channels.

    Returns
    -------
    tuple
        Visibilities and weights, ``(time, baseline)``; antennas without a bandpass have no weight.
    """
    baselines = Baselines.of(data)
    shape = np.where(bandpass["solved"].values, complex_of(bandpass, "gain"), 0)
    factor = baselines.product(shape).T
    visibilities = divide(complex_of(data, "visibility")[..., 0], factor)
    return average(visibilities, weights_of(data)[..., 0] * np.abs(factor) ** 2, 2)


def solve_gain(
    visibilities: Complex,
    weights: Real,
    baselines: Baselines,
    *,
    interval: Index,
    calibrator: Mask,
) -> tuple[Gains, Complex]:
    """Solve amplitudes over the scan and phases per solution interval.

    Amplitudes are solved after the phases of the single integrations are taken out, so that they are free
    of decorrelation; with phases that hold longer than the atmosphere does, the source then keeps the loss.

    Parameters
    ----------
    visibilities, weights
        ``(time, baseline)`` of a point source of 1 Jy.
    interval
        Number of the solution interval of each integration, ``(time)``.
    calibrator
        Which integrations may be used, ``(time)``; the others take the last solution before them.

    Returns
    -------
    tuple
        Gains ``(time, antenna)``, and the phase factors of the single integrations.
    """
    instant = phase_factors(solve_gains(visibilities, weights, baselines).values)
    steady, total = visibilities * baselines.product(instant).conj(), weights * calibrator[:, None]
    amplitude = np.abs(solve_gains(*average(steady, total, 0), baselines).values)
    usable = np.flatnonzero(calibrator)
    part = solve_intervals(visibilities[usable], weights[usable], baselines, interval=interval[usable])
    held = np.maximum(np.searchsorted(usable, np.arange(len(calibrator)), side="right") - 1, 0)
    return Gains(amplitude * phase_factors(part.values[held]), part.snr[held]), instant


@task
def gain(data: xr.Dataset, bandpass: xr.Dataset, interval: float | None, calibrator_time: float | None) -> xr.Dataset:
    """Solve the gains of one spectral window and polarization, see `gain_stage`."""
    one = select(data, bandpass.attrs["polarization"])
    seconds, integration = one["time"].values, float(one.attrs["integration"])
    whole = len(seconds) * integration
    found, instant = solve_gain(
        *band_average(one, bandpass),
        Baselines.of(one),
        interval=interval_of(len(seconds), interval or whole, integration),
        calibrator=seconds < (calibrator_time or whole),
    )
    return solution_of(one, bandpass, found, instant)


def solution_of(data: xr.Dataset, bandpass: xr.Dataset, found: Gains, instant: Complex) -> xr.Dataset:
    """Put gains, and the phase factors of the single integrations, into a dataset, ``(time, antenna)``."""
    first = int(np.argmax(bandpass["solved"].values))
    return xr.Dataset(
        {
            **complex_pair("gain", ("time", "antenna"), refer(found.values, first), {"units": "Jy^-0.5"}),
            **complex_pair("instant", ("time", "antenna"), refer(instant, first), {"units": "1"}),
            "snr": (("time", "antenna"), found.snr, {"long_name": "signal to noise in a solution interval"}),
            "solved": (("time", "antenna"), found.snr >= MIN_SNR),
        },
        coords={name: data[name] for name in ("time", "antenna", "station")},
        attrs=bandpass.attrs,
    )


def coherence(solution: xr.Dataset) -> float:
    """Say how well the phases hold within the solution intervals: one for a quiet atmosphere."""
    drift = divide(complex_of(solution, "instant"), phase_factors(complex_of(solution, "gain")))
    used = solution["solved"].values & (drift != 0)
    # The common turn of an integration drops out of every baseline.
    common = (drift * used).sum(axis=1, keepdims=True)
    turned = drift * divide(common, np.abs(common)).conj()
    return float(np.real(turned[used]).mean()) if used.any() else 0.0


@task
def inspect_gains(solutions: Sequence[xr.Dataset]) -> qa.Score:
    """Show the phases along time; the score is the coherence within the solution intervals."""
    report.figure(pictures.gain_phases(solutions), title="Phases of the single integrations")
    values = [coherence(one) for one in solutions]
    report.metric("coherence", float(np.mean(values)))
    return qa.judge("gain", float(np.mean(values)), "coherence of the phases within a solution interval")


@flow
def gain_stage(
    flagged: Sequence[xr.Dataset] | None = None,
    bandpasses: Sequence[xr.Dataset] | None = None,
    *,
    interval: float | None = None,
    calibrator_time: float | None = None,
) -> dict[str, Any]:
    """Solve all spectral windows and polarizations side by side.

    Parameters
    ----------
    flagged
        A dataset per spectral window; None flags the example's observation.
    bandpasses
        A solution per spectral window and polarization; None solves them.
    interval
        Solution interval of the phases [s]; None is the whole scan, as is usual for a calibrator.
    calibrator_time
        Seconds at the start of the scan that play the calibrator, while the whole scan plays the target;
        None takes the whole scan for both. With 30 s the phases drift away as they do between a calibrator
        and a target.

    Returns
    -------
    dict
        ``data``: a solution per spectral window and polarization, windows first; ``score``.
    """
    windows = flag_stage()["data"] if flagged is None else flagged
    shapes = bandpass_stage(windows)["data"] if bandpasses is None else bandpasses
    pairs = zip([window for window in windows for _ in STOKES_I], shapes, strict=True)
    solutions = [gain(window, shape, interval, calibrator_time) for window, shape in pairs]
    return {"data": solutions, "score": inspect_gains(solutions)}


if __name__ == "__main__":
    gain_stage()
