"""Races: the first of several jobs that is good enough wins, the others are killed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from daskflow.errors import ArgumentsInvalid, RaceLost
from daskflow.graph.conditions import Condition
from daskflow.graph.encoding import digest
from daskflow.graph.host import Launcher
from daskflow.graph.job import Job, job_of_draft
from daskflow.graph.lenient import Lenient
from daskflow.graph.metrics import MetricFact
from daskflow.graph.task import code_text
from daskflow.graph.verdict import Verdict, plain_policy

_WHOLE = 1_000_000

Where = Callable[[Any], Any] | MetricFact | None


class Rule(NamedTuple):
    """Who wins a race."""

    where: Where
    """What a result must be like, or a number that a running job has to reach; None: the first result wins."""
    wins: int
    """How many win."""

    def key_text(self) -> str:
        """How the rule stands in the key of the race."""
        if self.where is None:
            return f"first({self.wins})"
        text = self.where.text(_WHOLE) if isinstance(self.where, Condition) else code_text(self.where)
        return f"first({self.wins},{digest(text)})"

    def holds(self, value: Any) -> bool:
        """Whether a result is good enough."""
        return self.where is None or isinstance(self.where, Condition) or bool(self.where(value))

    def result(self, values: list[Any]) -> Any:
        """The value of the race: that of the winner, or a list where there are to be several."""
        return values[0] if self.wins == 1 else values


def _won(matter: Rule, jobs: list[Any]) -> Any:
    """What dask computes without daskflow: the winners in the order of the jobs."""
    winners = [value for value in jobs if matter.holds(value)][: matter.wins]
    if len(winners) < matter.wins:
        raise RaceLost(f"{len(winners)} of {len(jobs)} were good enough, and {matter.wins} had to be.")
    return matter.result(winners)


class Racer(Verdict):
    """Makes races: `first(jobs, where=..., count=1)`."""

    def __init__(self, launcher: Launcher) -> None:
        super().__init__(_won, plain_policy("first", cache=True), launcher)

    def __call__(
        self,
        jobs: Iterable[Any],
        /,
        *,
        where: Where = None,
        count: int = 1,
        when: Condition | None = None,
    ) -> Job:
        """Let jobs race: when enough of them are good enough, the others are cancelled, and killed where they run.

        Parameters
        ----------
        jobs
            They start as always, side by side where there is room. Those that another part of the flow needs are not
            killed.
        where
            Says of a result whether it is good enough; errors that it raises fail the race. Or a condition over what
            jobs report while they run, `metric("chisq") < 1.1`: the first job of which it holds has won, the others are
            killed at once, and the winner goes on to its end. By default the first result wins.
        count
            How many win.

        Returns
        -------
        Job
            Its result is that of the winner; with a `count` over 1 a list of results, in the order in which they came.
            It fails with `RaceLost` when too few are good enough.

        Raises
        ------
        ArgumentsInvalid
            There are fewer jobs than have to win, one of them twice, or something that is no job.
        """
        members = [job_of_draft(item) for item in jobs]
        strange = next((item for item in members if not isinstance(item, Job)), None)
        if strange is not None:
            raise ArgumentsInvalid(f"first() takes jobs, not {strange!r:.100}.")
        if len({job.key for job in members}) < len(members):
            raise ArgumentsInvalid("first() was given one job twice; equal calls of a task are one job.")
        if not 1 <= count <= len(members):
            raise ArgumentsInvalid(f"first(): {count} of {len(members)} jobs cannot win.")
        if isinstance(where, Condition) and not isinstance(where, MetricFact):
            raise ArgumentsInvalid('first(where=...) takes a function of the result, or `metric("name") < number`.')
        return super().__call__(Rule(where, count), [Lenient(job) for job in members], when=when)
