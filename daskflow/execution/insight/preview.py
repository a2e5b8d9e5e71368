"""Looks ahead: what a flow would do, what of it is cached and why the rest is not. Runs nothing."""

from __future__ import annotations

import html
import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from daskflow.errors import ForeignJob
from daskflow.execution.endings import jobs_in, with_results
from daskflow.execution.insight.drawing import Drawing
from daskflow.execution.insight.why import explain
from daskflow.execution.plan import plan
from daskflow.execution.project import Project
from daskflow.graph.drafts import Drafts
from daskflow.graph.facts import AvailableFact
from daskflow.graph.flow import Flow
from daskflow.graph.host import CURRENT_HOST, CURRENT_SITE
from daskflow.graph.job import Job, lineage
from daskflow.model.outcome import Outcome
from daskflow.model.records import JobRecord
from daskflow.model.states import JobState

_EXPLAINED = 50
"""Of each task, the reasons of so many jobs are looked for."""


class PreviewedJob(NamedTuple):
    """What would become of one job."""

    record: JobRecord
    """The job as it would be recorded; its state is `cached`, `queued` (would run) or `skipped` (nobody needs it)."""
    why: str
    """Since when it is known, or what changed since it was last known."""
    seconds: float | None
    """How long it is expected to take, where that was learned [s]."""


class PreviewedTask(NamedTuple):
    """What would become of the jobs of one task."""

    task: str
    states: Counter[str]
    """How many would be in each state."""
    seconds: float
    """How long those that would run take together, as far as it was learned [s]."""
    reasons: list[str]
    """Why they would run, each reason once."""


class Preview(NamedTuple):
    """What a flow would do."""

    flow: str
    jobs: list[PreviewedJob]
    slots: int
    """How many jobs the site performs at a time."""
    open_end: str
    """Where the plan ends early: the job whose result decides what comes next; empty where the plan is complete."""

    def count(self, state: JobState) -> int:
        """How many jobs would be in that state."""
        return sum(job.record.state is state for job in self.jobs)

    @property
    def seconds(self) -> float:
        """Expected time of what would run [s], as far as learned: all work by the slots, or the longest chain."""
        longest: dict[int, float] = {}
        for job in self.jobs:
            above = max((longest.get(number, 0.0) for number in job.record.upstream), default=0.0)
            own = (job.seconds or 0.0) if job.record.state is JobState.queued else 0.0
            longest[job.record.number] = above + own
        total = sum(job.seconds or 0.0 for job in self.jobs if job.record.state is JobState.queued)
        return max(total / max(self.slots, 1), max(longest.values(), default=0.0))

    def tasks(self) -> list[PreviewedTask]:
        """The same by task, in the order of the first calls."""
        found: dict[str, list[PreviewedJob]] = {}
        for job in self.jobs:
            found.setdefault(job.record.task, []).append(job)
        return [_of_task(task, jobs) for task, jobs in found.items()]

    def drawing(self) -> Drawing:
        """The graph of the jobs, as a picture."""
        return Drawing([job.record for job in self.jobs])

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{html.escape(task.task)}</td>"
            + "".join(f"<td>{task.states.get(state) or ''}</td>" for state in _SHOWN)
            + f"<td>{html.escape('; '.join(task.reasons[:2]))}</td></tr>"
            for task in self.tasks()
        )
        head = "".join(f"<th>{name}</th>" for name in ("task", "would run", "cached", "not needed", "why"))
        rest = f" up to {html.escape(self.open_end)}, whose result decides what follows" if self.open_end else ""
        title = f"plan of <b>{html.escape(self.flow)}</b>{rest}, expected time {self.seconds:.1f} s"
        return f"{title}<table><tr>{head}</tr>{rows}</table>"


_SHOWN = (JobState.queued, JobState.cached, JobState.skipped)


def _of_task(task: str, jobs: list[PreviewedJob]) -> PreviewedTask:
    going = [job for job in jobs if job.record.state is JobState.queued]
    states = Counter(str(job.record.state) for job in jobs)
    reasons = list(dict.fromkeys(job.why for job in going))
    return PreviewedTask(task, states, sum(job.seconds or 0.0 for job in going), reasons)


class _Ends(BaseException):
    """The flow asked for a result that is not there; no error handling of the flow may catch this."""

    def __init__(self, what: str) -> None:
        self.what = what


class _Host:
    """Takes jobs as a run would, but performs none."""

    def __init__(self, project: Project) -> None:
        self.id = "preview"
        self.launcher: Any = None
        self.jobs: dict[str, Job] = {}
        self.open_ends: list[str] = []
        """The runs below that go on after what is known."""
        self._project = project
        self._numbers = itertools.count()
        self._occasions = itertools.count()
        self._lent: list[Job] = []
        self._drafts = Drafts()

    def admit(self, job: Job) -> Job:
        for up in lineage([job])[:-1]:
            if up.host is not None and up.host is not self:
                raise ForeignJob()
            if up.host is None:
                self._add(up)
                self._lent.append(up)
        return self._add(job)

    def draft(self, draft: Any) -> None:
        self._drafts.add(draft)

    def _add(self, job: Job) -> Job:
        known = self.jobs.setdefault(job.key, job)
        if job.host is None:
            job.number, job.host = next(self._numbers) if known is job else known.number, self
        return known

    def give_back(self) -> None:
        """Let those jobs go that were made outside: a run may want them."""
        for job in self._lent:
            job.number, job.host, job.state, job.reason, job.record = -1, None, JobState.created, "", None

    def occasion(self, recipe: str) -> str:
        return str(next(self._occasions))

    def start(self, flow: Flow[Any, Any], arguments: Mapping[str, Any], launcher: Any) -> Any:
        return _Foreseen(self, flow, arguments)

    def cancel(self, jobs: Sequence[Job], reason: str) -> None:
        pass

    def watch(self, fact: Any) -> None:
        if isinstance(fact, AvailableFact):
            fact.probe = lambda site, resources: False

    def wait(self, job: Job, timeout: float | None) -> None:
        self.look()
        job.state = self.jobs[job.key].state
        if not job.state.good:
            raise _Ends(job.key)

    def look(self) -> None:
        """Look up all jobs that were not yet."""
        self._drafts.seal(all_threads=True)
        fresh = [job for job in self.jobs.values() if job.state is JobState.created]
        planned = plan(fresh, self._project.journal, self._project.lost)
        for job, known in planned.cached:
            job.state, job.reason, job.record = JobState.cached, f"known since run {known.run}", known

    def value(self, job: Job) -> Any:
        stored = self._project.journal.values([job.key])[job.key]
        return self._project.values.load(stored)

    def outcome(self, job: Job) -> Outcome | None:
        return None

    def log(self, job: Job) -> str:
        return ""


class _Foreseen:
    """A run that the flow would start: its body is looked ahead at once, as far as results are there."""

    def __init__(self, host: _Host, flow: Flow[Any, Any], arguments: Mapping[str, Any]) -> None:
        self._host, self._what = host, f"the run of {flow.name}"
        self._value: Any = None
        self._error: BaseException | None = None
        token = CURRENT_SITE.set(None)
        try:
            self._value = flow.body(arguments)
        except (_Ends, Exception) as error:
            host.open_ends.append(self._what)
            self._error = _Ends(self._what) if isinstance(error, _Ends) else error
        finally:
            CURRENT_SITE.reset(token)

    def result(self, timeout: float | None = None) -> Any:
        if self._error is not None:
            raise self._error
        jobs = {job.key: job for job in jobs_in(self._value)}
        try:
            for job in jobs.values():
                self._host.wait(job, timeout)
        except _Ends:
            raise _Ends(self._what) from None
        return with_results(self._value, {key: self._host.value(job) for key, job in jobs.items()})

    def as_job(self) -> Job:
        raise _Ends(self._what)

    def __getattr__(self, name: str) -> Any:
        # Whatever else is asked of a run is known only when it runs.
        raise _Ends(self._what)


def preview(project: Project, flow: Flow[Any, Any], arguments: Mapping[str, Any], site: str) -> Preview:
    """Execute the body of a flow up to the first result that is not there, and look up all jobs it made."""
    host = _Host(project)
    tokens = CURRENT_HOST.set(host), CURRENT_SITE.set(None)
    open_end = ""
    try:
        try:
            flow.body(arguments)
        except _Ends as end:
            open_end = end.what
        host.look()
        open_end = open_end or next(iter(host.open_ends), "")
        return Preview(flow.name, _previewed(project, host, site), project.site(site).slots, open_end)
    finally:
        CURRENT_HOST.reset(tokens[0])
        CURRENT_SITE.reset(tokens[1])
        host.give_back()


def _previewed(project: Project, host: _Host, site: str) -> list[PreviewedJob]:
    jobs = sorted(host.jobs.values(), key=lambda job: job.number)
    fresh = [job for job in jobs if job.state is JobState.created]
    needed = {job.key for job in plan(jobs, project.journal, project.lost).needed}
    seconds = project.journal.durations({job.task.policy.name for job in fresh})
    reasons: dict[str, list[str]] = {}
    found = []
    for job in jobs:
        record = job_record(job, site)
        if record.state is JobState.cached:
            found.append(PreviewedJob(record, job.reason, None))
        elif job.key not in needed:
            skipped = record.model_copy(update={"state": JobState.skipped})
            found.append(PreviewedJob(skipped, "nobody needs it: what depends on it is known", None))
        else:
            why = _why(project, job, record, reasons)
            record = record.model_copy(update={"state": JobState.queued})
            found.append(PreviewedJob(record, why, seconds.get(job.task.policy.name)))
    return found


def _why(project: Project, job: Job, record: JobRecord, reasons: dict[str, list[str]]) -> str:
    known = reasons.setdefault(job.fingerprint, [])
    # The many jobs of one task mostly run for one reason, and looking for it costs a query each.
    if len(known) < _EXPLAINED:
        known.append("; ".join(explain(project.journal, record, job.task.fingerprint().parts)))
    return known[-1]


def job_record(job: Job, site: str) -> JobRecord:
    """The record of a job of this process."""
    return JobRecord(
        run=job.host.id if job.host else "",
        number=job.number,
        key=job.key,
        task=job.task.policy.name,
        fingerprint=job.fingerprint,
        recipe=job.recipe,
        upstream=tuple(up.number for up in job.upstream if isinstance(up, Job)),
        site=job.site or site,
        state=job.state,
        reason=job.reason,
    )
