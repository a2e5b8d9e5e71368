"""What is due is started exactly once, whoever looks, and whatever the clock does."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from daskflow.errors import PipelineInvalid, RunBusy, WorkInvalid
from daskflow.execution.launcher import Launcher, Order
from daskflow.execution.pipelines.reading import read
from daskflow.execution.pipelines.ticking import Ticker, new_schedule
from daskflow.execution.run import Run
from daskflow.graph.flow import Flow
from daskflow.model.pipeline import ScheduleState
from daskflow.model.records import RunRecord
from daskflow.model.states import RunState
from daskflow.settings.options import Settings
from daskflow.settings.parts import open_project
from daskflow.stores.schedules import Schedules
from tests.conftest import Lab, settings_in


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def document(cron: str = "*/10 * * * *", **schedule: Any) -> dict[str, Any]:
    steps = [{"name": "a", "work": {"user": "ada", "site": "local"}}]
    return {"name": "p", "schedule": {"cronspec": cron, **schedule}, "pipeline": {"steps": steps}}


class Desk:
    """Starts runs of a flow that notes that it was executed."""

    def __init__(self, launcher: Launcher) -> None:
        self.launcher = launcher
        self.executed: list[str] = []
        self.recorded: list[str] = []
        self.flow: Flow[Any, Any] = Flow(self._body, "p", None, launcher)
        self.fail: Exception | None = None

    def _body(self, document: str) -> str:
        self.executed.append(document)
        return document

    def enter(self, document: str) -> str:
        if self.fail is not None:
            raise self.fail
        record = self.launcher.enter(self.flow, {"document": document}, Order(target="m:p"))
        self.recorded.append(record.id)
        return record.id

    def go_on(self, record: RunRecord) -> Run:
        arguments = {"document": str(record.arguments["document"])}
        return self.launcher.resume(self.flow, record, arguments, background=True)


class Stand:
    def __init__(self, lab: Lab) -> None:
        self.journal = lab.project.journal
        self.schedules = Schedules(self.journal.database)
        self.desk = Desk(lab.launcher)
        self.now = at("2026-03-14T00:05")
        self.ticker = Ticker(self.journal, self.desk, lambda: self.now)

    def schedule(self, **fields: Any) -> None:
        self.schedules.add_schedule(new_schedule(read(document(**fields)), "text", self.now))

    def tick(self, time: str) -> int:
        """How many runs a look at that time started."""
        self.now = at(time)
        begun, troubles = self.ticker.tick()
        assert not troubles
        for run in begun:
            assert run.wait(30)
        return len(begun)

    def due(self) -> float | None:
        return self.schedules.schedules()[0].due


@pytest.fixture
def stand(lab: Lab) -> Stand:
    return Stand(lab)


def test_each_due_time_starts_one_run(stand: Stand) -> None:
    stand.schedule()
    times = ["00:05", "00:09", "00:10", "00:10", "00:19", "00:20", "00:21"]
    assert [stand.tick(f"2026-03-14T{time}") for time in times] == [0, 0, 1, 0, 0, 1, 0]
    assert stand.desk.executed == ["text", "text"]
    assert stand.schedules.schedules()[0].latest == stand.desk.recorded[-1]


def test_what_was_missed_starts_once(stand: Stand) -> None:
    stand.schedule()
    assert stand.tick("2026-03-15T12:34") == 1
    assert stand.due() == at("2026-03-15T12:40")


def test_lives_are_used_up(stand: Stand) -> None:
    stand.schedule(lives=2)
    assert [stand.tick(f"2026-03-14T0{hour}:00") for hour in range(1, 5)] == [1, 1, 0, 0]
    assert stand.schedules.schedules()[0].state is ScheduleState.expired


def test_a_clock_that_is_put_back_starts_no_time_twice(stand: Stand) -> None:
    stand.schedule()
    assert stand.tick("2026-03-14T00:10:05") == 1
    assert [stand.tick(f"2026-03-14T00:{time}") for time in ("09:50", "10:01", "10:02")] == [0, 0, 0]
    assert stand.tick("2026-03-14T00:20") == 1


def test_a_clock_that_was_far_ahead_keeps_nothing_from_starting(stand: Stand) -> None:
    stand.schedule()
    assert stand.tick("2031-01-01T00:00:30") == 1
    assert stand.tick("2026-03-14T00:12") == 0
    assert stand.due() == at("2026-03-14T00:20")
    assert stand.tick("2026-03-14T00:20") == 1


def test_of_many_tickers_one_starts_each_time(stand: Stand, tmp_path: Path) -> None:
    settings = Settings.model_validate({**settings_in(tmp_path).model_dump()})
    stand.schedule()
    stand.now = at("2026-03-14T01:00")
    launchers = [Launcher(lambda: open_project(settings)) for _ in range(4)]
    desks = [Desk(each) for each in launchers]
    ready, runs, troubles = threading.Barrier(4), [], []

    def ticks(desk: Desk) -> None:
        journal = desk.launcher.project().journal
        ticker = Ticker(journal, desk, lambda: stand.now)
        for number in range(5):
            ready.wait(30)
            begun, trouble = ticker.tick()
            runs.extend(begun)
            troubles.extend(trouble)
            for run in begun:
                run.wait(30)
            if ready.wait(30) == 0:
                stand.now = at(f"2026-03-14T0{number + 2}:00")
            ready.wait(30)

    threads = [threading.Thread(target=ticks, args=(desk,)) for desk in desks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    for launcher in launchers:
        launcher.close()
    assert troubles == []
    assert len({run.id for run in runs}) == len(runs) == 5
    assert sum(len(desk.executed) for desk in desks) == 5
    assert {record.state for record in stand.journal.runs()} == {RunState.succeeded}
    assert len(stand.journal.runs()) == 5


def test_a_run_whose_ticker_died_before_it_began_is_begun_by_the_next(stand: Stand) -> None:
    stand.schedule()
    stand.now = at("2026-03-14T00:10")
    record = stand.schedules.schedules()[0]
    assert stand.schedules.claim(record, at("2026-03-14T00:20"), lambda: stand.desk.enter("text")) is not None
    assert stand.desk.executed == []
    assert stand.tick("2026-03-14T00:11") == 1
    assert stand.desk.executed == ["text"]


def test_an_interrupted_run_is_gone_on_with_and_a_cancelled_one_is_not(stand: Stand) -> None:
    stand.schedule()
    for state, count in ((RunState.interrupted, 1), (RunState.cancelled, 0), (RunState.failed, 0)):
        stand.now += 600
        record = stand.schedules.schedules()[0]
        run = stand.schedules.claim(record, stand.now + 600, lambda: stand.desk.enter("text"))
        assert run is not None
        stand.journal.update_run(run, state=state)
        begun, _ = stand.ticker.tick()
        assert [each.id for each in begun] == [run] * count
        for each in begun:
            each.wait(30)


def test_a_driver_elsewhere_that_may_only_be_cut_off_from_the_store_keeps_its_run(stand: Stand) -> None:
    stand.journal.patience.longest = 600.0
    stand.schedule()
    stand.now = at("2026-03-14T00:10")
    record = stand.schedules.schedules()[0]
    run = stand.schedules.claim(record, stand.now + 600, lambda: stand.desk.enter("text"))
    assert run is not None
    now = time.time()
    for silence, begun in ((300.0, 0), (700.0, 1)):
        signs = dict.fromkeys(("created", "started", "heartbeat"), now - silence)
        stand.journal.update_run(run, state=RunState.running, host="elsewhere", pid=1, **signs)
        assert stand.journal.run(run).state is RunState.interrupted, "to people"
        assert stand.tick("2026-03-14T00:11") == begun


def test_what_cannot_be_started_keeps_nothing_else_from_it(stand: Stand) -> None:
    stand.schedule()
    stand.now = at("2026-03-14T00:10")
    stand.desk.fail = WorkInvalid("it does not fit")
    begun, troubles = stand.ticker.tick()
    assert begun == []
    assert "of p: it does not fit" in troubles[0]
    stand.desk.fail = None
    assert stand.tick("2026-03-14T00:11") == 1


def test_a_run_that_another_ticker_has_is_left_to_it(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(record: RunRecord) -> Run:
        raise RunBusy("another one")

    stand.schedule()
    monkeypatch.setattr(stand.desk, "go_on", busy)
    assert stand.tick("2026-03-14T00:10") == 0


def test_nothing_is_due_for_some_time(stand: Stand) -> None:
    assert stand.ticker.patience(30.0) == 30.0
    stand.schedule()
    assert stand.ticker.patience(1000.0) == 300.0
    assert stand.ticker.patience(30.0) == 30.0
    stand.now += 400
    assert stand.ticker.patience(30.0) == 0.0


def test_what_cannot_be_started_is_not_tried_again_at_once(stand: Stand) -> None:
    stand.schedule()
    stand.now = at("2026-03-14T00:10")
    stand.desk.fail = WorkInvalid("it does not fit")
    assert stand.ticker.tick().troubles
    stand.now += 1
    assert stand.ticker.patience(30.0) == 30.0
    # What comes next is not kept from it; nor is what becomes due between looking and asking.
    stand.schedules.add_schedule(new_schedule(read(document("11 * * * *") | {"name": "q"}), "other", stand.now))
    assert stand.ticker.patience(1000.0) == 59.0
    stand.now = at("2026-03-14T00:11:01")
    assert stand.ticker.patience(30.0) == 0.0
    # A clock that was put back has not looked yet.
    stand.ticker.tick()
    stand.now = at("2026-03-14T00:09")
    assert stand.ticker.patience(1000.0) == 60.0


def test_a_pipeline_without_a_schedule_or_with_one_that_never_comes_has_no_record() -> None:
    given = document("0 0 */31 * MON#5")
    with pytest.raises(PipelineInvalid, match="never comes"):
        new_schedule(read(given), "", 0.0)
    del given["schedule"]
    with pytest.raises(PipelineInvalid, match="has no schedule"):
        new_schedule(read(given), "", 0.0)
