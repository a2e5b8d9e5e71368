"""Means of correlated series, and how well they are known."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

FEWEST = 16
"""Fewer blocks than these say little about how much their means scatter."""


class Mean(NamedTuple):
    """A mean, in the unit of its series."""

    value: float
    """The mean."""
    error: float
    """Its standard error."""
    inefficiency: float
    """How many values of the series count as one that is independent."""


def block_average(series: NDArray[np.float64]) -> Mean:
    """The mean of a stationary series, with its error by blocking.

    Neighbours are averaged in pairs again and again. The scatter of the block means gives an error that grows until the
    blocks are longer than the correlation; the largest one is taken, which errs on the safe side.

    Parameters
    ----------
    series
        Values at equal distances in time, shape ``(time,)``.

    Raises
    ------
    ValueError
        The series is too short.

    References
    ----------
    Flyvbjerg and Petersen 1989, https://doi.org/10.1063/1.457480
    """
    if len(series) < FEWEST:
        raise ValueError(f"{len(series)} values are too few for an error: at least {FEWEST} are needed.")
    blocks, errors = series, []
    while len(blocks) >= FEWEST:
        errors.append(float(blocks.std(ddof=1)) / len(blocks) ** 0.5)
        blocks = blocks[: len(blocks) // 2 * 2].reshape(-1, 2).mean(axis=1)
    error = max(errors)
    return Mean(float(series.mean()), error, (error / errors[0]) ** 2 if errors[0] else 1.0)
