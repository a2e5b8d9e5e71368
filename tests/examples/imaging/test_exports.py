"""FITS files, read by astropy."""

import io
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from astropy.io import fits
from astropy.wcs import WCS

from daskflow.examples.imaging.exports import deposit, fits_of
from daskflow.examples.imaging.spectral import CUBE

CENTRE = (152.0, 7.5)


class Made:
    """Stands for a job that is done."""

    def __init__(self, content: bytes) -> None:
        self.content = content

    def result(self) -> bytes:
        return self.content


@pytest.fixture
def data(windows: list[xr.Dataset]) -> xr.Dataset:
    return windows[0].assign_attrs(phase_centre_deg=list(CENTRE))


def image(dims: tuple[str, ...], shape: tuple[int, ...], place: tuple[int, ...]) -> xr.Dataset:
    """One bright pixel."""
    sky = np.zeros(shape)
    sky[place] = 3.0
    return xr.Dataset({"restored": (dims, sky)}, attrs={"cell": 0.5, "beam": [2.6, 2.2, 10.0]})


def test_a_source_stands_where_the_sky_has_it(data: xr.Dataset) -> None:
    content = fits_of(image(("l", "m"), (32, 32), (16 + 6, 16 - 4)), data)
    with fits.open(io.BytesIO(content)) as hdus:
        header, pixels = hdus[0].header, hdus[0].data
    _, y, x = np.unravel_index(int(np.argmax(pixels)), pixels.shape)
    right_ascension, declination = WCS(header, fix=False).celestial.pixel_to_world_values(x, y)
    assert (right_ascension - CENTRE[0]) * np.cos(np.deg2rad(CENTRE[1])) * 3600 == pytest.approx(3.0, abs=1e-3)
    assert (declination - CENTRE[1]) * 3600 == pytest.approx(-2.0, abs=1e-3)
    assert header["BMAJ"] * 3600 == pytest.approx(2.6)
    assert header["BUNIT"] == "Jy/beam"
    assert header["CRVAL3"] == pytest.approx(data["frequency"].values.mean())


def test_a_cube_knows_its_frequencies(data: xr.Dataset) -> None:
    content = fits_of(image(CUBE, (64, 8, 8), (40, 4, 4)), data)
    with fits.open(io.BytesIO(content)) as hdus:
        header, pixels = hdus[0].header, hdus[0].data
    channel = int(np.argmax(pixels.max(axis=(1, 2))))
    frequency = WCS(header, fix=False).spectral.pixel_to_world_values(channel)
    assert frequency == pytest.approx(data["frequency"].values[40])


def test_files_are_written_once(tmp_path: Path) -> None:
    place = tmp_path / "products"
    (path,) = deposit(place, {"a.fits": Made(b"one")})
    first = Path(path).stat()
    deposit(place, {"a.fits": Made(b"one")})
    assert Path(path).stat().st_mtime_ns == first.st_mtime_ns
    deposit(place, {"a.fits": Made(b"two")})
    assert Path(path).read_bytes() == b"two"
    assert [found.name for found in place.iterdir()] == ["a.fits"]
