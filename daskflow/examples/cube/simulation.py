"""A simulated spectral cube with one source and one line, written channel by channel."""

from pathlib import Path

import h5netcdf
import numpy as np

REST = 1420.405752
"""Frequency of the line at rest [MHz]: the one of neutral hydrogen."""
WIDTH = 0.02
"""Width of a channel [MHz]."""
NOISE = 0.2
"""Noise of a pixel [Jy per beam]."""
PEAK = 2.0
"""Peak of the line [Jy per beam]."""
SIGMA = 0.04
"""Width of the line, as a share of the band."""
PLACE = 0.3
"""Where the line is, as a share of the band."""


def write_cube(path: Path, channels: int, pixels: int) -> None:
    """Write a cube as netCDF-4, shape (frequency, y, x), in Jy per beam.

    Notes
    -----
    A chunk is a channel, up to 256 pixels wide: who reads a channel reads whole chunks, and nothing else. The paged
    layout keeps the metadata together, so that they come in few requests. Memory for one channel is enough.
    """
    wide = min(pixels, 256)
    with h5netcdf.File(path, "w", fs_strategy="page", fs_page_size=1 << 16) as file:
        file.dimensions = {"frequency": channels, "y": pixels, "x": pixels}
        axis = file.create_variable("frequency", ("frequency",), "f8")
        axis.attrs["units"] = "MHz"
        axis[:] = REST + WIDTH * np.arange(channels)
        flux = file.create_variable("flux", ("frequency", "y", "x"), "f4", chunks=(1, wide, wide))
        flux.attrs["units"] = "Jy/beam"
        for channel in range(channels):
            flux[channel] = plane(channel, channels, pixels)


def plane(channel: int, channels: int, pixels: int) -> np.ndarray:
    """Simulate one channel, shape (y, x) [Jy per beam]; always the same."""
    noise = np.random.default_rng([channel, channels, pixels]).standard_normal((pixels, pixels), "f4")
    line = PEAK * np.exp(-0.5 * ((channel / channels - PLACE) / SIGMA) ** 2)
    return NOISE * noise + np.float32(line) * beam(pixels)


def beam(pixels: int) -> np.ndarray:
    """The source, round and in the middle, shape (y, x); its peak is 1."""
    along = np.exp(-0.5 * ((np.arange(pixels) - pixels // 2) / (pixels / 16)) ** 2).astype("f4")
    return np.outer(along, along)
