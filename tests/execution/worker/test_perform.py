from __future__ import annotations

import asyncio
import json
import os
import pickle
import signal
import sys
import threading
import time
import types
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
import pytest

from daskflow.artifacts.store import ObjectStore
from daskflow.artifacts.values import Values
from daskflow.errors import CodeMismatch, NotInTask
from daskflow.execution.worker.attempt import current
from daskflow.execution.worker.capture import read_log
from daskflow.execution.worker.package import ONCE, Assignment, Attempts, Bench, Package, Shipped, Source, pack
from daskflow.execution.worker.perform import load_again, perform
from daskflow.execution.worker.result import ABSENT, LEFT, Missing, Result
from daskflow.execution.worker.retry import Retry
from daskflow.graph import host
from daskflow.graph.encoding import digest
from daskflow.graph.structure import Nest, Slot
from daskflow.graph.task import Task
from daskflow.model.outcome import Live, Outcome
from daskflow.model.policy import Policy
from daskflow.sites import grip
from daskflow.sites.blackbox import HOST, last_notes
from daskflow.sites.grip import Grip, gripping, kill_here
from tests.execution.counting import count, counted
from tests.execution.handmade import stored
from tests.execution.worker.conftest import Settle

VALUES = Values(None)


class Worker:
    """Performs packages in this process."""

    def __init__(self, directory: Path) -> None:
        self.logs = directory / "logs"
        self.boxes = directory / "boxes"
        self.bench = pickle.dumps(Bench("a-run", VALUES, str(self.logs), str(self.boxes)))
        self.value: Any = None
        self.again = b""

    def perform(
        self, tasks: list[Any], *assignments: Assignment, given: tuple[Any, ...] = (), wanted: tuple[str, ...] = ()
    ) -> list[Outcome]:
        packed = tuple([task if isinstance(task, bytes) else shipped(task) for task in tasks])
        bundle = len(assignments) > 1
        package = Package("a-node", self.bench, packed, assignments, wanted, bundle=bundle)
        self.value, records, self.again = perform(pack(package, plain=False), *given)
        outcomes: list[Outcome] = pickle.loads(records)
        return outcomes

    def one(self, function: Any, *arguments: Any, **fields: Any) -> Outcome:
        given = fields.pop("given", ())
        *_, last = self.perform([function], Assignment("one", 0, list(arguments), **fields), given=given)
        return last

    def log(self, outcome: Outcome) -> str:
        return read_log(self.logs, *outcome.log) if outcome.log else ""


def shipped(function: Any) -> bytes:
    made: bytes = cloudpickle.dumps(Shipped(Task(function, Policy(name="work")), {}))
    return made


def result(value: Any) -> Result:
    return Result(VALUES.dump(value), VALUES, value)


def loaded(outcome: Outcome) -> Any:
    assert outcome.value is not None, outcome.failure
    return VALUES.load(outcome.value)


@pytest.fixture
def worker(tmp_path: Path) -> Worker:
    return Worker(tmp_path)


def test_a_single_job(worker: Worker) -> None:
    before = time.time()
    outcome = worker.one(lambda x, y: print("adding") or x + y, 1, 2)
    assert loaded(outcome) == 3
    assert (outcome.key, outcome.state, outcome.attempt, outcome.final) == ("one", "succeeded", 1, True)
    assert before <= outcome.start <= outcome.stop <= time.time()
    assert outcome.pid == os.getpid()
    assert outcome.memory > 0
    assert worker.log(outcome) == "adding\n"
    assert worker.value.value == 3
    assert load_again(worker.again).value == 3
    assert len(pickle.loads(worker.again).__reduce__()[1]) == 2, "as its digest, not as itself"


def test_sources_of_all_four_kinds(worker: Worker) -> None:
    def collect(*values: Any) -> list[Any]:
        return list(values)

    outcomes = worker.perform(
        [lambda x: x + 1, lambda values: values],
        Assignment("first", 0, [10]),
        Assignment(
            "second",
            1,
            [Nest([Slot(0), Slot(1), Slot(2, (("item", "a"),)), Slot(3)])],
            (0, (1, "other"), VALUES.dump({"a": 3}), "first"),
        ),
        given=(result("single"), {"other": result("member")}),
        wanted=("second",),
    )
    assert loaded(outcomes[1]) == ["single", "member", 3, 11]
    assert list(worker.value) == ["second"], "only what others need"


def test_what_a_job_does_to_its_arguments_reaches_no_other(worker: Worker) -> None:
    def spoil(data: list[int]) -> int:
        data.append(0)
        return len(data)

    make, given, raw = Assignment("make", 0, []), result([1, 2, 3]), [1, 2, 3, 4]
    sources: tuple[Source, ...] = ("make", 0, 1)
    jobs = [Assignment(f"{n}-{i}", 1, [Slot(0)], (source,)) for i, source in enumerate(sources) for n in range(2)]
    outcomes = worker.perform([lambda: [1, 2], spoil], make, *jobs, given=(given, raw), wanted=("make",))
    assert [loaded(outcome) for outcome in outcomes[1:]] == [3, 3, 4, 4, 5, 5]
    assert worker.value["make"].value == [1, 2]
    assert raw == [1, 2, 3, 4]


def test_each_attempt_has_arguments_of_its_own(worker: Worker) -> None:
    def spoil(data: list[int], more: list[int]) -> tuple[int, int]:
        data.append(0)
        more.append(0)
        if current().number < 3:
            raise OSError
        return len(data), len(more)

    given = result([1])
    outcome = worker.one(
        spoil, Slot(0), [1, 2], sources=(0,), given=(given,), attempts=Attempts(retries=2, pauses=(0.0, 0.0))
    )
    assert loaded(outcome) == (2, 3)


def test_the_plain_value_of_a_dask_collection(worker: Worker) -> None:
    outcome = worker.one(lambda x: x * 2, Slot(0), sources=(0,), given=([1, 2],))
    assert loaded(outcome) == [1, 2, 1, 2]
    assert outcome.inputs == digest(VALUES.dump([1, 2]).digest)


def test_a_collection_whose_value_does_not_serialise_fails_its_job_only(worker: Worker) -> None:
    outcomes = worker.perform(
        [lambda x: x], Assignment("bad", 0, [Slot(0)], (0,)), Assignment("good", 0, [1]), given=(threading.Lock(),)
    )
    assert [(outcome.key, outcome.state) for outcome in outcomes] == [("bad", "failed"), ("good", "succeeded")]
    assert outcomes[0].failure is not None
    assert "NotSerialisable" in outcomes[0].failure.type


def test_what_depends_on_nothing_is_skipped_and_says_why(worker: Worker) -> None:
    missing = Missing("parse-1", "failed")
    outcomes = worker.perform(
        [lambda x: x],
        Assignment("one", 0, [Slot(0)], (0,)),
        Assignment("two", 0, [Slot(0)], ("one",)),
        Assignment("three", 0, [3]),
        given=(missing,),
        wanted=("two",),
    )
    assert [(o.state, o.reason) for o in outcomes] == [
        ("skipped", "parse-1 failed"),
        ("skipped", "parse-1 failed"),
        ("succeeded", ""),
    ]
    assert worker.value == {"two": missing}


def test_a_failure_in_a_bundle_leaves_the_others_alone(worker: Worker) -> None:
    outcomes = worker.perform(
        [lambda x: 10 // x],
        *[Assignment(f"job-{x}", 0, [x]) for x in (2, 0, 5)],
        Assignment("after", 0, [Slot(0)], ("job-0",)),
    )
    assert [o.state for o in outcomes] == ["succeeded", "failed", "succeeded", "skipped"]
    assert outcomes[1].failure is not None
    assert outcomes[1].failure.type == "ZeroDivisionError"
    assert worker.log(outcomes[1]).startswith("Traceback")


def test_an_earlier_result_of_the_same_inputs_is_taken(worker: Worker) -> None:
    source = VALUES.dump(7)
    inputs = digest(source.digest)
    earlier = VALUES.dump("earlier")
    outcome = worker.one(
        lambda x: "anew", Slot(0), sources=(source,), priors=(("other inputs", stored()), (inputs, earlier))
    )
    assert (outcome.state, loaded(outcome), outcome.inputs) == ("cached", "earlier", inputs)
    assert worker.value.value == "earlier"
    outcome = worker.one(lambda x: "anew", Slot(0), sources=(source,), priors=(("other inputs", stored()),))
    assert (outcome.state, loaded(outcome)) == ("succeeded", "anew")


def test_retries(worker: Worker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    notes = str(tmp_path)
    pauses: list[float] = []
    monkeypatch.setattr(Grip, "pause", lambda grip, pause: pauses.append(pause))

    def flaky(limit: int) -> int:
        count(notes, "tried")
        if current().number < limit:
            raise OSError(f"attempt {current().number}")
        return current().number

    policy = Attempts(3, Retry((OSError,)), (0.5, 1.0, 2.0))
    outcomes = worker.perform([flaky], Assignment("one", 0, [7], attempts=policy, first=5))
    assert [(o.attempt, o.state, o.final) for o in outcomes] == [
        (5, "failed", False),
        (6, "failed", False),
        (7, "succeeded", True),
    ]
    assert pauses == [0.5, 1.0]
    assert "attempt 6" in worker.log(outcomes[1])
    assert "attempt 5" not in worker.log(outcomes[1])
    assert counted(tmp_path)["tried"] == 3


def test_retries_end(worker: Worker) -> None:
    policy = Attempts(1, Retry((OSError,)), (0.0,))
    outcomes = worker.perform([lambda: os.stat("/nowhere/at/all")], Assignment("one", 0, [], attempts=policy))
    assert [(o.attempt, o.final) for o in outcomes] == [(1, False), (2, True)]
    outcomes = worker.perform([lambda: 1 / 0], Assignment("one", 0, [], attempts=policy))
    assert [(o.attempt, o.final) for o in outcomes] == [(1, True)], "another error"
    assert worker.value == Missing("one", "failed")


def test_what_failed_before_counts(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(Grip, "pause", lambda grip, pause: pauses.append(pause))
    policy = Attempts(3, Retry(lambda error, attempts: attempts in (2, 3)), (0.5, 1.0, 2.0))
    for failed, numbers in ((1, [7, 8, 9]), (3, [7]), (5, [7])):
        made = worker.perform([lambda: 1 / 0], Assignment("one", 0, [], attempts=policy, first=7, failed=failed))
        assert [outcome.attempt for outcome in made] == numbers
        assert made[-1].final
    assert pauses == [1.0, 2.0]


def test_a_function_decides_on_retries(worker: Worker) -> None:
    def busy() -> None:
        raise OSError("busy" if current().number < 7 else "broken")

    policy = Attempts(9, Retry(lambda error, attempts: str(error) == "busy" and attempts < 5), (0.0,) * 9)
    outcomes = worker.perform([busy], Assignment("one", 0, [], attempts=policy, first=5))
    assert [(o.attempt, o.final) for o in outcomes] == [(5, False), (6, False), (7, True)]
    outcomes = worker.perform([busy], Assignment("one", 0, [], attempts=policy))
    assert [o.final for o in outcomes] == [False, False, False, False, True], "attempts of this round count"


def test_a_function_that_fails_makes_no_further_attempt(worker: Worker) -> None:
    policy = Attempts(3, Retry(lambda error, attempts: bool(1 / 0)), (0.0,) * 3)
    outcomes = worker.perform([lambda: _raise(OSError("busy"))], Assignment("one", 0, [], attempts=policy))
    assert [(o.final, o.reason) for o in outcomes] == [
        (True, "not tried again, since retry_on raised ZeroDivisionError: division by zero")
    ]
    assert outcomes[0].failure is not None
    assert outcomes[0].failure.message == "busy"


def test_pauses_are_jittered(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(Grip, "pause", lambda grip, pause: pauses.append(pause))
    policy = Attempts(20, None, (8.0,) * 20, jitter=0.5)
    worker.perform([lambda: 1 / 0], Assignment("one", 0, [], attempts=policy))
    assert len(set(pauses)) == 20
    assert all(4 <= pause <= 12 for pause in pauses)


def test_of_a_killed_package_what_ended_is_told(worker: Worker) -> None:
    def work(x: int) -> int:
        if x == 1:
            kill_here(["node"])
        return x

    with gripping("node", lambda record: None):
        outcomes = worker.perform(
            [work], *[Assignment(f"job-{x}", 0, [x]) for x in range(3)], wanted=("job-0", "job-2")
        )
    grip._doomed.clear()
    assert [(o.key, o.state) for o in outcomes] == [("job-0", "succeeded")]
    assert worker.value["job-2"] == Missing("job-2", "cancelled")
    assert last_notes(str(worker.boxes), HOST, os.getpid()) == {}


@pytest.mark.parametrize("limits", [{}, {"isolated": True}])
def test_what_a_task_tells_goes_out_while_it_runs(worker: Worker, limits: Any) -> None:
    told: list[Any] = []

    def work() -> None:
        current().emit("qa.low", score=1)
        current().report.metric("chisq", 2.0)

    with gripping("node", lambda record: told.extend(pickle.loads(record))):
        outcome = worker.one(work, attempts=Attempts(**limits))
    assert [(item.key, item.kind, item.name) for item in told] == [
        ("one", "event", "qa.low"),
        ("one", "metric", "chisq"),
    ]
    assert [item.title for item in outcome.reports] == ["chisq"]


def test_events_that_cannot_be_fail_their_task(worker: Worker) -> None:
    outcome = worker.one(lambda: current().emit("qa.low", image=object()))
    assert outcome.failure is not None
    assert outcome.failure.message.startswith("image of an event has the type object, which has no JSON")


def test_the_log_is_not_repeated_in_itself(worker: Worker) -> None:
    outcome = worker.one(lambda: print("once") or threading.Event().wait(600), attempts=Attempts(timeout=0.5))
    assert outcome.failure is not None
    assert outcome.failure.message.endswith("Its log ended with:\nonce")
    assert worker.log(outcome).count("once") == 1


class Unpicklable(Exception):
    def __reduce__(self) -> Any:
        raise TypeError("stays here")


def _raise(error: BaseException) -> None:
    raise error


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: sys.exit(3), "SystemExit"),
        (lambda: _raise(Unpicklable("odd")), "Unpicklable"),
        (lambda: _raise(asyncio.CancelledError()), "asyncio.exceptions.CancelledError"),
        (lambda: threading.Lock(), "daskflow.errors.NotSerialisable"),  # noqa: PLW0108
        (lambda: _raise(GeneratorExit()), "GeneratorExit"),
    ],
)
def test_nothing_that_a_task_raises_leaves_perform(worker: Worker, make: Any, name: str) -> None:
    outcome = worker.one(make)
    assert outcome.state == "failed"
    assert outcome.failure is not None
    assert outcome.failure.type.endswith(name)
    assert worker.value == Missing("one", "failed")


def test_ctrl_c_in_the_main_thread_does(worker: Worker) -> None:
    with pytest.raises(KeyboardInterrupt):
        worker.one(lambda: _raise(KeyboardInterrupt()))
    assert loaded(worker.one(lambda: "goes on")) == "goes on"
    outcomes: list[Outcome] = []
    thread = threading.Thread(target=lambda: outcomes.append(worker.one(lambda: _raise(KeyboardInterrupt()))))
    thread.start()
    thread.join(10)
    assert outcomes[0].state == "failed", "in a thread it is the task's own"


def test_a_task_whose_module_is_missing_here(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    away = types.ModuleType("away")
    exec("def work(x):\n    return x\n", away.__dict__)
    monkeypatch.setitem(sys.modules, "away", away)
    packed = pickle.dumps(Shipped(away.__dict__["work"], {}))
    monkeypatch.delitem(sys.modules, "away")
    outcomes = worker.perform([packed, lambda x: x], Assignment("bad", 0, [1]), Assignment("good", 1, [2]))
    assert [o.state for o in outcomes] == ["failed", "succeeded"]
    assert outcomes[0].failure is not None
    assert outcomes[0].failure.message == "No module named 'away'"


def test_other_code_than_that_of_the_key_is_refused(worker: Worker) -> None:
    task = Task(_raise, Policy(name="work"))
    packed = cloudpickle.dumps(Shipped(task, {"somewhere.helper": "another digest"}))
    (outcome,) = worker.perform([packed], Assignment("one", 0, [1]))
    assert outcome.failure is not None
    assert outcome.failure.type == f"{CodeMismatch.__module__}.CodeMismatch"
    assert "somewhere.helper" in outcome.failure.message


def test_timeouts_reports_and_time_left(worker: Worker) -> None:
    def work() -> float:
        print("in a child")
        current().report.metric("pid", os.getpid())
        return current().time_left()

    outcome = worker.one(work, attempts=ONCE._replace(timeout=50.0))
    assert 0 < loaded(outcome) < 50
    assert worker.log(outcome) == "in a child\n"
    assert [item.title for item in outcome.reports] == ["pid"]
    assert str(os.getpid()) not in outcome.reports[0].data


def test_a_timeout_is_a_failure_that_may_be_tried_again(worker: Worker) -> None:
    policy = Attempts(1, None, (0.0,), timeout=0.1)
    outcomes = worker.perform([lambda: threading.Event().wait(600)], Assignment("one", 0, [], attempts=policy))
    assert [o.final for o in outcomes] == [False, True]
    assert outcomes[1].failure is not None
    assert outcomes[1].failure.type == "daskflow.errors.JobTimeout"
    assert "one took longer than its timeout of 0.1 s" in worker.log(outcomes[1])


def test_an_error_in_a_child_is_told_as_one_here(worker: Worker) -> None:
    def parse(text: str) -> int:
        return int(text)

    here = worker.one(parse, "one")
    there = worker.one(parse, "one", attempts=ONCE._replace(timeout=50.0))
    assert here.failure is not None
    assert there.failure is not None
    assert here.failure[:3] == there.failure[:3]


def test_reports_of_each_attempt_are_its_own(worker: Worker) -> None:
    def work(x: int) -> None:
        current().report.metric("x", x)
        assert (current().key, current().run) == (f"job-{x}", "a-run")

    outcomes = worker.perform([work], *[Assignment(f"job-{x}", 0, [x]) for x in range(3)])
    assert [[item.data for item in o.reports] for o in outcomes] == [
        [f'{{"value": {x}.0, "unit": ""}}'] for x in range(3)
    ]


def test_no_attempt_and_no_run_is_left_behind(worker: Worker) -> None:
    token = host.CURRENT_HOST.set("a run")  # type: ignore[arg-type]
    try:
        assert loaded(worker.one(lambda: str(host.CURRENT_HOST.get()))) == "None", "tasks called here belong to no run"
        assert str(host.CURRENT_HOST.get()) == "a run"
    finally:
        host.CURRENT_HOST.reset(token)
    with pytest.raises(NotInTask):
        current()


def test_the_black_box_names_the_job(worker: Worker) -> None:
    boxes = str(worker.boxes)
    seen = worker.one(lambda: last_notes(boxes, HOST, os.getpid()))
    assert loaded(seen) == {"a-node": "one"}


def test_logs_and_boxes_may_be_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    worker = Worker(tmp_path)
    worker.bench = pickle.dumps(Bench("a-run", VALUES, "", ""))
    assert worker.one(lambda: print("lost")).log is None
    assert list(tmp_path.iterdir()) == []


def test_a_full_log_disk_does_not_hide_the_error(tmp_path: Path) -> None:
    worker = Worker(tmp_path)
    (tmp_path / "logs").write_text("a file where a directory should be")
    outcome = worker.one(lambda: 1 / 0)
    assert outcome.failure is not None
    assert outcome.failure.type == "ZeroDivisionError"


class TestInABatchJob:
    """Attempts that are made by a pilot, or by a batch job of their own."""

    @pytest.fixture
    def worker(self, tmp_path: Path, settled: Settle) -> Worker:
        settled()
        made = Worker(tmp_path)
        made.bench = pickle.dumps(Bench("a-run", self._values(tmp_path), str(made.logs), str(made.boxes)))
        return made

    def _values(self, directory: Path) -> Values:
        return Values(ObjectStore(directory / "store"), key=bytes(32))

    def test_an_attempt_has_a_process_of_its_own_and_tells_where_it_was(self, worker: Worker, tmp_path: Path) -> None:
        outcome = worker.one(lambda x: (x, os.getpid()), 7)
        assert outcome.value is not None, outcome.failure
        value, pid = self._values(tmp_path).load(outcome.value)
        assert value == 7
        assert pid != os.getpid()
        assert (outcome.host, outcome.place, outcome.cores, outcome.asked) == ("n3", "12_0", 1, 2**28)
        assert 0 < outcome.memory < 2**28

    def test_arguments_and_results_stay_out_of_the_worker(self, worker: Worker, tmp_path: Path) -> None:
        values = self._values(tmp_path)
        large = values.dump(np.ones(10**6))
        *_, outcome = worker.perform([lambda x: x + 1], Assignment("one", 0, [Slot(0)], (large,)))
        assert outcome.value is not None, outcome.failure
        assert outcome.value.inline is None
        assert outcome.taken == large.size
        assert worker.value._value is ABSENT
        assert worker.value.value[0] == 2.0

    def test_who_takes_more_than_its_share_is_killed_and_its_neighbour_is_not(self, worker: Worker) -> None:
        def grow() -> None:
            blocks = []
            while True:
                blocks.append(bytearray(20 << 20))
                time.sleep(0.01)

        neighbour: list[Outcome] = []

        def perform_neighbour() -> None:
            other = Worker(worker.logs.parent)
            other.bench = worker.bench
            neighbour.append(other.one(_wait_for, str(worker.logs.parent / "gate")))

        thread = threading.Thread(target=perform_neighbour)
        thread.start()
        outcome = worker.one(grow)
        (worker.logs.parent / "gate").touch()
        thread.join(60)
        assert outcome.failure is not None
        assert outcome.failure.type == "daskflow.errors.OutOfMemory"
        assert "where it may use 256 MiB, its share, by 1 of 4 cores, of the 1 GiB of the batch job 12_0 on n3" in (
            outcome.failure.message
        )
        assert [other.state for other in neighbour] == ["succeeded"]

    def test_an_error_is_told_as_one_elsewhere(self, worker: Worker) -> None:
        outcome = worker.one(lambda text: int(text), "one")  # noqa: PLW0108  (`int` does not tell its parameters)
        assert outcome.failure is not None
        assert (outcome.failure.type, outcome.final) == ("ValueError", True)
        assert "make(" not in outcome.failure.traceback

    def test_retries_are_made(self, worker: Worker, tmp_path: Path) -> None:
        def fail(path: str) -> None:
            count(path, "work")
            raise ValueError

        path = tmp_path / "count"
        path.mkdir()
        limits = Attempts(retries=2, pauses=(0.0, 0.0))
        outcomes = worker.perform([fail], Assignment("one", 0, [str(path)], attempts=limits))
        assert counted(path) == {"work": 3}
        assert [outcome.final for outcome in outcomes] == [False, False, True]

    def test_a_bundle_has_one_process(self, worker: Worker, tmp_path: Path) -> None:
        jobs = [Assignment(f"job-{x}", 0, [x]) for x in range(20)]
        outcomes = worker.perform([lambda x: print(x) or os.getpid()], *jobs, wanted=("job-3",))
        values = self._values(tmp_path)
        pids = {values.load(outcome.value) for outcome in outcomes if outcome.value is not None}
        assert len(outcomes) == 20
        assert len(pids) == 1
        assert pids != {os.getpid()}
        assert [worker.log(outcome) for outcome in outcomes] == [f"{x}\n" for x in range(20)]
        assert worker.value["job-3"].value in pids

    def test_of_a_bundle_only_the_guilty_one_fails(self, worker: Worker) -> None:
        def work(x: int) -> int:
            if x == 2:
                os.kill(os.getpid(), signal.SIGKILL)
            return x

        outcomes = worker.perform([work], *[Assignment(f"job-{x}", 0, [x]) for x in range(4)])
        assert [outcome.state for outcome in outcomes] == ["succeeded", "succeeded", "failed", "succeeded"]

    def test_devices_are_shared_out(self, worker: Worker, settled: Settle, tmp_path: Path) -> None:
        settled(gpus=2)
        seen = [
            worker.one(lambda: os.environ["CUDA_VISIBLE_DEVICES"], attempts=Attempts(gpus=number)) for number in (0, 2)
        ]
        assert [self._values(tmp_path).load(outcome.value) for outcome in seen if outcome.value] == ["", "0,1"]

    def test_jobs_of_a_bundle_see_no_devices(
        self, worker: Worker, settled: Settle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5")
        settled(gpus=2)
        jobs = [Assignment(f"job-{x}", 0, [x]) for x in range(2)]
        outcomes = worker.perform([lambda x: (os.environ["CUDA_VISIBLE_DEVICES"], os.getpid(), x)], *jobs)
        values = self._values(tmp_path)
        seen = [values.load(outcome.value) for outcome in outcomes if outcome.value is not None]
        assert [devices for devices, _, _ in seen] == ["", ""]
        assert len({pid for _, pid, _ in seen}) == 1, "in one process"

    def test_an_attempt_knows_its_memory(self, worker: Worker, tmp_path: Path) -> None:
        def limit() -> tuple[int | None, str]:
            attempt = current()
            return attempt.memory, attempt.basis

        seen = []
        for limits in (ONCE, Attempts(memory=2**29), Attempts(memory=2**29, kept=True)):
            outcome = worker.one(limit, attempts=limits)
            assert outcome.value is not None, outcome.failure
            seen.append(self._values(tmp_path).load(outcome.value))
        assert [memory for memory, _ in seen] == [2**28, 2**29, 2**29]
        assert "its share" in seen[0][1]
        assert "as was asked for" in seen[2][1]

    def test_a_job_that_is_handed_over_waits_and_goes_on(self, worker: Worker, tmp_path: Path) -> None:
        def work(path: str) -> list[int]:
            steps = current().restore([])
            count(path, "work")
            steps = [*steps, len(steps)]
            if len(steps) < 3:
                current().hand_over(steps)
            return list(steps)

        path = tmp_path / "count"
        path.mkdir()
        outcomes = [worker.one(work, str(path)) for _ in range(3)]
        assert [(o.state, o.final, o.value is None) for o in outcomes] == [
            ("waiting", False, True),
            ("waiting", False, True),
            ("succeeded", True, False),
        ]
        assert outcomes[2].value is not None
        assert self._values(tmp_path).load(outcomes[2].value) == [0, 1, 2]
        assert counted(path) == {"work": 3}
        store = ObjectStore(tmp_path / "store")
        assert list(store.notes("states")) == [], "the job has its result"

    def test_handing_over_is_told_and_is_no_failure(self, worker: Worker) -> None:
        told: list[Live] = []
        with gripping("node", lambda record: told.extend(pickle.loads(record))):
            outcome = worker.one(lambda: current().hand_over(1), attempts=Attempts(retries=2, pauses=(0.0, 0.0)))
        assert (outcome.state, outcome.attempt, outcome.wants) == ("waiting", 1, 75.0)
        assert [(live.key, live.name) for live in told] == [("one", "job.handed_over")]
        assert json.loads(told[0].data)["place"] == "12_0"
        assert isinstance(worker.value, Missing)
        assert worker.value.why == LEFT

    def test_who_depends_on_one_that_was_handed_over_waits_too(self, worker: Worker) -> None:
        outcomes = worker.perform(
            [lambda: current().hand_over(1), lambda x: x],
            Assignment("first", 0, []),
            Assignment("second", 1, [Slot(0)], ("first",)),
        )
        assert [(outcome.state, outcome.final) for outcome in outcomes] == [("waiting", False)] * 2


def _wait_for(path: str) -> None:
    deadline = time.monotonic() + 60
    while not os.path.exists(path) and time.monotonic() < deadline:
        time.sleep(0.01)


def test_handing_over_works_in_this_process_too(tmp_path: Path) -> None:
    worker = Worker(tmp_path)
    worker.bench = pickle.dumps(Bench("a-run", Values(ObjectStore(tmp_path / "store"), key=bytes(32)), "", ""))

    def work() -> int:
        step: int = current().restore(0)
        try:
            if step < 2:
                current().hand_over(step + 1)
        except Exception:
            return -1
        return step

    assert [worker.one(work).state for _ in range(3)] == ["waiting", "waiting", "succeeded"]
