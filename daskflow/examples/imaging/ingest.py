"""First stage: the observation, from UVFITS to one dataset per spectral window."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import xarray as xr

from daskflow import flow, report, task
from daskflow.examples.imaging import pictures, qa
from daskflow.examples.imaging.uvfits import read_uvfits

OBSERVATION = Path(__file__).parent / "data" / "evla_j1008+0730_tdem0003.uvfits"
"""One scan of a calibrator, see ``data/README.md``."""
WINDOWS = (0, 1)


@task
def ingest(path: Path, spw: int) -> xr.Dataset:
    """Read one spectral window, ``(time, baseline, channel, polarization)``."""
    return read_uvfits(path, spw)


@task
def inspect_observation(data: Sequence[xr.Dataset]) -> qa.Score:
    """Show what was observed; the score is the share of the grid that holds data."""
    first = data[0]
    report.table([_described(one) for one in data], title="Spectral windows")
    report.figure(pictures.uv_coverage(first), title="Coverage of the uv-plane")
    report.markdown(
        f"{first.attrs['object']} by {first.attrs['telescope']}, {first.attrs['observed']}: "
        f"{first.sizes['antenna']} antennas, {first.sizes['baseline']} baselines.",
        title="Observation",
    )
    return qa.judge("ingest", qa.share_present(data), "share of times, baselines and channels that hold data")


def _described(data: xr.Dataset) -> dict[str, Any]:
    frequency = data["frequency"].values
    return {
        "spw": data.attrs["spw"],
        "channels": data.sizes["channel"],
        "width [kHz]": round(float(frequency[1] - frequency[0]) / 1e3, 3),
        "centre [GHz]": round(float(frequency.mean()) / 1e9, 6),
        "integrations": data.sizes["time"],
    }


@flow
def ingest_stage(path: Path = OBSERVATION) -> dict[str, Any]:
    """Read all spectral windows side by side.

    Returns
    -------
    dict
        ``data``: a dataset per spectral window; ``score``.
    """
    data = [ingest(path, spw) for spw in WINDOWS]
    return {"data": data, "score": inspect_observation(data)}


if __name__ == "__main__":
    ingest_stage()
