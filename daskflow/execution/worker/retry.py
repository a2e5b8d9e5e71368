"""Decides on the worker whether a failed attempt is followed by another, and after which pause."""

from __future__ import annotations

import functools
import random
from collections.abc import Callable
from typing import Any

from daskflow.errors import DaskflowError

Worth = tuple[type[BaseException], ...] | Callable[[BaseException, int], bool]
"""Which errors are worth another attempt: their classes, or a function of the error and of the attempts made so far."""


class Retry:
    """Which errors are worth another attempt.

    Notes
    -----
    Travels by value: classes and functions of the main module, which workers do not have, may be among it. Errors of
    daskflow that may be gone the next time, such as timeouts, are worth it whatever the classes; a function decides on
    them too.
    """

    def __init__(self, worth: Worth) -> None:
        self._worth = worth

    @functools.cached_property
    def _packed(self) -> bytes:
        import cloudpickle

        made: bytes = cloudpickle.dumps(self._worth, protocol=5)
        return made

    def worth(self, error: BaseException, attempts: int) -> bool:
        """Whether an error is worth another attempt, after so many that were made.

        Raises
        ------
        Exception
            Whatever the user's function raises.
        """
        if isinstance(self._worth, tuple):
            return isinstance(error, self._worth) or (isinstance(error, DaskflowError) and error.transient)
        return bool(self._worth(error, attempts))

    def __reduce__(self) -> Any:
        return _unpacked, (self._packed,)


def retry_on(worth: Worth) -> Retry:
    """The same `Retry` for all jobs of one policy, so that it is pickled once."""
    try:
        return _shared(worth)
    except TypeError:  # a function object of the user's own that has no hash
        return Retry(worth)


_shared = functools.lru_cache(maxsize=1000)(Retry)


def _unpacked(packed: bytes) -> Retry:
    return retry_on(_loaded(packed))


@functools.lru_cache(maxsize=1000)
def _loaded(packed: bytes) -> Worth:
    import cloudpickle

    found: Worth = cloudpickle.loads(packed)
    return found


def jittered(pause: float, jitter: float) -> float:
    """A pause [s], longer or shorter by a random fraction of at most `jitter`: those who failed together come apart."""
    return pause * random.uniform(1 - jitter, 1 + jitter) if jitter else pause
