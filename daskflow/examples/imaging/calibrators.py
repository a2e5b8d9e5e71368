"""The calibrators' data: every calibrator by a flow of its own, flagged by the log, on corrected positions.

The example has one scan of one source. Its two halves play two calibrators that were observed one after the
other; joined, they are what `ingest_stage` reads.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from daskflow import Context, allow_failure, current, flow, report, task
from daskflow.examples.imaging.antennas import extra_path, position_service, positions, without_path
from daskflow.examples.imaging.ingest import OBSERVATION, WINDOWS, inspect_observation
from daskflow.examples.imaging.uvfits import read_uvfits
from daskflow.examples.imaging.visibilities import Baselines

SCANS = {"early": (0.0, 45.0), "late": (45.0, 90.0)}
"""When each calibrator was observed, from and until [s]."""
ONLINE_FLAGS = {1: (7,)}
"""What the log of the observation says: the receivers that were off, antennas by spectral window."""
BRIEF_OUTAGE = 2
"""So many attempts fail where failures are injected: fewer than are made."""
Corrections = dict[str, tuple[float, float, float]]


class ArchiveBusy(ConnectionError):
    """The archive does not answer. Try again."""


def is_out(outage: int) -> bool:
    """Say whether a failure is injected into this attempt: the first `outage` ones of a job fail."""
    return outage > 0 and current().number <= outage


@task(retries=4, backoff=0.1)
def from_archive(path: Path, spw: int, scan: tuple[float, float], outage: int) -> xr.Dataset:
    """Get one spectral window of one scan, ``(time, baseline, channel, polarization)``; the archive may be busy."""
    if is_out(outage):
        raise ArchiveBusy(ArchiveBusy.__doc__)
    data = read_uvfits(path, spw)
    time = data["time"].values
    return data.isel(time=(time >= scan[0]) & (time < scan[1]))


@task(retries=4, backoff=0.1)
def antenna_positions(outage: int) -> Corrections:
    """Ask the position service, which may be down."""
    return position_service(down=is_out(outage))


@task
def prepare(data: xr.Dataset, path: Path, corrections: Any) -> xr.Dataset:
    """Flag what the log says, and correct for the antennas' positions where they are known.

    Parameters
    ----------
    path
        The file that the positions stand in.
    corrections
        What the position service said, or its failure: then the positions stay as they are.
    """
    flagged = online_flagged(data)
    if isinstance(corrections, dict):
        return without_path(flagged, extra_path(flagged, positions(path), corrections))
    report.markdown(
        f"Nobody tells the corrections of the antennas' positions: {corrections.message} Those of the file are kept.",
        title="Antenna positions",
    )
    return flagged


def online_flagged(data: xr.Dataset) -> xr.Dataset:
    """Flag the antennas whose receivers were off."""
    off = np.isin(data["antenna"].values, ONLINE_FLAGS.get(int(data.attrs["spw"]), ()))
    lost = Baselines.of(data).touching(off)[None, :, None, None]
    return data.assign(flag=(data["flag"].dims, data["flag"].values | lost, data["flag"].attrs))


@task
def join(scans: Sequence[xr.Dataset]) -> xr.Dataset:
    """Put the scans of one spectral window one after the other."""
    return xr.concat(
        list(scans), "time", data_vars="minimal", coords="minimal", compat="override", combine_attrs="override"
    )


@flow
def import_calibrator(
    name: str = "early", *, failures: bool = False, observation: Path = OBSERVATION
) -> dict[str, Any]:
    """Import one calibrator.

    Parameters
    ----------
    name
        One of `SCANS`.
    failures
        Archive and position service fail at first: the retries help.
    observation
        UVFITS file.

    Returns
    -------
    dict
        ``data``: a dataset per spectral window.
    """
    outage = BRIEF_OUTAGE if failures else 0
    raw = [from_archive(observation, spw, SCANS[name], outage) for spw in WINDOWS]
    corrections = allow_failure(antenna_positions(outage))
    return {"data": [prepare(window, observation, corrections) for window in raw]}


@flow
def calibrators_stage(*, failures: bool = False, observation: Path = OBSERVATION) -> dict[str, Any]:
    """Import all calibrators side by side, each by a run of its own below this one, and join them.

    Returns
    -------
    dict
        ``data``: a dataset per spectral window; ``score``.
    """
    Context.load().add("calibrators", list(SCANS), stage="import")
    runs = [import_calibrator.submit(name, failures=failures, observation=observation) for name in SCANS]
    # Values, not runs, go on: what depends on them is known by their contents, whichever run brought them.
    found = [run.result()["data"] for run in runs]
    data = [join(list(scans)) for scans in zip(*found, strict=True)]
    return {"data": data, "score": inspect_observation(data)}


if __name__ == "__main__":
    calibrators_stage()
