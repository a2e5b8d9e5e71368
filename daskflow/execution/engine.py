"""The engine of one run: takes jobs, plans and submits them, and settles what becomes of them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from daskflow.errors import RunInterrupted, UsageError
from daskflow.execution.admission import Admission
from daskflow.execution.book import Book
from daskflow.execution.canceller import Canceller
from daskflow.execution.clerk import Clerk
from daskflow.execution.dispatcher import Dispatcher
from daskflow.execution.durations import Durations
from daskflow.execution.ear import Ear
from daskflow.execution.family import Family
from daskflow.execution.observer import Observer
from daskflow.execution.placing import Places
from daskflow.execution.planner import Batch, Planner
from daskflow.execution.project import Project
from daskflow.execution.referee import Referee, Ruling
from daskflow.execution.results import Results
from daskflow.execution.roster import Roster
from daskflow.execution.sending.dispatch import Packer
from daskflow.execution.sending.needing import Needing, size_above
from daskflow.execution.unfolding import Unfolder
from daskflow.graph.job import Job
from daskflow.model.outcome import Outcome, ReportItem
from daskflow.model.records import RunRecord
from daskflow.model.states import JobState

FLUSH_AT = 5000
"""So many new jobs are planned and submitted together at the latest."""
BRIEF = 1.0
"""So long who is to end now waits for threads that may hang with the server of the store [s]."""


class Engine:
    """Performs the jobs of one run.

    Parameters
    ----------
    project
        Where things are remembered and performed.
    run
        Id of the run.
    site
        Name of the default site.
    launcher
        Starts the flows that tasks return.

    Notes
    -----
    Any thread may make jobs and wait for them. What the sites tell is handled in one thread of the engine's own, which
    alone changes the states of jobs after they were planned. One lock guards all maps; it is never held while a site
    performs or a store writes.
    """

    def __init__(self, project: Project, run: str, site: str, launcher: Any = None) -> None:
        self.id = run
        self.failure: Exception | None = None
        """Why the run cannot go on; None as long as it can."""
        self.handled: set[str] = set()
        """Keys of failed jobs whose failure the flow has taken note of."""
        self.hurried = threading.Event()
        """Set when the run is to end now, and waits no more for a store that is away."""
        self._patient = partial(project.journal.patience.until, self.hurried)
        self.project = project
        self.launcher = launcher
        self.site = site
        """Name of the default site."""
        self._family = Family(self, lambda: project.journal.children(run))
        self.children = self._family.children
        """The runs that the flow started beside this one."""
        self.body: Any = None
        """What `current()` gives in the body of the flow."""
        # Not that of the project: it takes a new one after a failure, and what this one could not write is missing.
        self._writer = project.writer
        self._book = Book(self._writer, run, project.journal.numbers(run), hub=project.hub)
        needing = Needing(Durations(project.journal, size_of=size_above))
        self.places = Places(project, site, needing)
        packer = Packer(run, project.bench(run), needing)
        self._roster = Roster(self._book, packer, self.places.of, needing, bundling=project.bundling)
        self.jobs = self._roster.jobs
        self._changed = threading.Condition(threading.RLock())
        self._results = Results(project, self._roster.stored, self._changed)
        self._referee = Referee(project.journal, run, self._roster.races, self._results, self._changed)
        self._observer = Observer(project, self._roster, self._changed)
        self._planner = Planner(
            project, self._roster, self._results, observer=self._observer, lock=self._changed, places=self.places
        )
        self._canceller = Canceller(self._roster, self._referee, self._changed, on_end=self.nudge)
        self._clerk = Clerk(f"daskflow-{run}", self._changed, self)
        self._ear = Ear(
            self._roster, self._observer, self._book, self._changed, post=self._clerk.post, on_fail=self.fail
        )
        self._dispatcher = Dispatcher(
            self._roster, self.places, self._changed, listener=self._ear, may_go=lambda: self.failure is None
        )
        self._flushing = threading.RLock()
        self._admission = Admission(self, self._book, self._roster.waiting, self._changed)
        self._unfolder = Unfolder(self, launcher, self._roster, self._results, lock=self._changed)
        self._clerk.start()
        project.watch(self)

    # What jobs ask of their run.

    def admit(self, job: Job) -> Job:
        """Take a new job; where there is one of that key already, this one is returned.

        Raises
        ------
        ForeignJob
            The job depends on one of another run.
        JobCycle
            Its condition tells of a job that depends on it.
        SiteUnknown
            No site is configured by the name that the call gave.
        """
        with self._patient():
            known = self._admission.admit(job)
        if self._admission.count >= FLUSH_AT:
            self.flush()
        return known

    def draft(self, draft: Any) -> None:
        """Take what becomes a job as soon as this thread waits for something, or the flow ends."""
        self._admission.drafts.add(draft)

    def occasion(self, recipe: str) -> str:
        """The how-manieth equal call this is, for tasks that are never remembered."""
        return self._admission.occasion(recipe)

    def meter(self, jobs: Iterable[Job]) -> None:
        """Somebody asks for metrics of these jobs."""
        self._observer.meter(jobs)

    def watch(self, fact: Any) -> None:
        """Tell a fact what is known of it already, and what becomes known."""
        self._observer.watch(fact)

    def start(self, flow: Any, arguments: Mapping[str, Any], launcher: Any) -> Any:
        """Start a run of another flow beside this one; returns it."""
        with self._patient():
            return self._family.start(flow, arguments, launcher)

    def former(self, flow: str, payload: bytes | None) -> RunRecord | None:
        """The run of this flow, with these arguments, that was started here before the run was resumed."""
        return self._family.former(flow, payload)

    def wait(self, job: Job, timeout: float | None = None) -> None:
        """Flush, then block until the job is final.

        Raises
        ------
        TimeoutError
            It was not final in time.
        """
        own = self.jobs[job.key]
        if self._clerk.here and not own.state.final:
            raise UsageError(f"The rule of a race cannot wait for {job.key}: it gets the result that it judges.")
        if self.failure is None or not own.state.final:
            self._canceller.awaited[job.key] += 1
            try:
                self._admission.drafts.seal()
                self.flush([job.key])
                self._wait_until(lambda: own.state.final, timeout, job.key)
            finally:
                self._canceller.awaited[job.key] -= 1
        if own is not job:
            # An equal call outside of any flow: it made a job of its own, before the session was asked.
            job.host, job.number, job.attempts = self, own.number, own.attempts
            job.state, job.reason, job.record = own.state, own.reason, own.record
        if not job.state.good:
            self.handled.add(job.key)

    def expect(self, jobs: Sequence[Job]) -> None:
        """The results of these jobs are wanted at the end: no race may have them killed."""
        self._canceller.expected = jobs

    def wait_all(self) -> None:
        """Flush, then block until everything that was submitted is final."""
        self._admission.drafts.seal(all_threads=True)
        self.flush()
        self._wait_until(lambda: self._roster.open == 0, None, "the run")

    def _wait_until(self, done: Callable[[], bool], timeout: float | None, what: str) -> None:
        with self._changed:
            if not self._changed.wait_for(lambda: done() or self.failure is not None, timeout):
                raise TimeoutError(f"{what} was not finished within {timeout:g} s.")
            if not done() and self.failure is not None:
                raise self.failure

    def value(self, job: Job) -> Any:
        """The result of a job that succeeded; a new object at each call."""
        with self._patient():
            return self._results.value(job)

    @property
    def lasting(self) -> bool:
        """Whether other runs would get the same: nothing is made of a failure, or was asked, or is never remembered."""
        return not self._roster.taints.keys and self._family.lasting

    def gather(self, jobs: Iterable[Job]) -> dict[str, Any]:
        """The results of jobs that succeeded, by key."""
        with self._patient():
            return self._results.gather(jobs)

    def outcome(self, job: Job) -> Outcome | None:
        """What the latest attempt left."""
        return job.record if isinstance(job.record, Outcome) else None

    def log(self, job: Job) -> str:
        """What the job logged and printed, in this run."""
        self._writer.flush()
        return self.project.log_of(self.id, job.number)

    # Flushing.

    def flush(self, asked: Sequence[str] = ()) -> None:
        """Plan all jobs made so far, and submit what has to run.

        Raises
        ------
        DaskflowError
            The run cannot go on.
        """
        with self._patient(), self._flushing:
            with self._changed:
                if self.failure is not None:
                    raise self.failure
                new = self._admission.taken()
                again = [self.jobs[key] for key in asked if self.jobs[key].state is JobState.created]
                self._planner.ask(asked)
            fresh = {job.key for job in new} if again else set()
            again = [job for job in again if job.key not in fresh]
            if new or again:
                self._plan(Batch([*again, *new], asked))
            if self._dispatcher.due:
                self._dispatcher.dispatch()
        waiting = self._roster.waiting
        left = len(waiting) or waiting.changed or self._roster.sequels.changed or self._unfolder.asks
        if left or self._admission.count or self._dispatcher.down:
            # While this was going on, the engine's own thread could not plan what waits no more, nor end the run.
            self.nudge()

    def _plan(self, batch: Batch) -> None:
        """Plan jobs, and those that wait no more by that."""
        try:
            while batch.jobs:
                self._begin(self._planner.plan(batch))
                self._dispatcher.due = True
                batch = self._planner.next()
        except Exception as error:  # half planned jobs would never be final
            self.fail(error)
            if self.failure is None or self.failure is error:
                raise
            raise self.failure from error

    def _begin(self, jobs: list[Job]) -> None:
        asked = self._referee.begin(jobs)
        for job in jobs:
            self._observer.replay(job)
        for record in asked:
            with self._changed:
                self._book.event("question.asked", id=record.id, prompt=record.prompt)

    def fail(self, error: Exception) -> None:
        """Stop: the run cannot go on."""
        with self._changed:
            self.failure = self.failure or error
            self._changed.notify_all()

    def patience(self) -> float | None:
        """How long the engine's thread may sleep [s]."""
        clocks = (self._roster.waiting.patience, self._referee.patience, self._dispatcher.patience)
        times = [time for time in clocks if time is not None]
        return min(times) if times and self.failure is None else None

    def settle(self) -> None:
        """Go on with what has changed."""
        with self._patient():
            self._settle()
            if self._roster.held:
                self._dispatcher.dispatch()
            # While jobs are being planned it is not known what they wait for.
            if self._dispatcher.down and not self._unfolder.asks and self._flushing.acquire(blocking=False):
                try:
                    self._dispatcher.look_for_end()
                finally:
                    self._flushing.release()
            if self._referee.releasing:
                self._dispatcher.rest()

    def _settle(self) -> None:
        """Decide what can be decided, and plan what waits no more."""
        self._observer.ask_sites()
        with self._changed:
            self._roster.waiting.look()
        while self.failure is None:
            rulings = [*self._referee.work(), *self._unfolder.work()]
            for ruling in rulings:
                self._apply(ruling)
            if not rulings and not self._roster.waiting.changed and not self._unfolder.asks:
                return
            # Whoever flushes just now does this as well, and may be performing jobs on a synchronous site.
            if self._flushing.acquire(blocking=False):
                try:
                    if self._unfolder.asks:
                        self.flush(self._unfolder.asked())
                    self._plan(self._planner.next())
                finally:
                    self._flushing.release()
            elif not rulings:
                return

    def _apply(self, ruling: Ruling) -> None:
        with self._changed:
            if ruling.event:
                self._book.event(ruling.event, **ruling.told)
            if ruling.outcome is not None:
                self._roster.end(ruling.outcome)
                self._changed.notify_all()
        self._canceller.drop(ruling.losers, ruling.race)

    # What people and other runs tell it.

    def nudge(self) -> None:
        """Something outside that jobs may wait for has changed."""
        self._clerk.post(lambda: None)

    def tell(self, kind: str, data: str = "{}") -> None:
        """Something happened to the run, or in its flow; `data` is the JSON text of an object."""
        with self._changed:
            self._book.emitted("", kind, data, time.time())
            self._roster.write()

    def report(self, flow: str, ordinal: int, item: ReportItem) -> None:
        """The body of the flow made a report."""
        with self._changed:
            self._book.reported(flow, ordinal, item)
            self._roster.write()

    def check_answer(self, question: str, answer: str) -> None:
        """See whether an answer fits; AnswerRefused says why it does not."""
        self._referee.check_answer(question, answer)

    def cancel(self, jobs: Sequence[Job], reason: str) -> None:
        """Stop jobs; returns when nothing of them is alive any more. Those that are final stay as they are."""
        self._canceller.cancel(jobs, reason)

    @property
    def paused(self) -> bool:
        """Whether no job starts at the moment."""
        return self._dispatcher.paused

    def pause(self) -> None:
        """No new job starts; those that run go on to their ends."""
        self._dispatcher.pause()

    def resume(self) -> None:
        """Jobs start again."""
        self._dispatcher.resume()
        self.nudge()

    # The end.

    def note_running(self) -> None:
        """Bring the state `running` up to date."""
        for site in self.places.all():
            keys = site.running()
            with self._changed:
                self._roster.running(keys)

    def stop(self, state: JobState | None = None) -> None:
        """Kill everything that is not final; jobs get the given state, or stay as they are to be resumed."""
        self.fail(RunInterrupted(f"The run {self.id} was stopped; `daskflow resume {self.id}` goes on where it was."))
        if state is None:
            self._dispatcher.detach()
        self._canceller.stop(state)

    def close(self) -> None:
        """End the engine's thread and write what is left.

        Raises
        ------
        StoreError
            Not everything could be written.
        """
        self.fail(RunInterrupted(f"The run {self.id} has ended: it takes no jobs any more."))
        longest = BRIEF if self.hurried.is_set() and self._writer.hangs() else None
        self._clerk.stop(longest)
        self._canceller.join(longest)
        self._dispatcher.leave()
        self._writer.flush(patient=not self.hurried.is_set())
