"""A simulated fast radio burst in the dynamic spectrum of a telescope, kept as HDF5."""

from pathlib import Path

import h5py
import numpy as np
from pydantic import BaseModel, ConfigDict

DISPERSION = 4148.808
"""Delay of a frequency of 1 MHz by a dispersion measure of 1 pc / cm^3 [s MHz^2]; delays fall with its square.

References
----------
D. Lorimer and M. Kramer, Handbook of Pulsar Astronomy, Cambridge 2005, section 4.1.1
"""
CHANNELS = 336
"""Channels of the band."""
BOTTOM = 1129.5
"""Middle of the lowest channel [MHz]."""
CHANNEL = 1.0
"""Width of a channel [MHz]."""
SAMPLE = 1.2656e-3
"""Time of one sample [s]."""
SAMPLES = 2048
_SUBCHANNELS = 8
_BROKEN = 0.03
"""Share of the channels that interference makes useless."""


class Burst(BaseModel):
    """A burst as it is simulated."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    dm: float
    """Dispersion measure [pc / cm^3]."""
    width: float
    """Full width at half maximum, before dispersion smears it [s]."""
    amplitude: float
    """Peak in each channel, in units of the noise of one sample."""
    arrival: float = 0.6
    """When its peak reaches the top of the band, after the begin of the data [s]."""


def delays(frequency: np.ndarray, dm: float, reference: float) -> np.ndarray:
    """How much later a burst comes than at a reference frequency [s], shape (frequency); frequencies in MHz."""
    late: np.ndarray = DISPERSION * dm * (frequency**-2.0 - reference**-2.0)
    return late


def random_burst(event: int) -> Burst:
    """The burst of an event; always the same."""
    rng = np.random.default_rng([2007, event])
    dm, width = rng.uniform(100.0, 900.0), rng.uniform(2.5e-3, 10e-3)
    return Burst(dm=dm, width=width, amplitude=rng.uniform(0.8, 1.6))


def write_waterfall(path: Path, burst: Burst, seed: int) -> None:
    """Write a dynamic spectrum with one burst.

    Notes
    -----
    The file holds `intensity`, shape (frequency, time), in arbitrary units that differ from channel to channel;
    `frequency` [MHz], from the top of the band down; and `time` [s]. Dispersion within a channel smears the burst.
    Some channels hold nothing but interference.
    """
    rng = np.random.default_rng([seed, 1])
    frequency = (BOTTOM + CHANNEL * np.arange(CHANNELS))[::-1]
    time = SAMPLE * np.arange(SAMPLES)
    intensity = rng.standard_normal((CHANNELS, SAMPLES)) + burst.amplitude * _profiles(burst, frequency, time)
    broken = rng.random(CHANNELS) < _BROKEN
    intensity[broken] += 8.0 * rng.standard_normal((int(broken.sum()), 1)) * np.sin(2 * np.pi * 50.0 * time)
    gains, offsets = rng.uniform(0.5, 2.0, (CHANNELS, 1)), rng.uniform(50.0, 100.0, (CHANNELS, 1))
    with h5py.File(path, "w") as file:
        data = file.create_dataset("intensity", data=(gains * intensity + offsets).astype("f4"), chunks=(16, SAMPLES))
        data.attrs["shape"] = "frequency, time"
        file["frequency"], file["time"] = frequency, time
        file["frequency"].attrs["units"], file["time"].attrs["units"] = "MHz", "s"


def _profiles(burst: Burst, frequency: np.ndarray, time: np.ndarray) -> np.ndarray:
    """The burst in each channel, shape (frequency, time): the mean over narrower channels."""
    inner = CHANNEL * ((np.arange(_SUBCHANNELS) + 0.5) / _SUBCHANNELS - 0.5)
    late = burst.arrival + delays(frequency[:, None] + inner, burst.dm, frequency[0])
    sigma = burst.width / np.sqrt(8 * np.log(2))
    parts = [np.exp(-0.5 * ((time - late[:, part, None]) / sigma) ** 2) for part in range(_SUBCHANNELS)]
    mean: np.ndarray = np.mean(parts, axis=0)
    return mean
