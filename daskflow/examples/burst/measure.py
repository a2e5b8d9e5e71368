"""What an agent performs: measures the burst in one file."""

from pathlib import Path
from typing import Any

import h5py

from daskflow.examples.burst.pictures import portrait
from daskflow.examples.burst.search import Waterfall, dedispersed, find, normalised

_DIGITS = 6


def measure(path: str, *, dm_max: float = 1000.0) -> tuple[dict[str, Any], list[str], list[str]]:
    """Measure dispersion and width of a burst.

    Parameters
    ----------
    path
        HDF5 file with `intensity`, shape (frequency, time), `frequency` [MHz] from the top down, and `time` [s].
    dm_max
        The largest dispersion measure that is tried [pc / cm^3].

    Returns
    -------
    tuple
        Results: `dm`, `dm_error` [pc / cm^3], `width`, `width_error`, `arrival` [s] and `snr`. Products: the file of
        the burst without its dispersion. Plots: its picture.

    Raises
    ------
    ValueError
        No burst stands out of the noise.
    FileNotFoundError
        There is no such file.
    """
    source = Path(path)
    with h5py.File(source) as file:
        data = normalised(Waterfall(file["intensity"][:], file["frequency"][:], file["time"][:]))
    found = find(data, dm_max)
    values = {name: value for name, value in found._asdict().items() if name != "trials"}
    width = f"{found.width * 1e3:.2f} ± {found.width_error * 1e3:.2f} ms wide"
    print(f"{source.name}: DM {found.dm:.2f} ± {found.dm_error:.2f} pc/cm³, {width}, S/N {found.snr:.0f}")
    product, plot = source.with_suffix(".straight.h5"), source.with_suffix(".png")
    with h5py.File(product, "w") as file:
        straight = file.create_dataset("intensity", data=dedispersed(data, found.dm).astype("f4"), compression="gzip")
        straight.attrs["dm"] = found.dm
        file["frequency"], file["time"] = data.frequency, data.time
    portrait(data, found, source.stem).savefig(plot, dpi=100)
    return {name: round(value, _DIGITS) for name, value in values.items()}, [str(product)], [str(plot)]
