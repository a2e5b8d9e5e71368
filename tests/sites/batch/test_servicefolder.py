from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from daskflow.errors import StoreUnavailable
from daskflow.sites.batch.service import ServiceOrder, ServiceRecord
from daskflow.sites.batch.servicefolder import Began, Ended, Missed, ServiceFolder, sweep
from daskflow.sites.batch.system import Certificate


def record_of(name: str, token: str = "t") -> ServiceRecord:
    order = ServiceOrder.of("true", {"env": {"TOKEN": "secret"}})
    return ServiceRecord(name=name, token=token, order=order, pool="p", memory=1, walltime=1.0, created=1.0)


@pytest.fixture
def folder(tmp_path: Path) -> ServiceFolder:
    made = ServiceFolder(tmp_path, "x")
    assert made.make(record_of("x"), b"station")
    return made


def test_notes_come_back(folder: ServiceFolder) -> None:
    assert (folder.id(), folder.began(), folder.ended(), folder.killed(), folder.certificate()) == ("", *[None] * 4)
    began = Began("17", "n1", 1.0)
    ended = Ended(0, "", "", False, 2.0, 100, 0.5)
    certificate = Certificate("17", "", "COMPLETED", 0)
    folder.note_id("17")
    assert folder.id() == "17"
    assert folder.begin(began)
    folder.note_ended(ended)
    folder.note_killed()
    folder.note_certificate(certificate)
    again = ServiceFolder(folder.path.parents[1], "x")
    assert (again.id(), again.began(), again.ended(), again.certificate()) == ("17", began, ended, certificate)
    assert again.killed() is not None
    assert again.record() == record_of("x")
    assert again.station() == b"station"


def test_the_first_batch_job_that_begins_owns_it_however_many_do(folder: ServiceFolder) -> None:
    begun: list[str] = []
    start = threading.Barrier(8)

    def begin(id: str) -> None:
        start.wait()
        if ServiceFolder(folder.path.parents[1], "x").begin(Began(id, "n1", 1.0)):
            begun.append(id)

    folder.note_id("7")
    threads = [threading.Thread(target=begin, args=(str(number),)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (owner,) = begun
    began = folder.began()
    assert began is not None
    assert (folder.id(), began.id) == (owner, owner)
    assert sorted(os.listdir(folder.path)) == ["began.json", "id", "owner", "record.json", "station"]


def test_a_batch_job_that_was_put_into_the_queue_again_begins_again(folder: ServiceFolder) -> None:
    assert folder.begin(Began("17", "n1", 1.0))
    assert folder.begin(Began("17", "n2", 2.0))
    assert not folder.begin(Began("18", "n3", 3.0))
    assert folder.began() == Began("17", "n2", 2.0)


def test_a_file_system_without_links_knows_the_first_too(
    folder: ServiceFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object) -> None:
        raise PermissionError("no links")

    monkeypatch.setattr(os, "link", refuse)
    assert [folder.begin(Began(id, "n1", 1.0)) for id in ("1", "2", "1")] == [True, False, True]
    assert folder.id() == "1"


def test_what_was_removed_does_not_begin(folder: ServiceFolder) -> None:
    assert folder.remove("t")
    assert not folder.begin(Began("1", "n1", 1.0))


def test_what_has_a_certificate_is_not_begun_by_another_batch_job(folder: ServiceFolder) -> None:
    folder.note_id("2")
    folder.note_certificate(Certificate("2", "WorkerLost", "FAILED", 1))
    assert not folder.begin(Began("1", "n1", 1.0))
    assert folder.certificate() is not None


def test_a_certificate_of_another_batch_job_tells_nothing(folder: ServiceFolder) -> None:
    folder.begin(Began("1", "n1", 1.0))
    folder.note_certificate(Certificate("2", "", "COMPLETED", 0))
    assert (folder.id(), folder.certificate()) == ("1", None)


def test_what_is_missed_may_come_back(folder: ServiceFolder) -> None:
    assert folder.missed() is None
    folder.note_missed(Missed("1", 2.0))
    assert folder.missed() == Missed("1", 2.0)
    folder.note_missed(None)
    folder.note_missed(None)
    assert folder.missed() is None


def test_a_name_is_given_once_however_many_ask(tmp_path: Path) -> None:
    made: list[bool] = []
    start = threading.Barrier(8)

    def ask(number: int) -> None:
        start.wait()
        made.append(ServiceFolder(tmp_path, "x").make(record_of("x", str(number)), b""))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(made) == [False] * 7 + [True]
    assert [folder.name for folder in ServiceFolder.all(tmp_path)] == ["x"]
    assert os.listdir(tmp_path / "services") == ["x"]


def test_nobody_else_reads_the_variables(folder: ServiceFolder) -> None:
    assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.path.iterdir()} == {0o600}


def test_a_directory_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreUnavailable, match="file/services"):
        ServiceFolder(tmp_path / "file", "x").make(record_of("x"), b"")


def test_only_the_service_that_is_meant_is_removed(folder: ServiceFolder) -> None:
    assert not folder.remove("of another one")
    assert folder.record() is not None
    assert folder.remove("t")
    assert folder.record() is None
    assert not folder.remove("t")
    assert os.listdir(folder.path.parent) == []


def test_a_log_has_an_end(folder: ServiceFolder) -> None:
    assert folder.tail() == folder.tail(3) == ""
    folder.log.write_bytes(b"one\ntwo\n\xffthree")
    assert folder.tail() == "one\ntwo\n\N{REPLACEMENT CHARACTER}three"
    assert folder.tail(1) == "\N{REPLACEMENT CHARACTER}three"
    assert folder.tail(2).startswith("two\n")
    assert folder.tail(0) == ""
    assert folder.tail(10) == folder.tail()


def test_what_was_left_behind_is_swept_when_it_is_old(folder: ServiceFolder) -> None:
    old, new = (folder.path.with_name(name) for name in (".new-a", ".gone-b"))
    old.mkdir()
    new.mkdir()
    os.utime(old, (1, 1))
    sweep(folder.path.parents[1])
    assert not old.exists()
    assert new.exists()
    assert folder.record() is not None


def test_a_record_of_another_daskflow_is_passed_over(folder: ServiceFolder) -> None:
    (folder.path / "record.json").write_text('{"name": "x", "new": 1}')
    assert folder.record() is None


def test_there_are_no_services_where_nothing_is(tmp_path: Path) -> None:
    assert ServiceFolder.all(tmp_path / "nowhere") == []
    sweep(tmp_path / "nowhere")
