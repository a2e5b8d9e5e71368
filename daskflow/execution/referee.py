"""Performs the jobs that no site can: races, questions, and the values of other runs."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from daskflow.errors import DaskflowError, JobFailed, RaceLost, RunError
from daskflow.execution.asking.questions import LOOK, Answered, Questions
from daskflow.execution.holding.races import Finish, Races, good_enough
from daskflow.execution.results import Results
from daskflow.execution.worker.capture import HOST
from daskflow.execution.worker.failures import describe
from daskflow.graph.conditions import short
from daskflow.graph.gate import Awaited, Gatekeeper
from daskflow.graph.job import Job
from daskflow.graph.question import Asker
from daskflow.graph.race import Racer, Rule
from daskflow.model.outcome import Outcome, Stored
from daskflow.model.records import QuestionRecord
from daskflow.stores import Journal


class Ruling(NamedTuple):
    """What came out."""

    outcome: Outcome | None
    """How a job of the run itself ended; None where it has not yet."""
    race: Job | None = None
    losers: Sequence[Job] = ()
    """Jobs that the race needs no more."""
    event: str = ""
    """Kind of the event that tells it, where one does."""
    told: Mapping[str, str] = MappingProxyType({})
    """What the event says."""


class Referee:
    """Performs the jobs that a run performs itself.

    Parameters
    ----------
    journal
        Where questions are asked.
    run
        Id of the run.
    races
        The races; told of ends and metrics by the roster, under its lock.
    results
        Gives values, and stores those that are made here.
    lock
        Guards the races.

    Notes
    -----
    `begin` and `work` are called by one thread at a time, without the lock: they ask the store, and call the user's
    code.
    """

    def __init__(self, journal: Journal, run: str, races: Races, results: Results, lock: threading.Condition) -> None:
        self._lock = lock
        self._questions = Questions(journal, run)
        self._races = races
        self._results = results
        self._awaited: list[tuple[Job, Awaited]] = []

    def begin(self, jobs: Sequence[Job]) -> list[QuestionRecord]:
        """Jobs of the run itself may go on; returns the questions that were asked by that."""
        asked = []
        for job in jobs:
            if isinstance(job.task, Asker):
                asked.append(self._questions.ask(job))
            elif isinstance(job.task, Racer):
                with self._lock:
                    self._races.begin(job)
            elif isinstance(job.task, Gatekeeper):
                with self._lock:
                    self._awaited.append((job, job.arguments[0]))
        return asked

    def check_answer(self, question: str, answer: str) -> None:
        """See whether an answer fits.

        Raises
        ------
        AnswerRefused
            It does not; the message says why.
        """
        self._questions.check(question, answer)

    @property
    def releasing(self) -> bool:
        """Whether an open question lets idle workers go."""
        return self._questions.releasing

    @property
    def patience(self) -> float | None:
        """How long nothing needs to be looked at [s]; None: until something happens."""
        return LOOK if len(self._questions) else None

    def work(self) -> list[Ruling]:
        """Look at everything that may have been decided."""
        with self._lock:
            found = [Ruling(None, finish.race, finish.losers) for finish in self._races.decided_early()]
            untested = self._races.untested()
        for race, member in untested:
            found += [self._ruling(finish) for finish in self._judge(race, member) if finish is not None]
        if len(self._questions):
            found += [self._answer(answered) for answered in self._questions.look()]
        return found + self._ended_runs()

    def _judge(self, race: Any, member: Job) -> list[Finish | None]:
        if race.job.state.final or race.over:
            return []
        try:
            good = good_enough(race.rule, member, self._results.value, member in race.ahead)
        except BaseException as error:  # the rule is the user's: it may raise whatever it likes
            return [self._races.failed(race, error)]
        with self._lock:
            return [self._races.judged(race, member, good)]

    def _ruling(self, finish: Finish) -> Ruling:
        rule: Rule = finish.race.arguments[0]
        if finish.error is not None:
            return Ruling(_failed(finish.race, finish.error), finish.race, finish.losers)
        if len(finish.winners) < rule.wins:
            return Ruling(_failed(finish.race, _lost(finish, rule)), finish.race, finish.losers)
        try:
            stored = self._prize(finish, rule)
        except (DaskflowError, OSError) as error:
            return Ruling(_failed(finish.race, error), finish.race, finish.losers)
        names = ", ".join(short(job.key) for job in finish.winners[:5])
        return Ruling(_succeeded(finish.race, stored, f"won by {names}"), finish.race, finish.losers)

    def _prize(self, finish: Finish, rule: Rule) -> Stored:
        if rule.wins == 1:
            winner = finish.winners[0]
            return self._results.complete([winner])[winner.key]
        return self._results.dump([self._results.value(job) for job in finish.winners])

    def _answer(self, answered: Answered) -> Ruling:
        if answered.error is not None:
            outcome = _failed(answered.job, answered.error)
        else:
            reason = answered.event.replace("question.", "")
            outcome = _succeeded(answered.job, self._results.dump(answered.value), reason)
        return Ruling(outcome, event=answered.event, told=answered.told)

    def _ended_runs(self) -> list[Ruling]:
        with self._lock:
            # Each is asked once: a run that ends between two looks would be in neither list.
            looked = [(job, awaited.run, awaited.run.ended, awaited) for job, awaited in self._awaited]
            self._awaited = [(job, awaited) for job, _, ended, awaited in looked if not ended]
        return [Ruling(self._value_of(job, run)) for job, run, ended, _ in looked if ended]

    def _value_of(self, job: Job, run: Any) -> Outcome:
        try:
            return _succeeded(job, self._results.dump(run.result()), f"run {run.id}")
        except RunError as error:
            return _failed(job, error)
        except Exception as error:  # what the body of the flow raised
            return _failed(job, JobFailed(f"The run {run.id} failed: {error!r}"))

    def forget(self, jobs: set[str] | None = None) -> None:
        """Withdraw the questions of some jobs, or all: nobody needs the answers any more."""
        self._questions.withdraw(jobs)


def _succeeded(job: Job, stored: Stored, reason: str) -> Outcome:
    now = time.time()
    return Outcome(job.key, "succeeded", 1, now, now, host=HOST, pid=os.getpid(), value=stored, reason=reason)


def _failed(job: Job, error: BaseException) -> Outcome:
    now = time.time()
    failure = describe(error)
    return Outcome(job.key, "failed", 1, now, now, host=HOST, pid=os.getpid(), failure=failure, reason=failure.message)


def _lost(finish: Finish, rule: Rule) -> RaceLost:
    members = [up for up in finish.race.upstream if isinstance(up, Job)]
    ends = [f"  {short(up.key)}: {up.state}{f', {up.reason}' if up.reason else ''}" for up in members]
    return RaceLost(
        "\n".join(
            [
                f"{len(finish.winners)} of {len(members)} jobs were good enough, and {rule.wins} had to be:",
                *ends[:10],
                *([f"  and {len(ends) - 10} more"] if len(ends) > 10 else []),
            ]
        )
    )
