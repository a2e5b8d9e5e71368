"""Second stage: what is not to be used, and the weights of the rest."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from daskflow import flow, report, task
from daskflow.examples.imaging import pictures, qa
from daskflow.examples.imaging.flagging import flag_visibilities
from daskflow.examples.imaging.ingest import ingest_stage


@task
def flag(data: xr.Dataset, edge: int, threshold: float) -> xr.Dataset:
    """Flag one spectral window, see `flag_visibilities`."""
    return flag_visibilities(data, edge=edge, threshold=threshold)


@task
def inspect_flags(data: Sequence[xr.Dataset]) -> qa.Score:
    """Show how much is flagged and where; the score is the share of visibilities left."""
    report.table([row for one in data for row in _shares(one)], title="Flagged visibilities")
    report.figure(pictures.flag_waterfall(data), title="Flagged share by time and channel")
    return qa.judge("flag", qa.share_present(data), "share of visibilities that may be used")


def _shares(data: xr.Dataset) -> list[dict[str, Any]]:
    flags = data["flag"].values
    lost = np.asarray(flags.all(axis=(0, 2)))
    return [
        {
            "spw": data.attrs["spw"],
            "polarization": str(name),
            "flagged [%]": round(100 * float(flags[..., index].mean()), 2),
            "baselines lost": int(np.sum(lost[:, index])),
        }
        for index, name in enumerate(data["polarization"].values)
    ]


@flow
def flag_stage(data: Sequence[xr.Dataset] | None = None, *, edge: int = 3, threshold: float = 6.0) -> dict[str, Any]:
    """Flag all spectral windows side by side.

    Parameters
    ----------
    data
        A dataset per spectral window; None reads the example's observation.
    edge
        Channels to drop at either end of a band.
    threshold
        Robust standard deviations beyond which an amplitude is an outlier.

    Returns
    -------
    dict
        ``data``: a dataset per spectral window; ``score``.
    """
    windows = ingest_stage()["data"] if data is None else data
    flagged = [flag(window, edge, threshold) for window in windows]
    return {"data": flagged, "score": inspect_flags(flagged)}


if __name__ == "__main__":
    flag_stage()
