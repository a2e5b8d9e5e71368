"""The values that pass between workers: results with the digest of their content, and marks where there is none."""

from __future__ import annotations

from typing import Any, NamedTuple

from daskflow.artifacts.values import Values
from daskflow.graph.structure import ATOMS
from daskflow.model.outcome import Stored

KEEP = 64 * 2**20
"""A larger result that lies in the artifact store is not kept in the worker's memory too [bytes]."""

LEFT = "returned jobs"
"""Why a result is missing that is made of jobs which the driver makes now."""

ABSENT = object()
"""Stands for a value that is not at hand."""


class Result:
    """The result of a job, in memory or at rest.

    Notes
    -----
    A result that lies in the artifact store travels to other workers as its digest: they read it from the store.
    Whoever asks for a value that can be changed in place gets one of his own: what one job does to its arguments is
    not to reach another. Large arrays are mapped copy-on-write, which takes less time than a copy in memory.
    """

    __slots__ = ("_value", "_values", "stored")

    def __init__(self, stored: Stored, values: Values, value: Any = ABSENT) -> None:
        self.stored = stored
        self._values = values
        keep = value is not ABSENT and (stored.inline is not None or stored.size <= KEEP)
        self._value = value if keep and _fixed(value) else ABSENT

    @property
    def value(self) -> Any:
        """The value itself; read anew where it could be changed."""
        if self._value is not ABSENT:
            return self._value
        return self._values.load(self.stored)

    def __sizeof__(self) -> int:
        return 200 + (self.stored.size if self._value is not ABSENT else 0)

    def __reduce__(self) -> Any:
        return Result, (self.stored, self._values)


def _fixed(value: Any) -> bool:
    """Whether nobody can change a value."""
    kind = type(value)
    return kind in ATOMS or (kind in (tuple, frozenset) and all(map(_fixed, value)))


class Missing(NamedTuple):
    """Stands for the result of a job that has none."""

    key: str
    """The job that failed in the first place."""
    why: str
