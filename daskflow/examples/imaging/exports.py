"""Images and cubes as FITS files, for other programs and for the archive.

References
----------
M. R. Calabretta, E. W. Greisen (2002), "Representations of celestial coordinates in FITS",
https://doi.org/10.1051/0004-6361:20021327
E. W. Greisen et al. (2006), "Representations of spectral coordinates in FITS",
https://doi.org/10.1051/0004-6361:20053818
"""

import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from astropy.io import fits

from daskflow import report, task
from daskflow.examples.imaging.calibrators import ArchiveBusy, is_out

PRODUCTS = Path("products")
"""Directory of the files, below the working directory."""


def fits_of(image: xr.Dataset, data: xr.Dataset) -> bytes:
    """Write a restored image ``(l, m)``, or a cube ``(channel, l, m)``, as a FITS file.

    Parameters
    ----------
    image
        With ``restored`` [Jy per beam] and the attributes ``cell`` and ``beam``.
    data
        Visibilities that it was made of: they say where the telescope looked, and at which frequencies.

    Returns
    -------
    bytes
        The file; its rows run to the north and its columns to the west, as FITS viewers draw them.
    """
    planes = image["restored"].values.reshape(-1, image.sizes["l"], image.sizes["m"])
    pixels = np.ascontiguousarray(planes[:, ::-1].transpose(0, 2, 1), np.float32)
    content = io.BytesIO()
    fits.PrimaryHDU(pixels, _header(image, data)).writeto(content)
    return content.getvalue()


def _header(image: xr.Dataset, data: xr.Dataset) -> fits.Header:
    cell, half = float(image.attrs["cell"]) / 3600, image.sizes["l"] // 2
    longitude, latitude = (float(angle) for angle in data.attrs["phase_centre_deg"])
    beam = [float(value) for value in image.attrs["beam"]]
    facts: dict[str, Any] = {
        **_axis(1, "RA---SIN", longitude, image.sizes["l"] - half, -cell, "deg"),
        **_axis(2, "DEC--SIN", latitude, half + 1, cell, "deg"),
        **_axis(3, "FREQ", *_frequencies(image, data), "Hz"),
        "BUNIT": "Jy/beam",
        "BMAJ": beam[0] / 3600,
        "BMIN": beam[1] / 3600,
        "BPA": beam[2],
        "OBJECT": data.attrs["object"],
        "TELESCOP": data.attrs["telescope"],
        "DATE-OBS": data.attrs["observed"],
    }
    return fits.Header(facts)


def _frequencies(image: xr.Dataset, data: xr.Dataset) -> tuple[float, int, float]:
    """Tell value, reference pixel and step of the third axis; a continuum image has the whole band in one pixel."""
    frequency = data["frequency"].values
    step = float(frequency[1] - frequency[0])
    if "channel" in image["restored"].dims:
        return float(frequency[0]), 1, step
    return float(frequency.mean()), 1, step * len(frequency)


def _axis(number: int, kind: str, value: float, pixel: int, step: float, unit: str) -> dict[str, Any]:
    names = ("CTYPE", "CRVAL", "CRPIX", "CDELT", "CUNIT")
    values = (kind, value, float(pixel), step, unit)
    return {f"{name}{number}": value for name, value in zip(names, values, strict=True)}


@task(retries=4, backoff=0.1)
def packed(image: xr.Dataset, data: xr.Dataset, outage: int = 0) -> bytes:
    """Make the file for the archive, which may be busy, see `fits_of`."""
    if is_out(outage):
        raise ArchiveBusy(ArchiveBusy.__doc__)
    content = fits_of(image, data)
    report.metric("exported", len(content), unit="byte")
    return content


def deposit(directory: Path, files: dict[str, Any]) -> list[str]:
    """Write jobs that made files into a directory of this machine, by name; a file that is there already is left.

    Returns
    -------
    list
        The paths.
    """
    directory.mkdir(parents=True, exist_ok=True)
    for name, job in files.items():
        _write(directory / name, job.result())
    return [str(directory / name) for name in files]


def _write(path: Path, content: bytes) -> None:
    if path.is_file() and path.read_bytes() == content:
        return
    # Nobody finds half a file, also where two runs write the same one.
    part = path.with_name(f".{path.name}.{os.getpid()}")
    part.write_bytes(content)
    part.replace(path)
