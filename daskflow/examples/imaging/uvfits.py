"""Reading one spectral window of a UVFITS file on a regular grid of times and baselines."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from astropy.io import fits

from daskflow.examples.imaging.visibilities import VISIBILITY_DIMS, complex_pair

SPEED_OF_LIGHT = 299_792_458.0
"""[m/s]"""
SECONDS_PER_DAY = 86_400.0
STOKES = {-1: "RR", -2: "LL", -3: "RL", -4: "LR"}
"""The FITS codes of the circular correlations (AIPS Memo 117, table 8)."""


class UnreadableObservation(ValueError):
    """Two rows of the file claim the same time and baseline: give one with one row for each."""

    transient = False


def read_uvfits(path: Path, spw: int, *, integration: float = 10.0) -> xr.Dataset:
    """Read one spectral window of an observation.

    Rows are put on a grid of integrations, since their own times differ by fractions of a second where a
    part of the integration was lost. What the file does not hold gets no weight.

    Parameters
    ----------
    path
        UVFITS file of one source and one frequency set-up.
    spw
        Number of the spectral window, from zero.
    integration
        Time between integrations [s].

    Returns
    -------
    xr.Dataset
        Visibilities ``(time, baseline, channel, polarization)`` with their coordinates.

    Raises
    ------
    UnreadableObservation
        When two rows claim the same place with positive weight.

    Notes
    -----
    ``uvw`` keeps the sense of the file, antenna 1 minus antenna 2, with which a source at the direction
    cosines (l, m) shows as ``exp(-2 pi i (u l + v m + w (n - 1)))``.

    References
    ----------
    E. W. Greisen, "AIPS FITS File Format", AIPS Memo 117, http://www.aips.nrao.edu/TEXT/PUBL/AIPSMEM117.PDF
    """
    with fits.open(path, memmap=False) as hdus:
        groups, header = hdus[0].data, hdus[0].header
        offset = float(np.ravel(hdus["AIPS FQ"].data[0]["IF FREQ"])[spw])
        stations = {int(row["NOSTA"]): _station(row["ANNAME"]) for row in hdus["AIPS AN"].data}
        cube = np.asarray(groups["DATA"][:, 0, 0, spw], np.float32)
        rows = _Rows.of(groups, integration)
    used = (cube[..., 2] > 0).any(axis=(1, 2))
    data = _dataset(rows.gridded(cube, used), rows.gridded(rows.uvw, used), _frequencies(header, offset))
    time = np.arange(rows.shape[0]) * integration
    return data.assign_coords(
        **_antennas(rows.codes, stations),
        time=("time", time, {"units": "s", "long_name": "time since the first integration"}),
        polarization=_polarizations(header),
    ).assign_attrs(_attributes(header, path, spw, integration))


@dataclass(frozen=True, slots=True)
class _Rows:
    """Where each row of the file belongs on the grid of times and baselines."""

    shape: tuple[int, int]
    """Number of integrations and of baselines."""
    place: tuple[Any, Any]
    """Indices of time and baseline, each (row)."""
    codes: Any
    """256 times the number of the first antenna plus that of the second, (baseline)."""
    uvw: Any
    """[m], (row, axis)."""

    @classmethod
    def of(cls, groups: Any, integration: float) -> "_Rows":
        seconds = (groups.par("DATE") - groups.par("DATE").min()) * SECONDS_PER_DAY
        time = np.rint(seconds / integration).astype(np.int64)
        codes, column = np.unique(groups.par("BASELINE").astype(np.int64), return_inverse=True)
        uvw = np.stack([groups.par(name).astype(np.float64) for name in ("UU", "VV", "WW")], -1)
        return cls((int(time.max()) + 1, len(codes)), (time, column), codes, uvw * SPEED_OF_LIGHT)

    def gridded(self, values: Any, used: Any) -> Any:
        """Put the used rows in their places; zero where there is none."""
        place = tuple(index[used] for index in self.place)
        if len(np.unique(np.ravel_multi_index(place, self.shape))) != used.sum():
            raise UnreadableObservation(UnreadableObservation.__doc__)
        grid = np.zeros((*self.shape, *values.shape[1:]), values.dtype)
        grid[place] = values[used]
        return grid


def _station(name: bytes | str) -> str:
    # The archive's writer leaves binary rubbish behind the NUL.
    text = name.decode("latin-1") if isinstance(name, bytes) else name
    return text.split("\x00")[0].strip()


def _frequencies(header: fits.Header, offset: float) -> Any:
    channel = np.arange(header["NAXIS4"]) + 1 - header["CRPIX4"]
    return header["CRVAL4"] + offset + channel * header["CDELT4"]


def _polarizations(header: fits.Header) -> list[str]:
    codes = header["CRVAL3"] + (np.arange(header["NAXIS3"]) + 1 - header["CRPIX3"]) * header["CDELT3"]
    return [STOKES[round(code)] for code in codes]


def _antennas(codes: Any, stations: dict[int, str]) -> dict[str, Any]:
    """Name the antennas, and number them from zero for the two ends of each baseline."""
    first, second = codes // 256, codes % 256
    numbers = np.unique(np.concatenate([first, second]))
    return {
        "antenna": ("antenna", numbers, {"long_name": "number of the antenna"}),
        "station": ("antenna", [stations[int(number)] for number in numbers]),
        "antenna1": ("baseline", np.searchsorted(numbers, first)),
        "antenna2": ("baseline", np.searchsorted(numbers, second)),
    }


def _dataset(cube: Any, metres: Any, frequency: Any) -> xr.Dataset:
    weight = np.maximum(cube[..., 2], 0)
    visibility = complex_pair(
        "visibility", VISIBILITY_DIMS, cube[..., 0] + 1j * cube[..., 1], {"units": "correlation coefficient"}
    )
    return xr.Dataset(
        {
            **visibility,
            "weight": (VISIBILITY_DIMS, weight, {"units": "arbitrary"}),
            "flag": (VISIBILITY_DIMS, weight <= 0, {"long_name": "not to be used"}),
            "uvw": (("time", "baseline", "axis"), metres, {"units": "m"}),
        },
        coords={"frequency": ("channel", frequency, {"units": "Hz"})},
    )


def _attributes(header: fits.Header, path: Path, spw: int, integration: float) -> dict[str, Any]:
    return {
        "source": path.name,
        "object": header["OBJECT"],
        "telescope": header["TELESCOP"],
        "observed": header["DATE-OBS"],
        "spw": spw,
        "integration": integration,
        "phase_centre_deg": [float(header["CRVAL6"]), float(header["CRVAL7"])],
    }
