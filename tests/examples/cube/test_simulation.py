"""The simulated cube is what other tools read, and always the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import xarray as xr

from daskflow.examples.cube.simulation import NOISE, PEAK, PLACE, REST, WIDTH, beam, plane, write_cube


def test_other_tools_read_it(tmp_path: Path) -> None:
    write_cube(tmp_path / "cube.h5", 10, 32)
    with xr.open_dataset(tmp_path / "cube.h5", engine="h5netcdf") as dataset:
        assert dataset["flux"].dims == ("frequency", "y", "x")
        assert dataset["flux"].encoding["chunksizes"] == (1, 32, 32)
        assert dataset["flux"].attrs["units"] == "Jy/beam"
        np.testing.assert_allclose(dataset["frequency"], REST + WIDTH * np.arange(10))
        np.testing.assert_array_equal(dataset["flux"][3], plane(3, 10, 32))


def test_noise_and_line() -> None:
    line, empty = plane(int(100 * PLACE), 100, 64), plane(99, 100, 64)
    assert abs(float(empty.std()) - NOISE) < 0.01
    assert abs(float(line[32, 32]) - PEAK) < 4 * NOISE
    assert beam(64)[32, 32] == 1


def test_written_twice_it_has_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_cube(tmp_path / name, 3, 16)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
