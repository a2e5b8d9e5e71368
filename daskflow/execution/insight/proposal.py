"""Proposes what to ask for the next time, from what jobs have used."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

ENOUGH = 5
"""With fewer jobs nothing is proposed."""
_ROOM_MEMORY, _ROOM_TIME = 1.2, 1.3
"""By so much more than was seen is asked for."""
_BUSY = 0.25
"""So much of a core that is kept busy is not worth another core."""
_MIB, _GIB = 2**20, 2**30
_MEMORY_STEPS = ((256 * _MIB, 32 * _MIB), (2 * _GIB, 128 * _MIB), (16 * _GIB, 512 * _MIB), (64 * _GIB, 2 * _GIB))
_MEMORY_LAST = 8 * _GIB
_TIME_STEPS = ((60.0, 10.0), (600.0, 60.0), (3600.0, 300.0), (8 * 3600.0, 1800.0))
_TIME_LAST = 3600.0


class Sample(NamedTuple):
    """What one attempt used."""

    seconds: float
    cpu: float
    """CPU time [s]."""
    memory: int
    """Peak [bytes]."""
    cores: int
    """How many it had; 0: nobody tells."""
    asked: int
    """Memory that it could use [bytes]; 0: nothing limited it."""


class Proposal(NamedTuple):
    """What to ask for."""

    cores: int
    memory: int
    """[bytes]"""
    walltime: float
    """[s]"""

    @property
    def text(self) -> str:
        """As it is written at a task; what else its resources say, such as gpus, stays as it is.

        Examples
        --------
        >>> Proposal(2, 3 * 2**29, 720.0).text
        'Resources(cores=2, memory="1.5 GiB", walltime="12 min")'
        """
        memory, walltime = _memory_text(self.memory), _time_text(self.walltime)
        return f'Resources(cores={self.cores}, memory="{memory}", walltime="{walltime}")'


def propose(good: Sequence[Sample], starved: Sequence[Sample] = ()) -> Proposal | None:
    """What jobs of a task should ask for.

    Parameters
    ----------
    good
        Attempts that succeeded.
    starved
        Attempts that were killed for their memory: they needed more than they were seen to use.

    Returns
    -------
    Proposal or None
        Cores that are kept busy, the highest memory and some more, the time of 95 of 100 jobs and some more; None where
        too few succeeded to tell.
    """
    if len(good) < ENOUGH:
        return None
    memory = max(sample.memory for sample in good) * _ROOM_MEMORY
    # Nobody knows how much the killed ones would have taken.
    memory = max([memory, *[2.0 * max(sample.asked, sample.memory) for sample in starved]])
    seconds = quantile([sample.seconds for sample in good], 0.95)
    return Proposal(_cores(good), _up_memory(memory), _up_time(seconds * _ROOM_TIME))


def quantile(values: Sequence[float], part: float) -> float:
    """The smallest of some values that is not exceeded by such a part of them.

    Examples
    --------
    >>> quantile([3.0, 1.0, 2.0, 4.0], 0.5), quantile(range(1, 101), 0.95), quantile([7.0], 0.95)
    (2.0, 95, 7.0)
    """
    ordered = sorted(values)
    return ordered[max(0, math.ceil(part * len(ordered)) - 1)]


def _cores(good: Sequence[Sample]) -> int:
    busy = quantile([sample.cpu / sample.seconds for sample in good if sample.seconds > 0] or [1.0], 0.95)
    return max(1, math.ceil(busy - _BUSY))


def _up_memory(value: float) -> int:
    step = next((step for limit, step in _MEMORY_STEPS if value <= limit), _MEMORY_LAST)
    return max(1, math.ceil(value / step)) * step


def _up_time(value: float) -> float:
    step = next((step for limit, step in _TIME_STEPS if value <= limit), _TIME_LAST)
    return max(1, math.ceil(value / step)) * step


def _memory_text(memory: int) -> str:
    return f"{memory / _GIB:g} GiB" if memory >= _GIB else f"{memory / _MIB:g} MiB"


def _time_text(seconds: float) -> str:
    for unit, name in ((3600.0, "h"), (60.0, "min")):
        if seconds >= unit and (seconds / unit * 2).is_integer():
            return f"{seconds / unit:g} {name}"
    return f"{seconds:g} s" if seconds < 3600 else f"{seconds / 60:g} min"
