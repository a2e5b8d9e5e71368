"""A run: one execution of a flow, as its user sees it."""

from __future__ import annotations

import html
import signal
import threading
import time
from collections.abc import Callable, Mapping
from operator import methodcaller
from typing import Any

from daskflow.errors import DaskflowError, JobCancelled, RunError, RunFailed, RunInterrupted
from daskflow.execution.engine import Engine
from daskflow.execution.project import Project
from daskflow.graph.host import CURRENT_HOST, CURRENT_SITE
from daskflow.graph.job import Job, Part
from daskflow.graph.structure import transform
from daskflow.model.records import EventRecord, ReportRecord, RunRecord
from daskflow.model.states import JobState, RunState

BEAT = 1.0
"""How often a run says that it lives, and looks whether it was cancelled from elsewhere [s]."""
_LISTED = 20


class Run:
    """One execution of a flow. Made by calling the flow or `flow.submit(...)`.

    Notes
    -----
    Safe for threads. The run goes on when nobody waits for it; it ends with the process of its driver, and can then
    be resumed: `daskflow resume RUN`.
    """

    def __init__(self, project: Project, record: RunRecord, body: Callable[[], Any]) -> None:
        self.id = record.id
        """Sortable by creation."""
        self.flow = record.flow
        """Name of the flow."""
        self._project = project
        self._record = record
        self._body = body
        self._engine = Engine(project, record.id, record.site)
        self._done = threading.Event()
        self._stop = threading.Event()
        self._value: Any = None
        self._error: BaseException | None = None
        self._cancelled = False
        self._in_main = False
        self._state = RunState.running

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
        if self._error is not None:
            raise self._error
        return self._value

    def cancel(self) -> None:
        """Stop: no further job starts, those that did not end are `cancelled`. A run that has ended stays as it is."""
        if self._stop.is_set():
            return
        self._cancelled = True
        self._engine.fail(JobCancelled(f"The run {self.id} was cancelled."))
        self._engine.stop(JobState.cancelled)

    def execute(self) -> None:
        """Execute the body in this thread, and see all jobs to their end.

        Raises
        ------
        KeyboardInterrupt
            Ctrl-C was pressed. The run is `interrupted`; what was recorded is good.
        """
        tokens = CURRENT_HOST.set(self._engine), CURRENT_SITE.set(None)
        self._in_main = threading.current_thread() is threading.main_thread()
        beat = threading.Thread(target=self._beat, name=f"daskflow-beat-{self.id}", daemon=True)
        beat.start()
        try:
            self._value = self._attempt()
            self._state = RunState.succeeded
        except KeyboardInterrupt:
            if self._cancelled:
                self._state, self._error = RunState.cancelled, self._engine.failure
                self._engine.stop(JobState.cancelled)
                return
            self._state, self._error = RunState.interrupted, self._interrupted()
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
            self._end()

    def _attempt(self) -> Any:
        try:
            value = self._body()
        except Exception as error:
            # One failed job takes down only what depends on it: the others go on to their ends.
            self._settle_rest(error)
            failed = self._failed()
            if isinstance(error, RunError) and failed:
                raise self._failure(failed) from error
            raise
        self._engine.wait_all()
        jobs = _jobs_in(value)
        bad = [job for job in jobs if not (job.state.good or self._final(job).state.good)]
        failed = [job for job in self._failed() if job.key not in self._engine.handled or job in bad]
        if failed or bad:
            raise self._failure(failed or bad) from (failed or bad)[0].error().__cause__
        results = self._engine.gather({job.key: job for job in jobs}.values())
        return transform(value, lambda leaf: _result_of(leaf, results))

    def _settle_rest(self, error: Exception) -> None:
        try:
            self._engine.wait_all()
        except DaskflowError as second:
            if second is not error:
                raise second from error

    def _final(self, job: Job) -> Job:
        self._engine.wait(job)
        return job

    def _failed(self) -> list[Job]:
        return [job for job in self.jobs if job.state is JobState.failed]

    def _failure(self, failed: list[Job]) -> RunFailed:
        skipped = sum(job.state is JobState.skipped for job in self.jobs)
        lines = [f"{len(failed)} of the {len(self.jobs)} jobs of run {self.id} failed, {skipped} were skipped:"]
        lines += [f"  {_summary(job)}" for job in failed[:_LISTED]]
        if len(failed) > _LISTED:
            lines.append(f"  and {len(failed) - _LISTED} more: `daskflow show {self.id}` lists them all")
        first = failed[0].outcome
        if first is not None and first.failure is not None:
            lines.append(f"{failed[0].key} raised:\n{first.failure.traceback}")
        return RunFailed("\n".join(lines))

    def _interrupted(self) -> RunInterrupted:
        return RunInterrupted(f"The run was stopped; `daskflow resume {self.id}` goes on where it was.")

    def _end(self) -> None:
        """Write how the run ended; nothing may keep those who wait from hearing of it."""
        try:
            self._engine.close()
            text = str(self._error or "")[:10000]
            self._project.journal.update_run(self.id, state=self._state, stopped=time.time(), error=text)
        except DaskflowError as error:
            self._error, self._state = self._error or error, RunState.interrupted
        finally:
            self._done.set()

    def _beat(self) -> None:
        while not self._stop.wait(BEAT):
            try:
                self._project.writer.call(methodcaller("heartbeat", self.id, time.time()))
                self._engine.note_running()
                if self._project.journal.run(self.id).state is RunState.cancelled:
                    self.cancel()
                    self._wake()
                    return
            except DaskflowError:  # a store that does not answer: the writer will say so
                continue

    def _wake(self) -> None:
        """Reach a body that does not wait for jobs: it sleeps or computes, or performs a job on a synchronous site."""
        if self._in_main and not self._stop.wait(2 * BEAT):
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

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


def _jobs_in(value: Any) -> list[Job]:
    found: list[Job] = []

    def leaf(item: Any) -> Any:
        if isinstance(item, Job):
            found.append(item)
        elif isinstance(item, Part):
            found.append(item.job())
        return item

    transform(value, leaf)
    return found


def _result_of(leaf: Any, results: Mapping[str, Any]) -> Any:
    if isinstance(leaf, Job):
        return results[leaf.key]
    return leaf.of(results[leaf.job().key]) if isinstance(leaf, Part) else leaf


def _summary(job: Job) -> str:
    outcome = job.outcome
    if outcome is not None and outcome.failure is not None:
        return f"{job.key}: {outcome.failure.type}: {outcome.failure.message.partition(chr(10))[0]}"
    return f"{job.key}: {job.state}: {job.reason}"
