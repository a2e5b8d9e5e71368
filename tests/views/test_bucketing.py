"""`daskflow work deposit|view|show|status|audit|rm|lock|unlock`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import typer

from daskflow.errors import DaskflowError
from daskflow.model.work import Work, WorkStatus
from daskflow.stores.buckets import Buckets
from daskflow.stores.buckets.table import WorkTable
from daskflow.stores.database import Database
from daskflow.views.works import app


class Desk:
    """The command line, without a process of its own for each command."""

    def __init__(self, directory: Path, shown: pytest.CaptureFixture[str]) -> None:
        self.directory = directory
        self._shown = shown
        self._command = typer.main.get_command(app)

    def write(self, name: str, text: str) -> None:
        (self.directory / name).write_text(text)

    def run(self, *arguments: str, code: int = 0) -> str:
        """What a command prints that ends with that exit code."""
        self._shown.readouterr()
        assert (self._command.main(list(arguments), standalone_mode=False) or 0) == code
        return self._shown.readouterr().out

    def json(self, *arguments: str, code: int = 0) -> Any:
        return json.loads(self.run(*arguments, "--json", code=code), parse_constant=pytest.fail)

    def error(self, *arguments: str) -> str:
        """What a command says that cannot do what is asked."""
        with pytest.raises(DaskflowError) as found:
            self.run(*arguments)
        return str(found.value)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Desk:
    monkeypatch.chdir(tmp_path)
    return Desk(tmp_path, capsys)


@pytest.fixture
def buckets(place: Desk) -> Buckets:
    return Buckets(WorkTable(Database(place.directory / ".daskflow/journal.db")))


def make(**fields: object) -> Work:
    return Work(pipeline="sample", site="local", user="ada", **fields)


def test_a_work_is_deposited_from_options_and_shown(place: Desk) -> None:
    options = ["--set", "x=3", "--set", "name=fit", "--event", "7", "--tag", "a", "--priority", "5", "--user", "ada"]
    (id,) = place.json("deposit", "sample", "--function", "math.sqrt", *options)
    shown = place.json("show", id)
    assert shown["parameters"] == {"x": 3, "name": "fit"}
    assert (shown["event"], shown["tags"], shown["priority"], shown["status"]) == ([7], ["a"], 5, "queued")
    told = place.run("show", id)
    assert "function:   math.sqrt" in told
    assert "no work nothing" in place.error("show", "nothing")


def test_works_are_deposited_from_files(place: Desk, buckets: Buckets) -> None:
    payloads = [make(function="math.sqrt", parameters={"x": x}).payload for x in (1, 2)]
    place.write("many.json", json.dumps(payloads))
    place.write("lines.json", "\n".join(map(json.dumps, payloads)))
    place.write("wrong.json", json.dumps([payloads[0], {**payloads[1], "retries": 9}]))
    assert len(place.run("deposit", "--from", "many.json").split()) == 2
    assert len(place.json("deposit", "--from", "lines.json")) == 2
    assert "Number 2 in wrong.json" in place.error("deposit", "--from", "wrong.json")
    assert "leave out" in place.error("deposit", "--from", "many.json", "--event", "7")
    assert "Name the bucket" in place.error("deposit")
    assert buckets.status() == {"total": 4, "queued": 4, "running": 0, "success": 0, "failure": 0}


def test_works_are_found_by_their_fields(place: Desk, buckets: Buckets) -> None:
    works = [make(event=[number], tags=["a"] if number > 1 else ["b"]) for number in range(4)]
    works[3].pipeline = "other"
    ids = buckets.deposit(works)
    assert [each["id"] for each in place.json("view", "sample")] == ids[2::-1]
    options = ["--event", "1", "--event", "2", "--event", "3", "--tag", "a", "--status", "queued", "--sort", "event"]
    assert [each["id"] for each in place.json("view", *options)] == ids[2:]
    assert [each["id"] for each in place.json("view", "--query", '{"event": 1}')] == [ids[1]]
    told = place.run("view", "--limit", "1", "--skip", "1")
    assert ids[2] in told
    assert "1 of 4 works" in told
    assert "no JSON" in place.error("view", "--query", "event = 1")


def test_buckets_are_counted(place: Desk, buckets: Buckets) -> None:
    buckets.deposit([make(), make()])
    buckets.withdraw("sample")
    counted = {"total": 2, "queued": 1, "running": 1, "success": 0, "failure": 0}
    assert place.json("status") == {"sample": counted}
    assert place.json("status", "sample") == {"sample": counted}
    assert "sample" in place.run("status")


def test_an_audit_puts_in_order(place: Desk, buckets: Buckets) -> None:
    buckets.deposit([make(), make(creation=1.0)])
    buckets.withdraw("sample", lease=0.001)
    assert place.json("audit", "--stale", "never") == {"failed": 0, "expired": 1, "stale": 0}
    assert "1 that had failed are queued again" in place.run("audit")
    assert "--stale" in place.error("audit", "--stale", "soon")


def test_works_are_deleted_by_id_or_by_bucket(place: Desk, buckets: Buckets) -> None:
    ids = buckets.deposit([make(event=[number]) for number in range(5)])
    assert place.run("rm", ids[0]) == "1 work is deleted.\n"
    assert "--force" in place.error("rm", "sample")
    assert buckets.count() == 4
    assert place.json("rm", "sample", "--event", "1", "--event", "2", "--force") == {"deleted": 2}
    assert "Ids say" in place.error("rm", ids[3], "--status", "queued")
    assert place.json("rm", ids[0], code=1) == {"deleted": 0}
    assert place.run("rm", "sample", "--force") == "2 works are deleted.\n"
    assert buckets.count() == 0


def test_works_of_a_run_are_listed_and_some_of_them_deleted(place: Desk, buckets: Buckets) -> None:
    ids = buckets.deposit([make(config={"parent": parent}) for parent in ("a", "b", "b", "b", "c")])
    assert [work["id"] for work in place.json("view", "sample", "--parent", "a", "-p", "c")] == [ids[4], ids[0]]
    # Those that were deposited last go first.
    assert place.json("rm", "sample", "-p", "b", "-l", "2", "-f") == {"deleted": 2}
    assert [work["id"] for work in place.json("view")] == [ids[4], ids[1], ids[0]]
    assert "Ids say" in place.error("rm", ids[0], "--limit", "1")


def test_locked_works_stay(place: Desk, buckets: Buckets) -> None:
    (id,) = buckets.deposit([make()])
    assert place.json("lock", id) == {"locked": 1}
    assert f"Locked, so that none of these works is deleted: {id}." in place.error("rm", id)
    assert place.run("unlock", id) == "1 work is unlocked.\n"
    assert place.json("rm", id) == {"deleted": 1}


def test_a_bucket_has_one_name_in_all_commands(place: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert not place._command.main(["deposit", "My_Pipe", "-f", "math.sqrt"], standalone_mode=False)
    # Warnings are errors here: none is given.
    assert capsys.readouterr().err == "The bucket of 'My_Pipe' is called my-pipe.\n"
    payload = {"pipeline": "My_Pipe", "site": "local", "user": "ada"}
    place.write("works.json", json.dumps([payload, payload]))
    assert not place._command.main(["deposit", "--from", "works.json"], standalone_mode=False)
    assert capsys.readouterr().err == "The bucket of 'My_Pipe' is called my-pipe.\n"
    assert len(place.json("view", "My_Pipe")) == 3
    assert place.json("status", "My_Pipe")["my-pipe"]["total"] == 3
    assert place.json("rm", "My_Pipe", "--force") == {"deleted": 3}


def test_what_is_not_there_is_told(place: Desk) -> None:
    for command in ("lock", "unlock", "show"):
        assert place.error(command, "abc").startswith("There is no work abc.")
    assert place.error("rm", "abc").startswith("There is no bucket and no work abc.")
    assert place.json("rm", "abc", "--force") == {"deleted": 0}
    assert "is no status" in place.error("view", "--query", '{"status": "done"}')


def test_the_terminal_of_others_obeys_no_work(place: Desk, buckets: Buckets) -> None:
    (id,) = buckets.deposit([make(function="math.sqrt")])
    work = buckets.withdraw("sample")
    assert work is not None
    work.status, work.error, work.log = WorkStatus.failure, "bad \x1b]0;mine\x07", "one\ttwo\n\x1b[2Jgone\n"
    work.results = {"x": "\x1b[31m"}
    buckets.update(work)
    shown = place.run("show", id)
    assert "  bad \\x1b]0;mine\\x07\n" in shown
    assert "  \\x1b[2Jgone\n" in shown
    for text in (shown, place.run("view", "sample")):
        assert not {letter for letter in text if ord(letter) < 0x20} - {"\n", "\t"}
