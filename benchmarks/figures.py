"""A figure: what was measured in several rounds, beside its reference and its budget."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any, Literal

Kind = Literal["ratio", "difference", "value"]


@dataclass(frozen=True)
class Budget:
    """What a figure may be at most: as a ratio to its reference, as a difference from it, or by itself."""

    kind: Kind
    limit: float


@dataclass(frozen=True)
class Figure:
    """One line of the table."""

    what: str
    unit: Literal["s", "ms", "µs", "kB"]
    ours: tuple[float, ...]
    """One value for each round."""
    reference: tuple[float, ...] = ()
    """That of the same round, measured just before or after; empty where there is none."""
    against: str = ""
    """What the reference is."""
    budget: Budget | None = None
    cpu: tuple[float, ...] = ()
    """Ratios of the CPU time of all processes, one for each round: what other loads of the machine disturb least."""
    note: str = ""

    @property
    def ratios(self) -> tuple[float, ...]:
        """Ratio of each round."""
        return tuple(a / b for a, b in zip(self.ours, self.reference, strict=True)) if self.reference else ()

    @property
    def judged(self) -> float | None:
        """What the budget is compared with; None where there is no budget."""
        if self.budget is None:
            return None
        if self.budget.kind == "ratio":
            return median(self.ratios)
        if self.budget.kind == "difference":
            return median(self.ours) - median(self.reference)
        return median(self.ours)

    @property
    def met(self) -> bool | None:
        """Whether the budget is kept; None where there is none."""
        judged = self.judged
        return None if self.budget is None or judged is None else judged <= self.budget.limit

    def record(self) -> dict[str, Any]:
        """All of it as plain data."""
        return {**asdict(self), "ratios": self.ratios, "judged": self.judged, "met": self.met}


def interleaved(rounds: int, *measures: Callable[[int], Any]) -> list[list[Any]]:
    """Measure A B A B ...; each call gets the number of its round, and the results come as one list for each measure.

    Whoever was first in one round is last in the next: a machine that slows down favours nobody.
    """
    found: list[list[Any]] = [[] for _ in measures]
    for number in range(rounds):
        order = list(enumerate(measures))
        for index, measure in order if number % 2 == 0 else reversed(order):
            found[index].append(measure(number))
    return found
