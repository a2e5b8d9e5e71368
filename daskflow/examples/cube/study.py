"""The spectrum of a source from a large cube: a job per channel, each of which reads its own slab."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np

from daskflow import Artifact, flow, report, task
from daskflow.examples.cube.simulation import REST, WIDTH, beam, write_cube


class Line(NamedTuple):
    """A line in a spectrum."""

    frequency: float
    """[MHz]"""
    peak: float
    """[Jy per beam]"""
    width: float
    """Standard deviation [MHz]."""
    snr: float
    """Peak over the noise of the spectrum."""


@task
def simulate(channels: int, pixels: int) -> Artifact:
    """Write the cube that stands for an observation, and bring it into the artifact store."""
    with TemporaryDirectory() as scratch:
        path = Path(scratch, "cube.h5")
        write_cube(path, channels, pixels)
        return Artifact(f"examples/cube/{channels}x{pixels}.h5").upload(path)


@task
def flux(channel: int, cube: Artifact) -> float:
    """Fit the source in one channel [Jy per beam]; of the cube no other channel is read."""
    with cube.open_h5() as file:
        sky = file["flux"][channel]
    source = beam(sky.shape[0])
    return float((sky * source).sum() / (source * source).sum())


@task
def find_line(spectrum: Sequence[float]) -> Line:
    """Find the line of a spectrum, see `moments`, and show it."""
    line = moments(np.array(spectrum))
    report.metric("line frequency", line.frequency, unit="MHz")
    report.metric("line peak", line.peak, unit="Jy/beam")
    return line


def moments(spectrum: np.ndarray) -> Line:
    """Find the line of a spectrum [Jy per beam] by its moments, from the channels above a tenth of the peak."""
    noise = 1.4826 * float(np.median(np.abs(spectrum - np.median(spectrum))))
    peak = float(spectrum.max())
    found = np.where(spectrum > 0.1 * peak, spectrum, 0.0)
    channels = np.arange(len(spectrum))
    centre = float((found * channels).sum() / found.sum())
    spread = float(np.sqrt((found * (channels - centre) ** 2).sum() / found.sum()))
    return Line(REST + WIDTH * centre, peak, WIDTH * spread, peak / noise)


@flow
def cube_study(channels: int = 1024, pixels: int = 512) -> Line:
    """Find the line of a source in a cube.

    Parameters
    ----------
    channels
        Of the cube; each is a job.
    pixels
        Of a channel, along each side. 1024 channels of 512 pixels are 1 GiB.

    Notes
    -----
    The cube is simulated and uploaded once. The jobs read it where it is: from an object store each moves its own
    slab (1 MiB of the gigabyte); a store in a directory is read in place.
    """
    cube = simulate(channels, pixels)
    spectrum = flux.map(range(channels), cube=cube)
    line: Line = find_line(spectrum).result()
    return line
