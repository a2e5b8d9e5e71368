"""Agents as configured."""

import os
import signal
import threading
from pathlib import Path

import pytest

from daskflow.artifacts.names import Names
from daskflow.artifacts.store import ObjectStore
from daskflow.errors import SiteUnknown, StoreUnavailable
from daskflow.execution.agents.terms import Terms
from daskflow.execution.bucketing.parcel import PERFORM
from daskflow.model.work import Work, WorkStatus
from daskflow.settings.agents import agent_of, archivist_of, serve
from daskflow.settings.buckets import buckets_of
from daskflow.settings.options import Settings
from daskflow.settings.works import WorkSettings
from daskflow.stores.buckets import Buckets
from daskflow.stores.buckets.shelf import Wanted
from tests.services.servers import serving


def configured(**works: object) -> Settings:
    return Settings(store="store.db", works=WorkSettings.model_validate(works))


@pytest.fixture(autouse=True)
def _there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def deposited(settings: Settings, **fields: object) -> str:
    with buckets_of(settings) as buckets:
        (id,) = buckets.deposit(Work(pipeline="sample", site="local", user="ada", **fields))
    return id


def test_works_are_in_the_store_unless_said_otherwise() -> None:
    with buckets_of(configured()) as buckets:
        assert buckets.pipelines() == []
        deposited(configured(store="works.db"), function="math.sqrt")
        assert buckets.pipelines() == []
    with buckets_of(configured(store="works.db")) as buckets:
        assert buckets.pipelines() == ["sample"]


def test_works_may_be_for_any_site_where_that_is_configured() -> None:
    def deposit(settings: Settings) -> None:
        with buckets_of(settings) as buckets:
            buckets.deposit(Work(pipeline="sample", site="mars", user="ada", function="math.sqrt"))

    with pytest.raises(SiteUnknown, match="'mars'"):
        deposit(configured(sites=["venus"]))
    deposit(configured(sites=["mars"]))
    deposit(configured(sites=["*"]))


def test_an_agent_performs_what_the_configuration_allows() -> None:
    allowed = configured(functions=["math.*"], commands=["echo"])
    ids = [
        deposited(allowed, function="math.sqrt", parameters={"x": 9}),
        deposited(allowed, command=["echo", "a"]),
        deposited(allowed, function="os.getcwd"),
        deposited(allowed, command=["ls", "a"]),
    ]
    with buckets_of(allowed) as buckets:
        agent_of(allowed, buckets, Terms(Wanted(("sample",)), lives=4)).run()
        works = [buckets.get(id) for id in ids]
    assert [work and work.status for work in works] == ["success", "success", "failure", "failure"]
    # Another agent may be allowed to do it: that it was refused here is no fault of the work.
    assert [work and (work.final, work.given_back) for work in works] == [(False, 0)] * 2 + [(False, 1)] * 2


def test_the_jobs_of_flows_are_always_allowed() -> None:
    with buckets_of(configured()) as buckets:
        agent = agent_of(configured(), buckets, Terms(Wanted(("sample",))))
    assert agent.terms.allowed.function(PERFORM)
    assert agent.terms.lease == 60.0


def test_a_function_that_is_named_for_all_is_imported_before_anything_is_taken() -> None:
    with buckets_of(configured()) as buckets, pytest.raises(ImportError, match="nowhere"):
        agent_of(configured(), buckets, Terms(Wanted(("sample",)), "nowhere.fit"))


@pytest.mark.parametrize(("archive", "kept"), [("", False), ("archive", True), ("artifacts", True)])
def test_copies_go_where_the_archive_is(archive: str, *, kept: bool) -> None:
    with buckets_of(configured()) as buckets:
        archivist = archivist_of(configured(archive=archive), buckets)
    assert archivist.takes("copy") is archivist.takes("move") is kept
    assert archivist.takes("upload")
    assert not archivist.takes("bypass")


def test_serving_in_a_task_ends_when_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = configured(store="works.db")
    id = deposited(settings, parameters={"x": 16}, tags=["a"])
    other = deposited(settings, parameters={"x": 16})
    monkeypatch.setenv("DASKFLOW_WORKS__LEASE", "5")
    done = serve("sample", site="local", url=str(tmp_path / "works.db"), function="math.sqrt", idle=0.1, tags=("a",))
    assert done == {"success": 1}
    with buckets_of(settings) as buckets:
        performed, left = buckets.get(id), buckets.get(other)
    assert performed is not None
    assert left is not None
    assert performed.results == 4
    assert performed.host == os.uname().nodename
    assert left.status is WorkStatus.queued


def test_serving_for_a_site_that_nobody_knows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SiteUnknown, match="There is no site 'mars'"):
        serve("sample", site="mars", url=str(tmp_path / "works.db"), function="math.sqrt", idle=0.1)


@pytest.mark.parametrize("artifacts", ["", "s3://bucket/team"])
def test_who_reaches_only_a_server_archives_there(tmp_path: Path, artifacts: str) -> None:
    inside = tmp_path / "server"
    inside.mkdir()
    (tmp_path / "spectrum.txt").write_text("1 2 3")
    with serving(inside) as service:
        given = {"store": service.url, "archive": "artifacts"}
        settings = Settings.model_validate({"works": given} | ({"artifacts": artifacts} if artifacts else {}))
        with buckets_of(settings) as buckets:
            archivist = archivist_of(settings, buckets)
            if artifacts:
                assert archivist._store is not None
                assert archivist._store().url == artifacts
                return
            work = Work(pipeline="sample", site="local", user="ada", creation=0.0, id="w-1")
            kept = archivist.bring(work, tmp_path / "spectrum.txt", "copy", "spectrum.txt")
            assert kept == "artifact:works/19700101/sample/w-1/spectrum.txt"
        store = ObjectStore(inside / "artifacts")
        assert bytes(store.get(Names(store).find(kept.removeprefix("artifact:")).digest)) == b"1 2 3"
    # Nothing of it is left on the machine of the agent.
    assert not (tmp_path / ".daskflow" / "artifacts").exists()


def test_a_result_that_is_lost_is_logged(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    id = deposited(configured(), function="math.sqrt", parameters={"x": 9})

    pressed = threading.Event()

    def away(buckets: Buckets, work: Work) -> None:
        if not pressed.is_set():
            pressed.set()
            # As Ctrl-C, where a program is an agent.
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        raise StoreUnavailable("The store is away.")

    monkeypatch.setattr(Buckets, "update", away)
    monkeypatch.setenv("DASKFLOW_STORE", "store.db")
    with pytest.raises(KeyboardInterrupt):
        serve("sample", site="local", function="math.sqrt")
    (text,) = [record.getMessage() for record in caplog.records if id in record.getMessage()]
    assert "attempt 1: success" in text
    assert "could not be written and is lost: The store is away." in text
