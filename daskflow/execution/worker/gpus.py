"""Gives each attempt graphics processors of its own, out of those that the batch job has."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from daskflow.sites.allocation import Allocation, here
from daskflow.sites.grip import CURRENT_GRIP

VARIABLES = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "ZE_AFFINITY_MASK")
"""By which programs are told what they may use; the first is always set, the others where the batch job has them."""
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
    """

    def __init__(self, place: Allocation, environment: Mapping[str, str]) -> None:
        self.place = place
        self._names = {name: environment[name].split(",") for name in VARIABLES if environment.get(name)}
        self._names.setdefault(VARIABLES[0], next(iter(self._names.values()), [str(n) for n in range(place.gpus)]))
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
            yield {name: ",".join([names[place] for place in own]) for name, names in self._names.items()}
        finally:
            with self._changed:
                self._free = sorted([*self._free, *own])
                self._changed.notify_all()


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
