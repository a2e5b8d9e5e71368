"""How visibilities lie in a dataset: names, dimensions, complex numbers as two real variables.

A visibility dataset holds one spectral window with the dimensions ``(time, baseline, channel,
polarization)``:

================================  ========================================  ============================
variable                          dimensions                                unit
================================  ========================================  ============================
``visibility_real``, ``_imag``    (time, baseline, channel, polarization)   correlation, later Jy
``weight``                        (time, baseline, channel, polarization)   1 / (unit of visibility)^2
``flag``                          (time, baseline, channel, polarization)   True: not to be used
``uvw``                           (time, baseline, axis)                    m
``antenna1``, ``antenna2``        (baseline)                                index along ``antenna``
``frequency``                     (channel)                                 Hz
================================  ========================================  ============================

NetCDF 4 knows no complex numbers, so that each complex array stands as a pair of real ones: the files are
plain HDF5 that any tool reads.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import xarray as xr

Real: TypeAlias = npt.NDArray[np.float64]
Complex: TypeAlias = npt.NDArray[np.complex128]
Mask: TypeAlias = npt.NDArray[np.bool_]
Index: TypeAlias = npt.NDArray[np.int64]

VISIBILITY_DIMS = ("time", "baseline", "channel", "polarization")
STOKES_I = ("RR", "LL")
"""The polarizations whose mean is the total intensity."""


@dataclass(frozen=True, slots=True)
class Baselines:
    """Which two antennas each baseline joins."""

    antenna1: Index
    """Index of the first antenna, (baseline)."""
    antenna2: Index
    """Index of the second antenna, (baseline)."""
    antennas: int
    """Number of antennas."""

    @classmethod
    def of(cls, data: xr.Dataset) -> "Baselines":
        """Read the baselines of a visibility dataset."""
        return cls(data["antenna1"].values, data["antenna2"].values, data.sizes["antenna"])

    def product(self, gains: Complex) -> Complex:
        """Multiply the gains of both antennas: ``(..., antenna)`` to ``(..., baseline)``."""
        return gains[..., self.antenna1] * gains[..., self.antenna2].conj()

    def touching(self, antennas: Mask) -> Mask:
        """Say which baselines hold one of the marked antennas: ``(..., antenna)`` to ``(..., baseline)``."""
        return antennas[..., self.antenna1] | antennas[..., self.antenna2]


def complex_pair(
    name: str, dims: tuple[str, ...], values: npt.ArrayLike, attrs: Mapping[str, Any]
) -> dict[str, tuple[tuple[str, ...], npt.NDArray[Any], dict[str, Any]]]:
    """Split a complex array into the two variables that stand for it in a dataset."""
    parts = np.asarray(values)
    return {
        f"{name}_real": (dims, parts.real.copy(), dict(attrs)),
        f"{name}_imag": (dims, parts.imag.copy(), dict(attrs)),
    }


def complex_of(data: xr.Dataset, name: str) -> Complex:
    """Put the two variables of a complex array together again, in double precision."""
    values = np.empty(data[f"{name}_real"].shape, np.complex128)
    values.real = data[f"{name}_real"].values
    values.imag = data[f"{name}_imag"].values
    return values


def weights_of(data: xr.Dataset) -> Real:
    """Give the weights, zero where flagged, ``(time, baseline, channel, polarization)``."""
    return np.where(data["flag"].values, 0.0, data["weight"].values.astype(np.float64))


def select(data: xr.Dataset, polarization: str) -> xr.Dataset:
    """Take one polarization; the dimension stays, with length one."""
    return data.sel(polarization=[polarization])


def replace(data: xr.Dataset, visibilities: Complex, weights: Real, **attrs: str) -> xr.Dataset:
    """Copy a dataset with other visibilities and weights; what has no weight left is flagged."""
    unit = {**data["visibility_real"].attrs, **attrs}
    pair = complex_pair("visibility", VISIBILITY_DIMS, visibilities.astype(np.complex64), unit)
    weight = (VISIBILITY_DIMS, weights.astype(np.float32), data["weight"].attrs)
    flag = (VISIBILITY_DIMS, data["flag"].values | (weights <= 0), data["flag"].attrs)
    return data.assign({**pair, "weight": weight, "flag": flag})


def average(values: Complex, weights: Real, axis: int | tuple[int, ...]) -> tuple[Complex, Real]:
    """Average with weights; where there is no weight the mean is zero.

    Returns
    -------
    tuple
        Mean and sum of the weights, both without `axis`.
    """
    total = weights.sum(axis=axis)
    return divide((weights * values).sum(axis=axis), total), total


def divide(numerator: npt.NDArray[Any], denominator: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Divide element by element; zero where the denominator is zero."""
    safe = np.where(denominator == 0, 1, denominator)
    return np.where(denominator == 0, 0, numerator / safe)
