"""The target's data: simulated through the real array, then imported as an observation would be.

The service for antenna positions may be down for good: then the target is calibrated with the positions that
it was observed with, and a little worse for it.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import xarray as xr

from daskflow import Context, allow_failure, flow, report, task
from daskflow.examples.imaging import pictures, qa
from daskflow.examples.imaging.bandpass import bandpass
from daskflow.examples.imaging.calibrators import (
    BRIEF_OUTAGE,
    ArchiveBusy,
    antenna_positions,
    is_out,
    prepare,
)
from daskflow.examples.imaging.flag import flag
from daskflow.examples.imaging.flagging import flag_visibilities
from daskflow.examples.imaging.gain import gain
from daskflow.examples.imaging.ingest import OBSERVATION, WINDOWS
from daskflow.examples.imaging.simulation import gains_of, observe
from daskflow.examples.imaging.uvfits import read_uvfits
from daskflow.examples.imaging.visibilities import STOKES_I

TRUE_ORDER = 5
"""The target is spoilt by a bandpass of higher degree than the one that calibration fits."""
LASTING_OUTAGE = 99
"""More attempts than are made."""


@task(retries=4, backoff=0.1)
def target_from_archive(path: Path, spw: int, outage: int) -> xr.Dataset:
    """Get one spectral window of the simulated target; the archive may be busy.

    Returns
    -------
    xr.Dataset
        Raw visibilities ``(time, baseline, channel, polarization)``, see `observe`.
    """
    if is_out(outage):
        raise ArchiveBusy(ArchiveBusy.__doc__)
    raw = read_uvfits(path, spw)
    flagged = flag_visibilities(raw, edge=3, threshold=6.0)
    shapes = [bandpass.function(flagged, name, TRUE_ORDER, 1) for name in STOKES_I]
    solutions = [gain.function(flagged, shape, None, None) for shape in shapes]
    return observe(raw, flagged, gains_of(shapes, solutions))


@task
def inspect_target(data: Sequence[xr.Dataset]) -> qa.Score:
    """Show how much of the target is usable; the score is the share of visibilities left."""
    report.figure(pictures.flag_waterfall(data), title="Flagged share by time and channel")
    return qa.judge("target", qa.share_present(data), "share of visibilities that may be used")


@flow
def target_stage(*, failures: bool = False, observation: Path = OBSERVATION) -> dict[str, Any]:
    """Import and flag all spectral windows of the target side by side.

    Parameters
    ----------
    failures
        The archive is busy at first, and the service for antenna positions does not come back.
    observation
        UVFITS file whose array and weather the target is seen through.

    Returns
    -------
    dict
        ``data``: a dataset per spectral window; ``score``.
    """
    raw = [target_from_archive(observation, spw, BRIEF_OUTAGE if failures else 0) for spw in WINDOWS]
    corrections = allow_failure(antenna_positions(LASTING_OUTAGE if failures else 0))
    data = [flag(prepare(window, observation, corrections), 3, 6.0) for window in raw]
    Context.load().add("windows", list(WINDOWS), stage="target")
    return {"data": data, "score": inspect_target(data)}


if __name__ == "__main__":
    target_stage()
