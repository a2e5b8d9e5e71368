"""Servers that are away: it is said once, and waiting ends when somebody wants that."""

from __future__ import annotations

import logging
import os
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from daskflow.errors import ServerSilent, StoreUnavailable
from daskflow.model.work import Work
from daskflow.stores.buckets import Buckets, absence
from daskflow.stores.buckets.absence import Wait, until
from daskflow.stores.buckets.line import Line
from daskflow.stores.buckets.remote import RemoteShelf
from tests.execution import patience
from tests.services.servers import ServerProcess

URL = "http://127.0.0.1:9"
SILENT = ServerSilent(f"{URL} does not answer.")


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    yield
    absence._KNOWN.clear()


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits at all says so."""
    monkeypatch.setattr(absence, "_SOON", 0.0)


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What was logged; N for any number of seconds."""
    texts = [record.getMessage() for record in caplog.records if record.name == "daskflow"]
    return [re.sub(r"\d+ s\b", "N s", text) for text in texts]


def test_a_short_wait_is_not_worth_a_word(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(absence, "_SOON", 3600.0)
    wait = Wait(URL, "GET /view", 30.0)
    assert wait.again(SILENT, 0.0)
    wait.over()
    assert said(caplog) == []


def test_it_is_said_within_a_long_pause_not_after_it(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(absence, "_SOON", 0.05)
    event = threading.Event()

    class Ear(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            event.set()

    ear = Ear()
    logging.getLogger("daskflow").addHandler(ear)
    try:
        with until(event):
            # An hour, if nobody said anything.
            assert Wait(URL, "GET /view", 7200.0).again(SILENT, 3600.0)
    finally:
        logging.getLogger("daskflow").removeHandler(ear)
    assert said(caplog) == [f"{URL} does not answer. GET /view was tried for N s by now, and is for N s more."]


def test_it_is_said_once_however_many_wait_and_once_that_it_is_over(
    hasty: None, caplog: pytest.LogCaptureFixture
) -> None:
    waits = [Wait(URL, "PUT /work", 30.0) for _ in range(8)]
    threads = [threading.Thread(target=lambda wait=wait: wait.again(SILENT, 0.001)) for wait in waits]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert said(caplog) == [f"{URL} does not answer. PUT /work was tried for N s by now, and is for N s more."]
    for wait in waits:
        wait.over()
    assert said(caplog)[1:] == [f"{URL} answers again, after N s."]
    other = Wait(URL, "PUT /work", 30.0)
    other.again(SILENT, 0.0)
    assert len(said(caplog)) == 3, "another outage"


def test_what_a_server_says_of_its_store_goes_with_its_address(hasty: None, caplog: pytest.LogCaptureFixture) -> None:
    Wait(URL, "GET /view", 30.0).again(StoreUnavailable("The store is away."), 0.0)
    assert said(caplog) == [f"{URL}: The store is away. GET /view was tried for N s by now, and is for N s more."]


def test_who_was_told_by_an_error_says_himself_that_it_is_over(hasty: None, caplog: pytest.LogCaptureFixture) -> None:
    wait = Wait(URL, "GET /view", 0.01)
    while wait.again(SILENT, 0.001):
        pass
    assert len(said(caplog)) == 1
    Wait(URL, "GET /view", 30.0).again(SILENT, 0.0)
    Wait(URL, "GET /view", 30.0).over()
    assert len(said(caplog)) == 1


def test_who_asked_for_a_moment_only_takes_no_word_from_others(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(absence, "_SOON", 0.0)
    wait = Wait(URL, "GET /view", 30.0)
    assert wait.again(SILENT, 0.0)
    monkeypatch.setattr(absence, "_SOON", 3600.0)
    assert not Wait(URL, "GET /work/await", 0.0).again(SILENT, 1.0)
    wait.over()
    assert said(caplog)[1:] == [f"{URL} answers again, after N s."]


def test_waiting_ends_with_the_event_though_it_is_needed() -> None:
    event = threading.Event()
    with until(event):
        timer = threading.Timer(0.01, event.set)
        timer.start()
        assert Wait(URL, "PUT /x", 7200.0).again(SILENT, 3600.0), "once more, at once"
        assert not Wait(URL, "PUT /x", 7200.0).again(SILENT, 0.0, needed=True)
        timer.join()
    assert Wait(URL, "PUT /x", 7200.0).again(SILENT, 0.0), "the block is over"


def test_a_forked_process_has_said_nothing_yet(hasty: None, caplog: pytest.LogCaptureFixture) -> None:
    Wait(URL, "GET /view", 30.0).again(SILENT, 0.0)
    assert len(said(caplog)) == 1
    child = os.fork()
    if child == 0:
        Wait(URL, "GET /view", 30.0).over()
        quiet = len(said(caplog)) == 1
        Wait(URL, "GET /view", 30.0).again(SILENT, 0.0)
        os._exit(0 if quiet and len(said(caplog)) == 2 else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_a_server_that_is_killed_and_comes_back(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(absence, "_SOON", 0.2)
    (tmp_path / "daskflow.yaml").write_text("server: {open: true}\n")
    with ServerProcess(tmp_path) as server, Buckets(RemoteShelf(Line(server.url, None))) as buckets:
        (id,) = buckets.deposit(Work(pipeline="sample", site="local", user="ada", function="math.sqrt"))
        server.kill()
        found: list[Work | None] = []
        # Two wait at a time, and one after them.
        threads = [threading.Thread(target=lambda: found.append(buckets.get(id))) for _ in range(2)]
        for thread in threads:
            thread.start()
        patience.until(lambda: said(caplog))
        server.start()
        for thread in threads:
            thread.join()
        found.append(buckets.get(id))
    assert [each and each.id for each in found] == [id] * 3
    away, back = said(caplog)
    assert away.startswith(f"{server.url} does not answer: ")
    assert "POST /view was tried for N s by now, and is for N s more." in away
    assert back.startswith(f"{server.url} answers again, after ")
