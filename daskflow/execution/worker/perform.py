"""Performs packages of jobs, on a worker: call, watch, retry, store the result, and record what happened."""

from __future__ import annotations

import contextlib
import os
import pickle
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from daskflow.artifacts.caching.leases import CURRENT_LEASES
from daskflow.artifacts.store import ObjectStore, use_here
from daskflow.errors import NotSerialisable, OutOfMemory
from daskflow.execution.worker.attempt import CURRENT_ATTEMPT, Attempt, current
from daskflow.execution.worker.capture import CURRENT_LOG, HOST, Log, capturing
from daskflow.execution.worker.failures import describe
from daskflow.execution.worker.footprint import Span, cpu_here, footprint, worth_here
from daskflow.execution.worker.gpus import allotted
from daskflow.execution.worker.inputs import check_unchanged
from daskflow.execution.worker.isolation import TAIL, FailedInChild, call_apart
from daskflow.execution.worker.package import ONCE, Assignment, Attempts, Bench, Package
from daskflow.execution.worker.result import ABSENT, LEFT, Missing, Result
from daskflow.execution.worker.retry import jittered
from daskflow.execution.worker.saving import HandedOver
from daskflow.execution.worker.shares import kept_here, share_process
from daskflow.execution.worker.tasks import task_of
from daskflow.execution.worker.usage import Usage, peak_memory
from daskflow.graph.encoding import digest
from daskflow.graph.host import CURRENT_HOST
from daskflow.graph.sequel import Sequel, sequel_of
from daskflow.graph.structure import fill, snapshot
from daskflow.model.outcome import Outcome, Stored
from daskflow.sites.blackbox import black_box
from daskflow.sites.grip import CURRENT_GRIP, Grip, Killed

Made = tuple[Stored, bool, Any]
"""What an attempt gave: its result at rest; whether that holds jobs or flows that the driver has to make first; and the
value itself, or `ABSENT`."""

_PID = os.getpid()
benches: dict[bytes, Bench] = {}
"""That of the run whose jobs were performed here the last time, by its bytes; who has laid out another clears it."""


def perform(package: bytes, *values: Any) -> tuple[Any, bytes, bytes]:
    """Perform one package.

    Parameters
    ----------
    package
        A pickled `Package`.
    *values
        The results that its assignments refer to by position.

    Returns
    -------
    tuple
        The result of the only assignment, or the wanted results by key; the pickled outcomes; and the pickled result,
        in which values that lie in the artifact store stand by their digest.

    Notes
    -----
    Errors of the user's code never leave this function: they are outcomes. So is everything that goes wrong with one
    assignment; the others of the package are performed all the same. Where the node is killed, nothing is recorded of
    the assignment that was being performed, nor of those after it.
    """
    todo: Package = pickle.loads(package)
    with capturing():
        worker = _Worker(_bench(todo.bench), todo.tasks, values)
        box = black_box(worker.bench.boxes)
        try:
            if not (todo.bundle and share_process(todo.assignments) and worker.perform_together(todo.assignments)):
                for assignment in todo.assignments:
                    box.note(todo.node, assignment.key)
                    worker.perform(assignment)
        except Killed:
            worker.give_up(todo.assignments)
        box.clear()
    wanted = {key: worker.results[key] for key in todo.wanted}
    value = wanted if todo.bundle else worker.results[todo.assignments[0].key]
    return value, pickle.dumps(worker.outcomes, protocol=5), pickle.dumps(value, protocol=5)


def load_again(left: bytes) -> Any:
    """The result of a package that was performed before."""
    return pickle.loads(left)


class _Whole(NamedTuple):
    """An attempt that is made by another process from its beginning to its end.

    So all memory that it takes is its own, and nothing large passes between the processes. How long it takes is what
    it takes there: what a process costs has nothing to do with the job, which may be tiny.
    """

    worker: _Worker
    task: Any
    assignment: Assignment
    sources: list[Any]

    def call(self, _: Sequence[Any]) -> tuple[Stored, bool, Span]:
        """Make it, in this process; what it gives but for the value itself, and the time that it took."""
        start, before = time.time(), cpu_here()
        stored, left, _ = self.worker.make(self.task, self.assignment, self.sources, here=True)
        return stored, left, Span(start, time.time(), cpu_here() - before)


class _Together(NamedTuple):
    """The assignments of a bundle, made by another process one after the other."""

    worker: _Worker
    assignments: Sequence[Assignment]
    variables: dict[str, str]

    def call(self, _: Sequence[Any]) -> tuple[dict[str, Result | Missing], list[Outcome]]:
        """Make them, in this process."""
        os.environ.update(self.variables)
        self.worker.apart = True
        self.worker.usage = Usage(beyond=peak_memory())
        for assignment in self.assignments:
            self.worker.perform(assignment)
        return self.worker.results, self.worker.outcomes


class _Worker:
    """Performs the assignments of one package, one after the other."""

    def __init__(self, bench: Bench, tasks: Sequence[bytes], values: Sequence[Any]) -> None:
        self.bench = bench
        self.results: dict[str, Result | Missing] = {}
        self.outcomes: list[Outcome] = []
        self.usage = Usage()
        self.apart = False
        """Whether this process was forked for the package."""
        self._tasks = tasks
        self._given = values
        self._grip = CURRENT_GRIP.get() or Grip("")

    def give_up(self, assignments: Sequence[Assignment]) -> None:
        """Perform nothing more: the node was killed."""
        for assignment in assignments:
            self.results.setdefault(assignment.key, Missing(assignment.key, "cancelled"))

    def perform_together(self, assignments: Sequence[Assignment]) -> bool:
        """Perform tiny assignments in one process of their own; False where that process did not live to the end.

        Nothing is known then, and they have to be performed one by one: only the guilty one fails.
        """
        token = CURRENT_LOG.set(Log(self.bench.logs))
        try:
            with allotted(0) as variables:
                together = _Together(self, assignments, variables)
                self.results, self.outcomes = call_apart(together, [], kept_here(ONCE))
        except (OutOfMemory, ChildProcessError, FailedInChild):
            return False
        finally:
            CURRENT_LOG.reset(token)
        return True

    def perform(self, assignment: Assignment) -> None:
        """Perform one assignment, or say why not."""
        self._grip.check()
        try:
            sources = [self._source(source) for source in assignment.sources]
        except Exception as error:  # the value of a dask collection that does not serialise
            self._refuse(assignment, error)
            return
        missing = next((source for source in sources if type(source) is Missing), None)
        if missing is not None:
            self._skip(assignment.key, missing)
            return
        inputs = digest(",".join([source.stored.digest for source in sources])) if sources else None
        for known, stored in assignment.priors:
            if known == inputs:
                self._reuse(assignment.key, stored, inputs)
                return
        self._attempt(assignment, sources, inputs)

    def _source(self, source: Any) -> Any:
        kind = type(source)
        if kind is int:
            return self._wrapped(self._given[source])
        if kind is str:
            return self.results[source]
        if kind is Stored:
            return Result(source, self.bench.values)
        return self._given[source[0]][source[1]]

    def _wrapped(self, value: Any) -> Any:
        if type(value) is Result or type(value) is Missing:
            return value
        # The value of a dask collection comes as it is; its digest serves early cutoff.
        return Result(self.bench.values.dump(value), self.bench.values, value)

    def _skip(self, key: str, missing: Missing) -> None:
        now = time.time()
        self.results[key] = missing
        if missing.why == LEFT:
            self.outcomes.append(Outcome(key, "waiting", 1, now, now, final=False))
            return
        self.outcomes.append(Outcome(key, "skipped", 1, now, now, reason=f"{missing.key} {missing.why}"))

    def _refuse(self, assignment: Assignment, error: Exception) -> None:
        now = time.time()
        self.results[assignment.key] = Missing(assignment.key, "failed")
        failure = describe(error)
        self.outcomes.append(
            Outcome(assignment.key, "failed", assignment.first, now, now, host=HOST, pid=_PID, failure=failure)
        )

    def _reuse(self, key: str, stored: Stored, inputs: str | None) -> None:
        now = time.time()
        self.results[key] = Result(stored, self.bench.values)
        reason = "its upstream jobs gave the same results as before"
        self.outcomes.append(Outcome(key, "cached", 1, now, now, value=stored, inputs=inputs, reason=reason))

    def _attempt(self, assignment: Assignment, sources: list[Any], inputs: str | None) -> None:
        policy = assignment.attempts if self.apart else kept_here(assignment.attempts)
        if policy is not assignment.attempts:
            assignment = assignment._replace(attempts=policy)
        # An attempt that was handed over is none of these.
        before = assignment.failed - assignment.first + 1
        last = max(assignment.first, policy.retries - before + 1)
        for number in range(assignment.first, last + 1):
            # Another attempt is not to get arguments that this one has changed.
            own = assignment._replace(arguments=snapshot(assignment.arguments)) if number < last else assignment
            outcome, result, error = self._once(own, sources, number, inputs)
            again, reason = False, ""
            if error is not None and number < last:
                again, reason = _again(policy, error, before + number)
            if again or reason:
                outcome = outcome._replace(final=not again, reason=reason)
            self.outcomes.append(outcome)
            self.results[assignment.key] = result
            if not again:
                return
            self._grip.pause(jittered(policy.pauses[before + number - 1], policy.jitter))

    def _once(
        self, assignment: Assignment, sources: list[Any], number: int, inputs: str | None
    ) -> tuple[Outcome, Result | Missing, BaseException | None]:
        key, limits = assignment.key, assignment.attempts
        log = Log(self.bench.logs)
        attempt = Attempt(key, number, self.bench.run, limits.timeout, values=self.bench.values)
        attempt.memory, attempt.basis = limits.memory, limits.basis
        # A synchronous site performs where the flow's body is executed: a task called here belongs to no run.
        leases: list[Callable[[], None]] = []
        tokens = CURRENT_LOG.set(log), CURRENT_ATTEMPT.set(attempt), CURRENT_HOST.set(None), CURRENT_LEASES.set(leases)
        made = failure = error = None
        state = "failed"
        start = time.time()
        self.usage.begin()
        try:
            task = task_of(self._tasks[assignment.task])
            make = self._make_in_place if limits.whole else self.make
            made = make(task, assignment, sources)
            state = "waiting" if made[1] else "succeeded"
            attempt.forget_state()
        except HandedOver:
            state = "waiting"
        except FailedInChild as caught:
            error, failure = caught.error, caught.failure
        except BaseException as caught:
            if isinstance(caught, Killed) or (isinstance(caught, KeyboardInterrupt) and _in_main()):
                raise  # the node was killed, or Ctrl-C was pressed on a synchronous site
            error, failure = caught, describe(caught)
        finally:
            if failure is not None:
                with contextlib.suppress(OSError):  # the traceback is in the record too
                    log.write(failure.traceback.partition(TAIL)[0])
            attempt.close()
            CURRENT_LOG.reset(tokens[0])
            CURRENT_ATTEMPT.reset(tokens[1])
            CURRENT_HOST.reset(tokens[2])
            CURRENT_LEASES.reset(tokens[3])
            for end in leases:
                end()
            cpu, memory = self.usage.end()
            span = attempt.span
            start, stop = (start, time.time()) if span is None else span[:2]
            if span is not None:
                cpu = span.cpu
            if attempt.used is not None:
                cpu, memory = cpu + attempt.used[0], attempt.used[1]
        host, place, cores, asked = footprint(limits)
        outcome = Outcome(
            key,
            state,
            number,
            start,
            stop,
            cpu,
            memory,
            host,
            _PID,
            None if made is None else made[0],
            failure,
            "",
            log.slice(),
            inputs,
            tuple(attempt.reports),
            state != "waiting",
            place,
            cores,
            asked,
            sum([source.stored.size for source in sources]) if sources else 0,
        )
        if state == "waiting":
            if made is None:
                outcome = outcome._replace(wants=worth_here())
                attempt.teller.note("job.handed_over", _told(outcome))
            return outcome, Missing(key, LEFT), None
        if made is None:
            return outcome, Missing(key, "failed"), error
        return outcome, Result(made[0], self.bench.values, made[2]), None

    def _make_in_place(self, task: Any, assignment: Assignment, sources: list[Any]) -> Made:
        """The same in a batch job: with devices of its own, and as a whole in a process of its own."""
        limits, attempt = assignment.attempts, current()
        with allotted(limits.gpus) as attempt.variables:
            if limits.kept:
                return self.make(task, assignment, sources)
            stored, left, attempt.span = call_apart(_Whole(self, task, assignment, sources), [], limits, self.usage)
            return stored, left, ABSENT

    def make(self, task: Any, assignment: Assignment, sources: list[Any], *, here: bool = False) -> Made:
        """Read what a task gets, call it, and store what it gives.

        Parameters
        ----------
        here
            Call it in this thread, whatever the limits say.
        """
        limits = assignment.attempts
        values = [source.value for source in sources]
        arguments = [fill(argument, values) for argument in assignment.arguments]
        value = task.call(arguments) if here or self.apart else self._call(task, arguments, limits)
        if assignment.files:
            check_unchanged(assignment.files)
        stored, left = self._stored(value, limits.cores)
        return stored, left, value

    def _call(self, task: Any, arguments: list[Any], limits: Attempts) -> Any:
        if limits.kept:
            value = task.call(arguments)
            self._grip.check()
            return value
        if limits.apart:
            return call_apart(task, arguments, limits, self.usage)
        return self._grip.call(task.call, arguments)

    def _stored(self, value: Any, cores: int) -> tuple[Stored, bool]:
        """A value at rest, and whether it holds jobs or flows that the driver has to make first."""
        if type(value) is Sequel:
            return self.bench.values.dump(value), True
        try:
            return self.bench.values.dump(value, cores=cores), False
        except NotSerialisable:
            left = sequel_of(value)
            if left is None:
                raise
        return self.bench.values.dump(left), True


def _again(policy: Attempts, error: BaseException, made: int) -> tuple[bool, str]:
    """Whether another attempt follows, and what is to be said to that."""
    if policy.retry is None:
        return isinstance(error, Exception), ""
    try:
        return policy.retry.worth(error, made), ""
    except Exception as second:  # the function is the user's: that it fails does not hide why the job did
        return False, f"not tried again, since retry_on raised {describe(second).type}: {second}"


def _told(outcome: Outcome) -> dict[str, Any]:
    """What is told of an attempt that ended without being recorded as one."""
    seconds = outcome.stop - outcome.start
    return {"attempt": outcome.attempt, "seconds": seconds, "host": outcome.host, "place": outcome.place}


def _in_main() -> bool:
    return threading.current_thread() is threading.main_thread()


def store_here() -> ObjectStore | None:
    """The store of the run whose jobs were performed here the last time; None where none was."""
    return next((bench.values.store for bench in benches.values()), None)


def _bench(packed: bytes) -> Bench:
    found = benches.get(packed)
    if found is None:
        benches.clear()
        found = benches[packed] = pickle.loads(packed)
        use_here(found.values.store)
    return found
