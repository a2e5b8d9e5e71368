from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from daskflow.artifacts.store import ObjectStore
from daskflow.artifacts.values import Values
from daskflow.errors import RunInterrupted, SiteUnknown, StoreFull
from daskflow.execution.notices.rules import Rule
from daskflow.execution.project import Project
from daskflow.model.outcome import Known
from daskflow.model.records import EventRecord, RunRecord
from daskflow.stores import Database, Journal
from tests.execution.handmade import PaperSite
from tests.execution.patience import until
from tests.execution.webhooks import webhook


class ClosingSite(PaperSite):
    closed = False

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    made = Project(
        Journal(Database(str(tmp_path / "journal.db"))),
        Values(ObjectStore(tmp_path / "artifacts"), 10),
        tmp_path / "logs",
        sites={"near": lambda: ClosingSite("near"), "far": lambda: ClosingSite("far")},
        default_site="near",
    )
    yield made
    made.close()


class Engine:
    """Hears what goes wrong."""

    def __init__(self) -> None:
        self.errors: list[Exception] = []

    def fail(self, error: Exception) -> None:
        self.errors.append(error)


def test_a_site_is_made_once_and_only_when_somebody_asks(project: Project) -> None:
    assert project.opened() == []
    assert project.site("far") is project.site("far")
    assert [site.name for site in project.opened()] == ["far"]


def test_an_unknown_site_names_those_that_are_known(project: Project) -> None:
    with pytest.raises(SiteUnknown, match=r"No site 'mars' is configured; there are far, near\."):
        project.site("mars")


def test_closing_closes_the_sites_and_interrupts_what_goes_on(project: Project) -> None:
    site: Any = project.site("near")
    engine = Engine()
    project.watch(engine)
    project.close()
    assert site.closed
    assert [type(error) for error in engine.errors] == [RunInterrupted]
    assert project.site("near") is not site, "it can be used again"


def test_who_is_gone_is_not_told(project: Project) -> None:
    project.watch(Engine())
    assert len(list(project._sufferers)) == 0


def test_after_a_full_disk_the_next_run_gets_a_new_writer(project: Project) -> None:
    engine = Engine()
    project.watch(engine)
    writer = project.writer
    assert project.writer is writer

    def fail(journal: Journal) -> None:
        raise StoreFull()

    writer.call(fail)
    with pytest.raises(StoreFull):
        writer.flush()
    writer.close()
    assert [type(error) for error in engine.errors] == [StoreFull]
    assert project.writer is not writer
    project.writer.flush()


def test_results_whose_bytes_are_gone_are_lost(project: Project) -> None:
    store = project.values.store
    assert store is not None
    apart, small = project.values.dump(b"x" * 1000), project.values.dump(5)
    held, gone = store.put(b"held"), store.put(b"gone")
    project.journal.add_holdings([(small.digest, held)])
    known = {
        "there": Known(apart, "run", 1.0, apart=True),
        "shorter": Known(apart._replace(size=999), "run", 1.0, apart=True),
        "nowhere": Known(apart._replace(digest="0" * 32), "run", 1.0, apart=True),
        "small": Known(small, "run", 1.0),
        "strange": Known(small._replace(format="pickle#00000000"), "run", 1.0),
    }
    assert project.lost(known) == {"shorter", "nowhere", "strange"}
    project.journal.add_holdings([(small.digest, gone)])
    store.remove(gone)
    assert project.lost(known) == {"shorter", "nowhere", "strange", "small"}, "what it mentions is gone"


def test_digests_of_files_are_remembered(project: Project, tmp_path: Path) -> None:
    file = tmp_path / "data.txt"
    file.write_text("one")
    first = project.file_digest(file)
    assert project.file_digest(file) == first
    file.write_text("other")
    assert project.file_digest(file) != first


def test_events_of_runs_are_recorded_and_told(project: Project) -> None:
    heard: list[EventRecord] = []
    project.journal.add_run(RunRecord(id="a-run", flow="study"))
    project.hub.subscribe("run.*", heard.append)
    project.event("a-run", "run.started", kind="a word", path=Path("data"))
    project.writer.flush()
    assert project.journal.events("a-run") == project.journal.events("a-run", "run.started")
    project.hub.close(10)
    assert heard == project.journal.events("a-run")
    assert heard[0].data == {"kind": "a word", "path": "data"}


def test_an_event_that_cannot_be_written_is_told_all_the_same(project: Project) -> None:
    heard: list[EventRecord] = []
    project.hub.subscribe("*", heard.append)
    project.writer.close()
    project.event("a-run", "run.succeeded")
    project.hub.close(10)
    assert [found.kind for found in heard] == ["run.succeeded"]


def test_closing_tells_and_sends_what_is_left(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "*")
    heard: list[str] = []
    project.journal.add_run(RunRecord(id="a-run", flow="study"))
    with webhook() as hook:
        hook.status = 500
        project.notify([Rule.model_validate({"on": "qa.*", "to": hook.url, "every": "1 h"})])
        project.start_notifier()
        project.start_notifier()
        project.event("a-run", "qa.first")
        until(lambda: hook.messages)
        project.hub.subscribe("*", lambda found: heard.append(found.kind))
        project.event("a-run", "qa.second")
        project.close()
        assert [message["title"] for message in hook.messages] == ["study: qa.first", "study: qa.second"]
    assert "qa.second" in heard
    assert len(project.journal.events("a-run", "notify.failed")) == 2, "written before the journal was closed"


def test_an_event_of_an_unknown_run_is_notified_too(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "*")
    with webhook() as hook:
        project.notify([Rule.model_validate({"on": "*", "to": hook.url})])
        project.start_notifier()
        project.event("nobody", "qa.low")
        project.close()
        assert [message["title"] for message in hook.messages] == ["daskflow: qa.low"]
