"""Conditions about numbers that jobs report while they run."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NoReturn

from daskflow.errors import ConditionMisused
from daskflow.graph.conditions import LOOK, Condition, short
from daskflow.graph.facts import ToldFact, host_of, past, until_decided

_COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


class MetricFact(ToldFact):
    """That a metric of a job, while it runs, has passed a limit; made by `job.metric("chisq") < 1.1`.

    It has come true for good as soon as one value is beyond the limit, and is false when the job has ended without one.

    Notes
    -----
    The metrics that come with a job's end have to be observed before the job gets its final state.
    """

    __slots__ = ("job", "limit", "name", "operator")

    def __init__(self, job: Any, name: str, operator: str, limit: float) -> None:
        super().__init__()
        self.job = job
        """The job, or None: each member of a race."""
        self.name = name
        """Name of the metric."""
        self.operator = operator
        """`<`, `<=`, `>` or `>=`."""
        self.limit = limit

    def observe(self, value: Any) -> None:
        """Compare with the limit what the job reports; neither NaN nor what is no number passes it."""
        with suppress(TypeError, ValueError, OverflowError):
            if _COMPARISONS[self.operator](float(value), self.limit):
                self.hold()

    def truth(self) -> bool | None:
        """Whether the limit was passed; None as long as the job may still do so.

        Raises
        ------
        ConditionMisused
            The metric is of no job.
        """
        if self._held.is_set():
            return True
        return False if self._job().state.final else None

    def _job(self) -> Any:
        if self.job is None:
            raise ConditionMisused(
                f"{self.text()} is of no job. Write `job.metric({self.name!r})` instead of `metric`."
            )
        return self.job

    def ask(self) -> None:
        """Have the run of the job tell what it has heard so far, and what it will hear."""
        if self._job().host is not None and not self._held.is_set():
            self.job.host.watch(self)

    def begin(self) -> None:
        """Have the run of the job tell what it hears."""
        host_of(self._job()).watch(self)

    def settle(self, timeout: float | None) -> None:
        """Block until the limit was passed, or the job is final."""
        host = host_of(self._job())

        def pause(left: float) -> None:
            with suppress(TimeoutError):
                host.wait(self.job, min(left, LOOK))

        until_decided(self, timeout, pause)

    def told(self) -> str:
        """Whether the limit was passed."""
        if self._held.is_set():
            return f"{self.text()} came true"
        return f"{short(self.job.key)} {past(self.job.state)}"

    @property
    def binding(self) -> str:
        """The sign that holds the text together."""
        return self.operator

    def spelled(self) -> list[Condition | str]:
        """The text in pieces."""
        owner = f"{short(self.job.key)}." if self.job is not None else ""
        return [f"{owner}metric({self.name!r}) {self.operator} {repr(self.limit).removesuffix('.0')}"]

    def of(self, job: Any) -> MetricFact:
        """The same fact about a job, where it is about none yet."""
        return MetricFact(job, self.name, self.operator, self.limit) if self.job is None else self


class Metric:
    """A number that a job reports while it runs; a comparison with another number makes a condition of it."""

    __slots__ = ("job", "name")

    def __init__(self, job: Any, name: str) -> None:
        if not isinstance(name, str):
            raise ConditionMisused(f"A metric has a text for its name, not {name!r:.100}.")
        self.job = job
        self.name = name

    def __lt__(self, limit: float) -> MetricFact:
        return self._fact("<", limit)

    def __le__(self, limit: float) -> MetricFact:
        return self._fact("<=", limit)

    def __gt__(self, limit: float) -> MetricFact:
        return self._fact(">", limit)

    def __ge__(self, limit: float) -> MetricFact:
        return self._fact(">=", limit)

    def __eq__(self, other: object) -> NoReturn:
        raise self._misused("is not compared by `==` and `!=`, which a measured number never fits")

    __ne__ = __eq__
    # What is not compared stands in no set; that None says so, the types do not know.
    __hash__ = None  # type: ignore[assignment]

    def __bool__(self) -> bool:
        raise self._misused("is no condition yet")

    def _fact(self, sign: str, limit: Any) -> MetricFact:
        try:
            number = math.nan if isinstance(limit, (str, bytes)) else float(limit)
        except (TypeError, ValueError, OverflowError):
            number = math.nan
        if math.isnan(number):
            raise self._misused(f"is compared with a number, not with {limit!r:.100}")
        return MetricFact(self.job, self.name, sign, number)

    def _misused(self, what: str) -> ConditionMisused:
        return ConditionMisused(f'{self!r} {what}. Write `job.metric("chisq") < 1.1`, or with `<=`, `>`, `>=`.')

    def __repr__(self) -> str:
        owner = f"{short(self.job.key)}." if self.job is not None else ""
        return f"{owner}metric({self.name!r:.100})"


def metric(name: str) -> Metric:
    """A metric of each member of a race: `first(jobs, where=metric("chisq") < 1.1)`."""
    return Metric(None, name)
