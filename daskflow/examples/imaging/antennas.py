"""Where the antennas stand: positions, their corrections, and what a wrong one does to the phases.

References
----------
W. Kabsch (1976), "A solution for the best rotation to relate two sets of vectors",
https://doi.org/10.1107/S0567739476001873
"""

from pathlib import Path

import numpy as np
import xarray as xr
from astropy.io import fits
from scipy.spatial.transform import Rotation

from daskflow.examples.imaging.uvfits import SPEED_OF_LIGHT
from daskflow.examples.imaging.visibilities import Baselines, Real, complex_of, replace, weights_of

MILLIMETRE = 1e-3
CORRECTIONS = {"E06": (0.4, -0.5, 0.2), "N05": (-0.3, 0.3, 0.5), "W06": (0.5, 0.2, -0.4)}
"""Stands for the position service's table: antennas that were moved lately, by station, x y z [mm]."""


class PositionServiceDown(ConnectionError):
    """The service for antenna positions does not answer. Try again later, or go on without corrections."""


def position_service(*, down: bool = False) -> dict[str, tuple[float, float, float]]:
    """Ask for the corrections of antenna positions; stands for a service on another machine.

    Returns
    -------
    dict
        Corrections of the stations that have one: x, y, z in the frame of the Earth [mm].

    Raises
    ------
    PositionServiceDown
        When it is `down`.
    """
    if down:
        raise PositionServiceDown(PositionServiceDown.__doc__)
    return CORRECTIONS


def positions(path: Path) -> dict[int, Real]:
    """Read the positions of the antennas from a UVFITS file: number to x, y, z [m]."""
    with fits.open(path, memmap=False) as hdus:
        return {int(row["NOSTA"]): np.asarray(row["STABXYZ"], np.float64) for row in hdus["AIPS AN"].data}


def rotations(data: xr.Dataset, places: dict[int, Real]) -> list[Rotation]:
    """Find the rotation from the frame of the Earth to ``(u, v, w)``, for each integration.

    It is fitted to baselines that are known in both frames, so that neither clock nor Earth model is needed.
    """
    earth = np.stack([places[int(number)] for number in data["antenna"].values])
    baselines = Baselines.of(data)
    vectors = earth[baselines.antenna1] - earth[baselines.antenna2]
    # What an integration does not hold has a uvw of zero.
    held = [(row != 0).any(axis=1) for row in data["uvw"].values]
    pairs = zip(data["uvw"].values, held, strict=True)
    return [Rotation.align_vectors(row[use], vectors[use])[0] for row, use in pairs]


def extra_path(data: xr.Dataset, places: dict[int, Real], corrections: dict[str, tuple[float, float, float]]) -> Real:
    """Project corrections of positions on the line of sight, ``(time, antenna)`` [m]."""
    stations = [str(name) for name in data["station"].values]
    shifts = np.array([corrections.get(name, (0, 0, 0)) for name in stations]) * MILLIMETRE
    return np.stack([rotation.apply(shifts)[:, 2] for rotation in rotations(data, places)])


def without_path(data: xr.Dataset, path: Real) -> xr.Dataset:
    """Take the phases off that an extra path to each antenna causes.

    Parameters
    ----------
    path
        ``(time, antenna)`` [m].
    """
    baselines = Baselines.of(data)
    length = path[:, baselines.antenna1] - path[:, baselines.antenna2]
    turn = np.exp(2j * np.pi * length[:, :, None] * data["frequency"].values / SPEED_OF_LIGHT)
    return replace(data, complex_of(data, "visibility") * turn[..., None], weights_of(data))
