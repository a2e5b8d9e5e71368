"""Quality of a stage: one score between zero and one, and what it means."""

from collections.abc import Sequence

import numpy as np
import xarray as xr
from pydantic import BaseModel, ConfigDict, Field

from daskflow import current, report
from daskflow.examples.imaging.visibilities import complex_of, weights_of

LOW = 0.67
"""A stage with a lower score did badly."""


class Score(BaseModel):
    """How well a stage went."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    stage: str
    """Name of the stage."""
    value: float = Field(ge=0, le=1)
    """0 is useless, 1 is as good as the data allow."""
    meaning: str
    """What is counted."""


def judge(stage: str, value: float, meaning: str) -> Score:
    """Make a score, held between zero and one, and show it in the report of the job.

    A low one is an event as well, ``qa.STAGE.low``, for those who watch from outside.
    """
    score = Score(stage=stage, value=float(np.clip(np.nan_to_num(value), 0, 1)), meaning=meaning)
    report.metric(f"{stage} score", score.value)
    report.markdown(f"**{score.value:.3f}** of 1: {meaning}.", title=f"Quality of {stage}")
    if score.value < LOW:
        current().emit(f"qa.{stage}.low", score=score.value, meaning=meaning)
    return score


def label(data: xr.Dataset) -> str:
    """Name a dataset by spectral window and polarization."""
    polarizations = " ".join(str(name) for name in np.atleast_1d(data["polarization"].values))
    return f"spw {data.attrs['spw']} {polarizations}"


def share_present(data: Sequence[xr.Dataset]) -> float:
    """Count the visibilities that may be used, as a share of the whole grid."""
    return float(np.mean([1 - one["flag"].values.mean() for one in data]))


def chi_square(calibrated: Sequence[xr.Dataset]) -> float:
    """Compare calibrated visibilities with a point source of 1 Jy: reduced chi-square."""
    squares, count = 0.0, 0
    for data in calibrated:
        weights = weights_of(data)
        squares += float((weights * np.abs(complex_of(data, "visibility") - 1) ** 2).sum())
        count += 2 * int((weights > 0).sum())
    return squares / max(count, 1)


def mean_visibility(calibrated: Sequence[xr.Dataset]) -> float:
    """Average the real parts of all calibrated visibilities: the flux density that is in phase [Jy]."""
    flux, total = 0.0, 0.0
    for data in calibrated:
        weights = weights_of(data)
        flux += float((weights * complex_of(data, "visibility").real).sum())
        total += float(weights.sum())
    return flux / total if total > 0 else 0.0
