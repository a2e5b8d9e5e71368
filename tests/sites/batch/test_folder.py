from __future__ import annotations

import os
import stat
import struct
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from daskflow.sites.batch.folder import Begun, ErrandFolder, RunFolder


@pytest.fixture
def folder(tmp_path: Path) -> ErrandFolder:
    return RunFolder(str(tmp_path), "a-run").new("a-job")


def test_only_their_owner_enters_folders_and_reads_what_is_in_them(tmp_path: Path, folder: ErrandFolder) -> None:
    folder.hand(b"x")
    assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700
    assert stat.S_IMODE(folder.path.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder.path / "handed").stat().st_mode) == 0o600


def test_each_new_folder_of_a_job_has_the_next_number(tmp_path: Path) -> None:
    folders = RunFolder(str(tmp_path), "a-run")
    assert folders.of("a-job") == []
    made = [folders.new("a-job") for _ in range(11)]
    folders.new("a-job-more")
    assert [folder.number for folder in made] == list(range(1, 12))
    assert [folder.path for folder in folders.of("a-job")] == [folder.path for folder in reversed(made)]
    assert len(list(folders.all())) == 12


def test_folders_that_are_made_at_once_are_different_ones(tmp_path: Path) -> None:
    folders = RunFolder(str(tmp_path), "a-run")
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: folders.new("a-job").path, range(40)))
    assert len(set(made)) == 40


@pytest.mark.parametrize("name", ["a/b", "../up", "", "..", "x" * 400, "sp ace", "ü.1"])
def test_any_name_of_a_job_gives_a_folder_within_that_of_the_run(tmp_path: Path, name: str) -> None:
    folders = RunFolder(str(tmp_path), name)
    folder = folders.new(name)
    assert folder.path.is_dir()
    assert folder.path.parent.parent == tmp_path / "jobs"
    assert [found.path for found in folders.of(name)] == [folder.path]
    assert folders.of(f"{name}!") == []


def test_what_was_told_is_read_from_where_one_was_and_only_when_it_is_whole(folder: ErrandFolder) -> None:
    assert folder.records(0) == ([], 0)
    folder.tell(b"one")
    folder.tell(b"")
    found, at = folder.records(0)
    assert found == [b"one", b""]
    folder.tell(b"three")
    with open(folder.path / "records", "ab") as file:
        file.write(struct.pack(">Q", 4) + b"fo")
    found, later = folder.records(at)
    assert found == [b"three"]
    with open(folder.path / "records", "ab") as file:
        file.write(b"ur")
    assert folder.records(later)[0] == [b"four"]
    folder.note_heard(at)
    assert ErrandFolder(folder.path).heard == at


def test_a_job_begins_or_is_taken_back_but_never_both(tmp_path: Path) -> None:
    folders = RunFolder(str(tmp_path), "a-run")
    for number in range(30):
        folder = folders.new(f"job{number}")
        with ThreadPoolExecutor(2) as pool:
            begun = pool.submit(folder.begin, Begun("7", "n1", "host", 12))
            back = pool.submit(folder.take_back)
        assert begun.result() != back.result()
        assert folder.begun == (Begun("7", "n1", "host", 12) if begun.result() else Begun())


def test_a_job_that_its_system_queued_again_begins_again_and_no_other_one_does(folder: ErrandFolder) -> None:
    assert folder.begin(Begun("7", "n1", "host", 12))
    assert folder.begin(Begun("7", "n2", "other", 13))
    assert folder.begun == Begun("7", "n2", "other", 13)
    assert not folder.begin(Begun("8", "n1", "host", 14))
    assert not folder.take_back()


def test_who_begins_is_not_taken_for_ended(folder: ErrandFolder) -> None:
    Path(folder.end_note).write_text("143\n")
    assert folder.begin(Begun("7", "n1"))
    assert not folder.over(folder.names())
    Path(folder.end_note).write_text("143\n")
    assert not folder.begin(Begun("8", "n1"))
    assert folder.over(folder.names())
    assert folder.begin(Begun("7", "n2"))
    assert not folder.over(folder.names())


def test_who_performs_is_known_as_soon_as_it_is_written(folder: ErrandFolder) -> None:
    assert folder.performer == ""
    (folder.path / "begun").touch()
    assert folder.performer == ""
    (folder.path / "begun").unlink()
    folder.begin(Begun("7"))
    assert folder.performer == "7"


@pytest.mark.parametrize(("id", "expected"), [("7", False), ("7.pbs[2]", True), ("", True), (None, False)])
def test_a_script_sees_whether_the_place_of_its_job_is_taken(
    folder: ErrandFolder, id: str | None, expected: bool
) -> None:
    if id is not None:
        folder.begin(Begun(id, "7", "7", 7))
    done = subprocess.run(["bash", "-c", f"daskflow_id=7; {folder.not_own}"], check=False, timeout=60)
    assert (done.returncode == 0) == expected


def test_a_file_system_without_links_will_do(folder: ErrandFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*paths: object) -> None:
        raise PermissionError("no links")

    monkeypatch.setattr(os, "link", refuse)
    assert folder.begin(Begun("7", "n1"))
    assert not folder.take_back()
    assert folder.begun == Begun("7", "n1")
    assert not [name for name in folder.names() if name.startswith(".")]


def test_a_mark_that_is_being_written_counts(folder: ErrandFolder) -> None:
    (folder.path / "begun").touch()
    assert folder.begun == Begun("?")
    assert not folder.take_back()


def test_nothing_begins_in_a_folder_that_is_gone(folder: ErrandFolder) -> None:
    folder.retire(keep_log=False)
    assert not folder.path.exists()
    assert not folder.begin(Begun("7"))
    assert folder.names() == set()
    assert folder.id == ""


def test_of_what_went_wrong_script_and_log_are_kept(folder: ErrandFolder) -> None:
    folder.hand(b"package")
    folder.note_script("#!/bin/sh")
    folder.note_id("7")
    Path(folder.log).write_text("a\nb\nc\n")
    folder.tell(b"x")
    folder.retire(keep_log=True)
    assert folder.told(folder.names())
    assert folder.names() == {"script", "id", "log", "told"}
    assert folder.log_tail(2) == "b\nc"


def test_what_a_script_noted_can_be_read(folder: ErrandFolder) -> None:
    assert not folder.over(folder.names())
    Path(folder.end_note).write_text("137\n")
    Path(folder.id_note).write_text("123_4\n")
    assert folder.over(folder.names())
    assert (folder.exit_code, folder.id) == (137, "123_4")
    assert not folder.done(folder.names())
    folder.give(b"records")
    assert folder.done(folder.names())
    assert folder.result() == b"records"
