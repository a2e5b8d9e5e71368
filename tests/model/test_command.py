from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest

from daskflow.errors import ArgumentsInvalid, FileMissing
from daskflow.model.command import Command, InputFile


def test_lines_and_lists() -> None:
    line, argv = Command("echo a  b | cat"), Command(["echo", "a  b", Path("c")])
    assert (line.line, line.argv, line.text) == ("echo a  b | cat", (), "echo a  b | cat")
    assert (argv.line, argv.argv, argv.text) == (None, ("echo", "a  b", "c"), "echo 'a  b' c")


def test_options() -> None:
    command = Command("run", env={"A": "1"}, workdir="a", stdin=b"\xff", timeout="2 min", retries=3, sidecar=True)
    assert (command.env, command.workdir, command.stdin, command.timeout) == ({"A": "1"}, "a", b"\xff", 120.0)
    assert (command.retries, command.sidecar) == (3, True)
    assert pickle.loads(pickle.dumps(command)) == command
    assert command != Command("run")


@pytest.mark.parametrize("command", ["", " \n", [], ["", "a"], ()])
def test_empty_commands(command: Any) -> None:
    with pytest.raises(ArgumentsInvalid, match="is empty"):
        Command(command)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"timeouts": 1}, "timeouts: is no option; do you mean 'timeout'?"),
        ({"timeout": 0}, "timeout: it must be more than 0"),
        ({"timeout": "soon"}, "timeout: 'soon' is not an amount of time"),
        ({"retries": -1}, "retries: it must be at least 0"),
        ({"env": {"A": 1}}, r"env\.A: it must be a text"),
        ({"line": "other"}, "line"),
    ],
)
def test_bad_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises((ArgumentsInvalid, TypeError), match=message):
        Command("echo", **options)


def test_commands_do_not_change() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Command("echo").retries = 3


def test_files_with_content() -> None:
    file = InputFile("a/b.txt", "text é", executable=True)
    assert (file.name, file.content, file.executable) == ("a/b.txt", "text é", True)
    assert InputFile("data", b"\xff").content == b"\xff"
    assert InputFile("empty", "").content == ""
    assert pickle.loads(pickle.dumps(file)) == file


def test_local_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "data").write_bytes(b"\xff{n}")
    monkeypatch.chdir(tmp_path)
    assert InputFile("sub/data") == InputFile("data", b"\xff{n}")
    assert InputFile("other/name", path=tmp_path / "sub" / "data") == InputFile("other/name", b"\xff{n}")


def test_local_files_that_cannot_be_read(tmp_path: Path) -> None:
    for path in (tmp_path / "missing", tmp_path):
        with pytest.raises(FileMissing, match="cannot be read"):
            InputFile("name", path=path)


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (("a", "text"), {"path": "b"}, "both a content and a path"),
        (("", "text"), {}, "name: "),
        (("a", 3), {}, "content"),
    ],
)
def test_bad_files(arguments: tuple[Any, ...], options: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentsInvalid, match=message):
        InputFile(*arguments, **options)
