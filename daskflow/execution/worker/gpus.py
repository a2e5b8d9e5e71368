"""Gives each attempt graphics processors of its own, out of those that the batch job has."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from daskflow.sites.allocation import Allocation, here
from daskflow.sites.grip import CURRENT_GRIP

_CUDA, _HIP, _ROCR = "CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES"
VARIABLES = (_CUDA, _HIP, _ROCR, "ZE_AFFINITY_MASK")
"""By which programs are told what they may use: those of them that the batch job has; where it has none, the first."""
_AMD = Path("/dev/kfd")
"""Every program that computes on devices of AMD opens it."""
_LOOK = 0.2
"""Who waits for a device looks so often whether it was killed [s]."""


class Devices:
    """The devices of one batch job, and which of them are free.

    Parameters
    ----------
    place
        The batch job.
    environment
        Its variables.

    Notes
    -----
    HIP sees only what ROCR lets through, and counts that from zero; besides its own variable it follows that of CUDA.
    Slurm sets the variables of all makers by default: on nodes of NVIDIA too, where that of CUDA stands for itself.

    References
    ----------
    https://rocm.docs.amd.com/en/latest/conceptual/gpu-isolation.html
    """

    def __init__(self, place: Allocation, environment: Mapping[str, str]) -> None:
        self.place = place
        self._names = {name: environment[name].split(",") for name in VARIABLES if environment.get(name)}
        if not self._names:
            self._names[_CUDA] = [str(number) for number in range(place.gpus)]
        self._counted: set[str] = set()
        if _ROCR in self._names:
            self._counted = {_HIP, _CUDA} if _AMD.exists() else {_HIP}
        self._free = list(range(min(place.gpus, *map(len, self._names.values()))))
        self.count = len(self._free)
        """How many there are."""
        self._changed = threading.Condition()

    @contextmanager
    def taken(self, count: int) -> Iterator[dict[str, str]]:
        """The variables for an attempt that gets so many devices for itself within the block.

        Raises
        ------
        Killed
            The node was killed while it waited for them.
        """
        grip = CURRENT_GRIP.get()
        count = min(count, self.count)
        with self._changed:
            # A site sends no more than fit; one that was killed may still be giving back what it had.
            while len(self._free) < count:
                self._changed.wait(_LOOK)
                if grip is not None:
                    grip.check()
            own, self._free = self._free[:count], self._free[count:]
        try:
            yield {name: ",".join(self._named(name, own)) for name in self._names}
        finally:
            with self._changed:
                self._free = sorted([*self._free, *own])
                self._changed.notify_all()

    def _named(self, variable: str, own: list[int]) -> list[str]:
        if variable in self._counted:
            return [str(number) for number in range(len(own))]
        return [self._names[variable][place] for place in own]


_lock = threading.Lock()
_devices: Devices | None = None


@contextmanager
def allotted(count: int) -> Iterator[dict[str, str]]:
    """The variables by which an attempt sees the devices that it gets, and no others; none where there are no devices.

    Parameters
    ----------
    count
        How many it asked for.
    """
    place = here()
    if place is None or not place.gpus:
        yield {}
        return
    with _own(place).taken(count) as variables:
        yield variables


def _own(place: Allocation) -> Devices:
    global _devices
    with _lock:
        if _devices is None or _devices.place != place:
            _devices = Devices(place, os.environ)
        return _devices
