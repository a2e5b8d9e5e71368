"""The process that performs one job or workflow."""

from __future__ import annotations

import functools
import operator
import signal
import sys
import threading
import time
from contextlib import suppress
from types import FrameType
from typing import Any, TextIO

from daskflow import CommandJob, flow
from daskflow.compat.prominence.attending import attend
from daskflow.compat.prominence.building import Terms, as_given, build, resources_of, site_of
from daskflow.compat.prominence.documents import JobDocument
from daskflow.compat.prominence.errors import ConnectionError
from daskflow.compat.prominence.expanding import Child, expand
from daskflow.compat.prominence.fitting import check_fit
from daskflow.compat.prominence.ledger import FINAL, Entry, Kind, Output
from daskflow.compat.prominence.reasons import DELETED, SKIPPED, WAITED, Ending, ending_of
from daskflow.compat.prominence.starting import ERR, OUT
from daskflow.compat.prominence.workflowdocuments import WorkflowDocument
from daskflow.errors import DaskflowError, RunFailed

_LOOK = 0.2
"""Between two looks at jobs [s]."""
_TELL = 1.0
"""How a workflow stands is told at most so often [s]."""
_OFTEN, _SELDOM = 1.0, 5.0
"""So often it is looked whether something is asked [s]: after something was, and where nobody asks."""
_ANSWERS = 10.0
"""Answers to what was asked of a job that has ended are waited for so long [s]."""
_MINUTE = 60.0


class _Job:
    """One job that is performed, and what is known of it."""

    def __init__(self, entry: Entry, child: Child) -> None:
        self.entry = entry
        self.child = child
        self.handle: CommandJob | None = None
        self.status = "idle"
        self.reason = ""
        self.waits_since = time.time()
        self.started: float | None = None
        self.asked: list[threading.Thread] = []
        """Those that have done what is asked of it."""
        self.wanted: Ending | None = None
        """How it ends by our own will."""

    @property
    def done(self) -> bool:
        return self.status in FINAL

    @property
    def counts(self) -> bool:
        """Whether those that wait for it may start though a task failed."""
        return self.child.job.policies.report_job_success_on_task_failure


class Performance:
    """Performs a job, or the jobs of a workflow that have not completed yet, in the flow that calls it.

    Parameters
    ----------
    entry
        Where it is told what to do, and tells how it stands.
    round
        How often it was begun before.
    """

    def __init__(self, entry: Entry, round: int = 0) -> None:
        self._entry = entry
        self._round = round
        self._begun = (entry.read("process") or {}).get("begun", 0)
        request = entry.request()
        if entry.kind == "job":
            self._workflow: WorkflowDocument | None = None
            job = JobDocument.model_validate(request["document"])
            self._jobs = [_Job(entry, Child(0, job.name, job))]
        else:
            self._workflow = WorkflowDocument.model_validate(request["document"])
            self._jobs = [_Job(Entry("job", f"{entry.id}.{child.number}"), child) for child in expand(self._workflow)]
        self._started = time.time()
        self._told: dict[str, Any] = {}
        self._next = 0.0
        self._look_at, self._pause = 0.0, _OFTEN
        self._orders: Any = entry.read("orders") if entry.kind == "workflow" else None
        self._asked: set[str] = set()

    def run(self) -> dict[str, str]:
        """Perform; the status of each job, by its id."""
        for job in self._jobs:
            self._begin(job)
        self._tell()
        while pending := [job for job in self._jobs if not job.done]:
            first = next(job for job in pending if job.handle is not None)
            assert first.handle is not None
            with suppress(TimeoutError):
                first.handle.result(_LOOK, raise_on_failure=False)
            for job in pending:
                self._look(job)
            if time.monotonic() >= self._look_at:
                self._pause = _OFTEN if self._obey() else min(1.2 * self._pause, _SELDOM)
                self._look_at = time.monotonic() + self._pause
            if time.monotonic() >= self._next:
                self._next = time.monotonic() + _TELL
                self._tell()
        return {job.entry.id: job.status for job in self._jobs}

    def _begin(self, job: _Job) -> None:
        before = job.entry.read("state") if self._workflow is not None else None
        if before is not None and before["status"] == "completed":
            job.status = "completed"
            return
        if self._workflow is not None and job.entry.has("deleted"):
            self._end(job, Ending("deleted", DELETED))
            return
        above = [self._jobs[number] for number in job.child.parents]
        if any(parent.done and parent.status != "completed" for parent in above):
            self._end(job, Ending("deleted", SKIPPED))
            return
        try:
            waiting = [
                parent.handle.finished if parent.counts else parent.handle.succeeded
                for parent in above
                if parent.handle is not None and not parent.done
            ]
            when = functools.reduce(operator.and_, waiting) if waiting else None
            terms = self._terms(job)
            check_fit(resources_of(job.child.job), site_of(job.child.job, terms))
            job.handle = build(job.child.job, terms, when)
            job.handle.as_job()
        except DaskflowError as error:
            job.handle = None
            self._end(job, ending_of(error), error)
            return
        self._write(job)
        if self._workflow is None:
            follow(job.handle)

    def _terms(self, job: _Job) -> Terms:
        if self._workflow is None:
            return Terms(job.entry.id)
        policies = self._workflow.policies
        # A round of its own key: what failed in the one before is really begun again.
        return Terms(job.entry.id, self._entry.id, policies.maximum_retries, policies.placement, self._round)

    def _look(self, job: _Job) -> None:
        if job.handle is None or job.done:
            return
        state = job.handle.as_job().state
        if state.final:
            self._finish(job)
        elif str(state) == "running" and job.started is None:
            job.started, job.status = time.time(), "running"
            self._write(job)
        elif job.started is None:
            self._mind_queue(job)

    def _mind_queue(self, job: _Job) -> None:
        if not all(self._jobs[number].done for number in job.child.parents):
            # It waits for its turn only from then on.
            job.waits_since = time.time()
        limit = _MINUTE * job.child.job.policies.maximum_time_in_queue
        if 0 < limit < time.time() - job.waits_since:
            self._cancel(job, Ending("failed", WAITED))

    def _cancel(self, job: _Job, ending: Ending) -> None:
        job.wanted = ending
        if job.handle is None:
            self._end(job, ending)
        else:
            job.handle.cancel()

    def _obey(self) -> bool:
        """Delete the jobs of the workflow that are to be deleted alone, and do what is asked; whether there was any."""
        try:
            deleted = self._delete()
            asked = self._entry.asked()
        except ConnectionError as error:  # no reason to give up the jobs: the next look may see it
            print(f"It is not known what is asked: {error}", flush=True)
            return False
        running = {job.entry.id: job for job in self._jobs if job.status == "running"}
        # What is asked of one that is not known to run yet is looked at again.
        new = [(id, token) for id, token in asked if id in running and token not in self._asked]
        for id, token in new:
            self._asked.add(token)
            job = running[id]
            if job.handle is not None:
                job.asked.append(attend(job.entry, job.handle, token))
        return deleted or bool(asked)

    def _delete(self) -> bool:
        """Delete the jobs of the workflow that are to be deleted alone; whether somebody has asked for that."""
        orders = self._entry.read("orders") if self._workflow is not None else None
        if orders == self._orders:
            return False
        for job in [job for job in self._jobs if not job.done]:
            if job.entry.has("deleted"):
                self._cancel(job, Ending("deleted", DELETED))
        # Not before: where the store was away in between it is looked again.
        self._orders = orders
        return True

    def _finish(self, job: _Job) -> None:
        assert job.handle is not None
        deadline = time.monotonic() + _ANSWERS
        for thread in job.asked:
            # What was asked may be what ended it: who has asked is to be told that, and not that it has ended.
            thread.join(max(0.0, deadline - time.monotonic()))
        found = job.handle.result(raise_on_failure=False)
        codes, output = _left(job.handle)
        told = _execution(job, codes)
        for part in ("stdout", "stderr"):
            with suppress(DaskflowError):
                job.entry.write_bytes(part, getattr(job.handle, part)().encode(errors="replace"))
        if not isinstance(found, DaskflowError):
            self._end(job, Ending("completed"), None, output=output, execution=told)
            return
        state = str(job.handle.as_job().state)
        error = found.__cause__ if isinstance(found.__cause__, DaskflowError) else found
        ending = job.wanted or (Ending("deleted", SKIPPED) if state == "skipped" else ending_of(error, codes))
        if job.counts and ending.status == "failed" and any(codes):
            ending = Ending("completed", ending.reason)
        self._end(job, ending, error, output=output, execution=told)

    def _end(self, job: _Job, ending: Ending, error: BaseException | None = None, **told: Any) -> None:
        job.status, job.reason = ending.status, as_given(ending.reason)
        if error is not None:
            told["error"] = as_given(str(error))
        self._write(job, end=time.time(), **told)

    def _write(self, job: _Job, end: float | None = None, **told: Any) -> None:
        events = {"startTime": job.started, "endTime": end}
        if end is not None and job.handle is not None and (outcome := job.handle.outcome) is not None:
            events = {"startTime": outcome.start, "endTime": outcome.stop}
        state = {
            "status": job.status,
            "statusReason": job.reason,
            "begun": self._begun,
            "events": {name: value for name, value in events.items() if value is not None},
            **told,
        }
        job.entry.write("state", state)

    def _tell(self, status: str = "") -> None:
        """How the workflow stands."""
        if self._workflow is None:
            return
        ready = [all(self._jobs[number].status == "completed" for number in job.child.parents) for job in self._jobs]
        waits = [job.status == "idle" or job.reason == SKIPPED for job in self._jobs]
        counts = {
            "total": len(self._jobs),
            "done": sum(job.status == "completed" for job in self._jobs),
            "failed": sum(job.done and job.status != "completed" and job.reason != SKIPPED for job in self._jobs),
            "queued": sum(is_ready and idle for is_ready, idle in zip(ready, waits, strict=True)),
            "waiting": sum(not is_ready and idle for is_ready, idle in zip(ready, waits, strict=True)),
        }
        going = any(job.status != "idle" for job in self._jobs)
        told = {"status": status or ("running" if going else "idle"), "progress": counts, "begun": self._begun}
        if told != self._told:
            self._told = told
            ends = {"endTime": time.time()} if status else {}
            self._entry.write("state", {**told, "events": {"startTime": self._started, **ends}})

    def end(self, status: str) -> None:
        """Tell that the workflow has ended."""
        self._tell(status)


def _left(handle: CommandJob) -> tuple[tuple[int, ...], dict[str, Output]]:
    """The exit codes of a job, and its files; of one that never began there are none."""
    try:
        return handle.exit_codes, {name: Output.of(artifact) for name, artifact in handle.files().items()}
    except DaskflowError:
        return (), {}


def _execution(job: _Job, codes: tuple[int, ...]) -> dict[str, Any]:
    assert job.handle is not None
    outcome = job.handle.outcome
    told: dict[str, Any] = {"tasks": [{"exitCode": code} for code in codes]}
    if outcome is not None:
        told |= {
            "wallTimeUsage": outcome.stop - outcome.start,
            "cpuTimeUsage": outcome.cpu,
            "maxMemoryUsageKB": outcome.memory // 1024,
            "host": outcome.host,
        }
    return told


def follow(handle: CommandJob, out: TextIO | None = None) -> list[threading.Thread]:
    """Print what a job writes while it runs: who asks for it then finds it in the log of this process."""

    def copy(stream: str, mark: str) -> None:
        with suppress(DaskflowError):
            for line in handle.follow(stream):
                print(f"{mark}{line.removesuffix(chr(10))}", file=out or sys.stdout, flush=True)

    made = [threading.Thread(target=copy, args=pair, daemon=True) for pair in (("stdout", OUT), ("stderr", ERR))]
    for thread in made:
        thread.start()
    return made


def lines_of(log: str, mark: str) -> str:
    r"""What a job has written so far, from the log of its process.

    Examples
    --------
    >>> lines_of("1|step 1\n2|trouble\n1|step 2\n", OUT)
    'step 1\nstep 2\n'
    """
    return "".join(line.removeprefix(mark) for line in log.splitlines(keepends=True) if line.startswith(mark))


@flow(name="prominence")
def performed(kind: Kind, id: str, round: int = 0) -> str:
    """Perform a job or workflow; gives how it ended."""
    performance = Performance(Entry(kind, id), round)
    statuses = set(performance.run().values())
    status = "completed" if statuses == {"completed"} else "failed"
    if status == "completed" or round >= reruns(Entry(kind, id)):
        performance.end(status)
    return status


def reruns(entry: Entry) -> int:
    """How often a workflow is begun again by itself."""
    request = entry.request()
    if entry.kind == "job":
        return 0
    return WorkflowDocument.model_validate(request["document"]).policies.maximum_reruns


def main(kind: Kind, id: str) -> None:
    """Perform a job or workflow, and as often again as its policies say.

    Raises
    ------
    SystemExit
        What is asked for cannot be read, or nobody knows who wrote it; the reason is on standard error.
    """
    signal.signal(signal.SIGTERM, _stop)
    try:
        again = reruns(Entry(kind, id))
    except DaskflowError as error:
        raise SystemExit(str(error)) from None
    for round in range(again + 1):
        try:
            status = performed(kind, id, round)
        except RunFailed:
            # Who created it is told by the states of the jobs.
            status = "failed"
        if status == "completed":
            return


def _stop(signum: int, frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise KeyboardInterrupt
