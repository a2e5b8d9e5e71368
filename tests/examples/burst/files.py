"""Reads what the example writes."""

from __future__ import annotations

from pathlib import Path

import h5py

from daskflow.examples.burst.search import Waterfall


def read(path: Path) -> Waterfall:
    with h5py.File(path) as file:
        return Waterfall(file["intensity"][:], file["frequency"][:], file["time"][:])
