"""Judges the races of one run: who has won, and whose jobs need not go on."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from daskflow.graph.job import Job
from daskflow.graph.metrics import MetricFact
from daskflow.graph.race import Rule


class Finish(NamedTuple):
    """How a race ended."""

    race: Job
    winners: list[Job]
    """In the order in which they came; fewer than the rule asks for when the race was lost."""
    losers: list[Job]
    """Those that were not final; where nobody else needs them, they are to be killed."""
    error: BaseException | None = None
    """What the rule of the race raised."""


class _Race:
    """One race that goes on."""

    def __init__(self, job: Job, rule: Rule) -> None:
        self.job = job
        self.rule = rule
        self.members = [up for up in job.upstream if isinstance(up, Job)]
        self.winners: list[Job] = []
        self.seen: set[str] = set()
        self.over = False
        self.ahead: list[Job] = []
        """Those that still run and have reached what the rule asks for."""

    @property
    def losers(self) -> list[Job]:
        return [member for member in self.members if not member.state.final and member not in self.ahead]

    @property
    def lost(self) -> bool:
        return len(self.seen) == len(self.members) and len(self.winners) < self.rule.wins


class Races:
    """The races of one run.

    Notes
    -----
    Not safe for threads, and asks nobody: its engine calls it with its lock held, but judges the results of members,
    which needs the user's code, without.
    """

    def __init__(self) -> None:
        self._of: dict[str, list[_Race]] = {}
        self._untested: list[tuple[_Race, Job]] = []
        self._ahead: list[Finish] = []

    def begin(self, job: Job) -> None:
        """A race begins; members that are final already count at once."""
        race = _Race(job, job.arguments[0])
        for member in race.members:
            self._of.setdefault(member.key, []).append(race)
            if member.state.final:
                self._untested.append((race, member))

    def note(self, member: Job) -> None:
        """A job is final."""
        self._untested += [(race, member) for race in self._of.get(member.key, ())]

    def observe(self, key: str, name: str, value: float) -> None:
        """A running job reported a number: it may have won by that."""
        for race in self._of.get(key, ()):
            where = race.rule.where
            member = next(member for member in race.members if member.key == key)
            if isinstance(where, MetricFact) and where.name == name and member not in race.ahead:
                fact = where.of(member)
                fact.observe(value)
                if fact.truth():
                    race.ahead.append(member)
                    if len(race.ahead) == race.rule.wins:
                        self._ahead.append(Finish(race.job, [], race.losers))

    @property
    def open(self) -> bool:
        """Whether there is something to judge."""
        return bool(self._untested or self._ahead)

    def untested(self) -> list[tuple[_Race, Job]]:
        """Members that ended since this was asked last, with their races: to be judged, in this order."""
        found, self._untested = self._untested, []
        return [(race, member) for race, member in found if not race.over]

    def decided_early(self) -> list[Finish]:
        """Races whose winners still run, for their losers."""
        found, self._ahead = self._ahead, []
        return found

    def judged(self, race: _Race, member: Job, good: bool) -> Finish | None:
        """Take note of whether a member is good enough; gives how the race ended, if it did by that."""
        if member.key in race.seen or race.over:
            return None
        race.seen.add(member.key)
        if good:
            race.winners.append(member)
        if len(race.winners) == race.rule.wins or race.lost:
            return self._end(race)
        return None

    def failed(self, race: _Race, error: BaseException) -> Finish:
        """The rule of a race raised: nobody can win any more."""
        return self._end(race)._replace(winners=[], error=error)

    def _end(self, race: _Race) -> Finish:
        race.over = True
        for member in race.members:
            left = [other for other in self._of.get(member.key, ()) if other is not race]
            if left:
                self._of[member.key] = left
            else:
                self._of.pop(member.key, None)
        return Finish(race.job, race.winners, race.losers)


def good_enough(rule: Rule, member: Job, load: Callable[[Job], object], ahead: bool) -> bool:
    """Whether a member that ended has won, as far as it is concerned; may raise what the user's code raises."""
    if not member.state.good:
        return False
    if rule.where is None:
        return True
    return ahead if isinstance(rule.where, MetricFact) else rule.holds(load(member))
