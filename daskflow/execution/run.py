"""A run: one execution of a flow, as its user sees it."""

from __future__ import annotations

import contextlib
import html
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from daskflow.errors import DaskflowError, JobCancelled, RunInterrupted
from daskflow.execution.asking.answers import as_answer, chosen, who_answers
from daskflow.execution.asking.asked import Asked
from daskflow.execution.endings import value_of
from daskflow.execution.engine import Engine
from daskflow.execution.heartbeat import BEAT, Heartbeat
from daskflow.execution.interrupting import interruptible
from daskflow.execution.project import Project
from daskflow.execution.worker.attempt import Body
from daskflow.graph.facts import RunFact
from daskflow.graph.host import CURRENT_HOST, CURRENT_SITE
from daskflow.graph.job import Job
from daskflow.model.records import EventRecord, ReportRecord, RunRecord
from daskflow.model.states import JobState, RunState
from daskflow.sites.site import Keeper

_TOLD = 500
"""So much of an error stands in the event of the end."""

Awaiting = Callable[["Run"], Job]
"""Makes the job that has the value of a run."""


class Run:
    """One execution of a flow. Made by calling the flow or `flow.submit(...)`.

    Notes
    -----
    Safe for threads. The run goes on when nobody waits for it; it ends with the process of its driver, and can then
    be resumed: `daskflow resume RUN`.
    """

    def __init__(
        self, project: Project, record: RunRecord, body: Callable[[], Any], *, awaited: Awaiting, launcher: Any = None
    ) -> None:
        self.id = record.id
        """Sortable by creation."""
        self.flow = record.flow
        """Name of the flow."""
        self._project = project
        self._record = record
        self._body = body
        self._awaiting = awaited
        self._engine = Engine(project, record.id, record.site, launcher)
        self._engine.body = Body(record.id, self._engine.tell, partial(self._engine.report, record.flow))
        self._callbacks: list[Callable[[], None]] = []
        self.seen = False
        """Whether somebody asked for its result, who deals with its failure then."""
        self._done = threading.Event()
        self._stop = threading.Event()
        self._value: Any = None
        self._error: BaseException | None = None
        self._cancelled = False
        self._left = False
        self._state = RunState.running
        self._turning = threading.RLock()
        self._killing = threading.RLock()

    @property
    def state(self) -> RunState:
        """Where the run stands."""
        return self._state

    @property
    def jobs(self) -> list[Job]:
        """The jobs made so far, in the order of the calls."""
        return sorted(self._engine.jobs.copy().values(), key=lambda job: job.number)

    @property
    def reports(self) -> list[ReportRecord]:
        """What its jobs, cached ones included, made for people to look at."""
        return self._project.journal.reports(self.id)

    @property
    def parent(self) -> str:
        """Id of the run whose flow started this one; empty for one that a person started."""
        return self._record.parent

    @property
    def children(self) -> list[Run]:
        """The runs that its flow started."""
        return list(self._engine.children)

    @property
    def ended(self) -> bool:
        """Whether nothing of it goes on."""
        return self._done.is_set()

    @property
    def ordinal(self) -> int:
        """Number among the runs that its parent started."""
        return self._record.ordinal

    @property
    def lasting(self) -> bool:
        """Whether another run of the same would give the same, as far as daskflow knows."""
        return self._engine.lasting

    @property
    def error(self) -> BaseException | None:
        """Why it did not end well."""
        return self._error

    @property
    def succeeded(self) -> RunFact:
        """The condition that the run ends well."""
        return RunFact(self, "succeeded")

    @property
    def failed(self) -> RunFact:
        """The condition that the run fails."""
        return RunFact(self, "failed")

    @property
    def finished(self) -> RunFact:
        """The condition that the run has ended, in whatever way."""
        return RunFact(self, "finished")

    def as_job(self) -> Job:
        """A job that has the value of the run: a run may be an argument of a task."""
        self.seen = True
        return self._awaiting(self)

    def key_text(self) -> str:
        """How the run stands in the keys of those that depend on it."""
        return self.as_job().key_text()

    def events(self, pattern: str = "*") -> list[EventRecord]:
        """What happened, oldest first; `pattern` as in a shell: `job.*`."""
        return self._project.journal.events(self.id, pattern)

    def dashboards(self) -> dict[str, str]:
        """Address of the dask dashboard of each open site, by the site's name."""
        return {site.name: site.address() for site in self._project.opened() if site.address()}

    def counts(self) -> dict[str, dict[str, int]]:
        """How many jobs of each task are in each state."""
        found: dict[str, dict[str, int]] = {}
        for job in self.jobs:
            states = found.setdefault(job.task.policy.name, {})
            states[str(job.state)] = states.get(str(job.state), 0) + 1
        return found

    def wait(self, timeout: float | None = None) -> bool:
        """Block until the run has ended; returns whether it has. Ctrl-C stops the waiting, not the run."""
        return self._done.wait(timeout)

    def result(self, timeout: float | None = None) -> Any:
        """The value of the flow, with the results of jobs in their places; blocks until it is there.

        Raises
        ------
        RunFailed
            Some jobs failed; the message lists them, with the first traceback.
        RunInterrupted
            The run was stopped before its end.
        TimeoutError
            It was not finished in time; it goes on.
        """
        if not self.wait(timeout):
            raise TimeoutError(f"The run {self.id} was not finished within {timeout:g} s.")
        self.seen = True
        if self._error is not None:
            raise self._error
        return self._value

    def cancel(self) -> None:
        """Stop, with all runs that its flow started: returns when nothing of them is alive any more.

        Jobs that did not end are `cancelled`. A run that has ended stays as it is.
        """
        with self._killing:
            if self._stop.is_set():
                return
            self._cancelled = True
            self._engine.fail(JobCancelled(f"The run {self.id} was cancelled."))
            for child in self.children:
                child.cancel()
            self._engine.stop(JobState.cancelled)

    def leave(self, other: RunRecord) -> None:
        """Stop, and write no end: another driver took this one for gone, and goes on with the run.

        The runs that its flow started stop as well; those that nobody else has begun end as `interrupted`.
        """
        self._left = True
        for run in reversed(self._tree()):
            run._engine.fail(RunInterrupted(f"The process {other.pid} on {other.host} goes on with the run {self.id}."))

    def pause(self) -> None:
        """Start no new job, here and in the runs that its flow started; those that run go on to their ends."""
        if self._turn(RunState.paused):
            for child in self.children:
                child.pause()

    def resume(self) -> None:
        """Go on after a pause. A run that has ended is resumed by `daskflow resume RUN`, or by its flow."""
        if self._turn(RunState.running):
            for child in self.children:
                child.resume()

    def _turn(self, state: RunState) -> bool:
        with self._turning:
            # The beat that says so may come while the run already ends.
            if self._stop.is_set() or {self._state, state} != {RunState.running, RunState.paused}:
                return False
            self._state = state
            self._project.journal.update_run(self.id, state=state)
            (self._engine.pause if state is RunState.paused else self._engine.resume)()
            self._engine.tell(f"run.{'paused' if state is RunState.paused else 'resumed'}")
            return True

    def questions(self) -> Asked:
        """The open questions of the run, and of those that its flow started: a list, in a notebook a form for each."""
        return Asked(self._project.journal.questions(self.id, tree=True), self.answer)

    def answer(self, question: str | None = None, /, value: Any = None, **fields: Any) -> None:
        """Answer a question.

        Parameters
        ----------
        question
            Its id, or how that begins; None: the only one that is open.
        value
            The answer: plain data, or a pydantic model. None takes the default, where there is one.
        **fields
            The answer by its fields, where it is a record; others keep their defaults.

        Raises
        ------
        AnswerRefused
            It does not fit, with the reason, and the question stays open; or it was answered already.
        NotFound
            There is no such question, or several are open.
        """
        record = chosen(self.questions(), self.id) if question is None else self._project.journal.question(question)
        answer = as_answer(record, value, fields)
        asker = next((run for run in self._tree() if run.id == record.run), None)
        if asker is not None:
            asker._engine.check_answer(record.id, answer)
        self._project.journal.answer_question(record.id, answer, who_answers())
        if asker is not None:
            asker._engine.nudge()

    def _tree(self) -> list[Run]:
        return [self, *(below for child in self.children for below in child._tree())]

    def subscribe(self, pattern: str, callback: Callable[[EventRecord], None]) -> Callable[[], None]:
        """Have a function called for each event of a kind, as in `qa.*`, while the run goes on.

        Returns
        -------
        callable
            Ends that.
        """
        return self._project.hub.subscribe(pattern, callback, run=self.id)

    def tell(self, callback: Callable[[], None]) -> None:
        """Have a function called when the run has ended; at once, if it has."""
        with self._turning:
            if not self.ended:
                self._callbacks.append(callback)
                return
        callback()

    def execute(self) -> None:
        """Execute the body in this thread, and see all jobs to their end.

        Raises
        ------
        KeyboardInterrupt
            Ctrl-C was pressed. The run is `interrupted`; what was recorded is good. Pressed again while the run is
            being stopped, it ends the program at once.
        """
        with interruptible(), self._project.journal.patience.until(self._engine.hurried):
            self._execute()

    def _execute(self) -> None:
        tokens = CURRENT_HOST.set(self._engine), CURRENT_SITE.set(None)
        self._project.event(self.id, "run.started", site=self._engine.site)
        self._project.writer.own(self.id, self._record.driver)
        beat = Heartbeat(self._project, self, self._engine.note_running, self._record.driver)
        try:
            self._value = value_of(self._body, self._engine, self.id)
            self._state = RunState.succeeded
        except KeyboardInterrupt:
            if self._cancelled:
                self._state, self._error = RunState.cancelled, self._engine.failure
                self._engine.stop(JobState.cancelled)
                return
            self._state = RunState.interrupted
            self._error = self._engine.failure if self._left else self._interrupted()
            for run in self._tree():
                run._engine.hurried.set()
            self._engine.stop()
            raise
        except BaseException as error:
            self._error = error
            self._state = RunState.cancelled if self._cancelled else _state_after(error)
            self._engine.stop(JobState.cancelled if self._cancelled else None)
        finally:
            CURRENT_HOST.reset(tokens[0])
            CURRENT_SITE.reset(tokens[1])
            self._stop.set()
            beat.stop()
            for child in self.children:
                child._stop_with_parent()
            with self._killing:
                # Another thread may still kill what the sites perform: the driver must not end them meanwhile.
                pass
            self._end()

    def _stop_with_parent(self) -> None:
        """End as well, where that has not happened yet: when the parent is resumed, so is this."""
        if not self.ended:
            self._engine.stop()
            for child in self.children:
                child._stop_with_parent()
            # A body that does something else than waiting for jobs ends with the process.
            self.wait(2 * BEAT)

    def _interrupted(self) -> RunInterrupted:
        return RunInterrupted(f"The run was stopped; `daskflow resume {self.id}` goes on where it was.")

    def _end(self) -> None:
        """Write how the run ended; nothing may keep those who wait from hearing of it."""
        self._close_engine()
        try:
            if not self._left and not (self._engine.hurried.is_set() and self._project.hangs):
                self._write_end()
        except DaskflowError as error:
            self._error, self._state = self._error or error, RunState.interrupted
        finally:
            if not self._left:
                self._tell_end()
            with self._turning:
                self._done.set()
                callbacks, self._callbacks = self._callbacks, []
            for callback in callbacks:
                callback()

    def _write_end(self) -> None:
        end = {"state": self._state, "stopped": time.time(), "error": str(self._error or "")[:10000]}
        resumed = self._record.started != self._record.created
        called = {job.number for job in self._engine.jobs.copy().values()} if resumed and self._state.final else None
        # Another driver may have taken this one for gone, and go on with it: then it is no end.
        self._left = not self._project.journal.end_run(self.id, self._record.driver, called=called, **end)
        if not self._left and self._state is not RunState.interrupted:
            for site in self._project.opened():
                if isinstance(site, Keeper):
                    site.conclude(self.id)

    def _close_engine(self) -> None:
        try:
            self._engine.close()
        except Exception as error:  # not everything is recorded, whatever the value of the flow is
            self._error = self._error or error
            self._state = RunState.interrupted if self._state is RunState.succeeded else self._state

    def _tell_end(self) -> None:
        seconds = time.time() - (self._record.started or self._record.created)
        why = {} if self._error is None else {"error": f"{type(self._error).__name__}: {self._error}"[:_TOLD]}
        self._project.event(self.id, f"run.{self._state}", seconds=round(seconds, 3), **why)
        with contextlib.suppress(DaskflowError):  # who waits for the run hears of it another way
            self._project.writer.flush(patient=not self._engine.hurried.is_set())
            self._project.writer.own(self.id, None)

    def __repr__(self) -> str:
        return f"<Run {self.id} {self.state}>"

    def _repr_html_(self) -> str:
        states = list(dict.fromkeys(state for states in self.counts().values() for state in states))
        head = "".join(f"<th>{state}</th>" for state in states)
        rows = "".join(
            f"<tr><td>{html.escape(task)}</td>{''.join(f'<td>{found.get(state, 0)}</td>' for state in states)}</tr>"
            for task, found in self.counts().items()
        )
        links = "".join(
            f' <a href="{html.escape(address)}">{html.escape(name)}</a>' for name, address in self.dashboards().items()
        )
        title = f"<b>{html.escape(self.flow)}</b> <code>{html.escape(self.id)}</code> {self.state}{links}"
        return f"{title}<table><tr><th>task</th>{head}</tr>{rows}</table>"


def _state_after(error: BaseException) -> RunState:
    stopped = isinstance(error, RunInterrupted) or (isinstance(error, DaskflowError) and error.transient)
    return RunState.interrupted if stopped else RunState.failed
