from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from daskflow.commands.order import Done, Order, Tools
from daskflow.commands.perform import perform
from daskflow.commands.scratch import Scratch
from daskflow.errors import (
    ArgumentsInvalid,
    ArtifactError,
    CommandError,
    CommandFailed,
    OutputMissing,
    PathRefused,
    ScratchFull,
)
from daskflow.model.command import Command, InputFile

Performed = Callable[..., Done]
FULL_DISK = """
import subprocess, sys
from pathlib import Path
from daskflow.commands.order import Order, Tools
from daskflow.commands.perform import perform
from daskflow.model.command import Command
root = Path(sys.argv[1])
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", root], check=True)
for line in ("head -c 2000000 /dev/zero > data", "head -c 2000000 /dev/zero", "exit 1"):
    print(type(perform(Order((Command(line),)), Tools(root=root)).failure).__name__)
"""


def test_a_whole_job(done: Performed, tmp_path: Path) -> None:
    made = done(
        "./run.sh {n} > out/{name}.txt",
        Command("cat -", stdin="{n}"),
        inputs=(
            InputFile("run.sh", '#!/bin/sh\necho "$1 {n} ${n}" $DASKFLOW_PARAM_NAME; cat data/raw\n', executable=True),
            InputFile("data/raw", b"{n}\n"),
            InputFile("out/.keep", ""),
        ),
        parameters={"n": 3, "name": "it's é"},
        files=("out/*",),
        folders=("d*",),
        store=lambda path, name: (path.is_dir(), name, path.name),
        job="melt-01",
    )
    assert made.failure is None
    assert made.outputs == {"data": (True, "data", "data"), "out/it's é.txt": (False, "out/it's é.txt", "it's é.txt")}
    assert list((tmp_path / "scratch").iterdir()) == []
    made = done("cat x", inputs=(InputFile("x", "{n} ${n} {m}"),), parameters={"n": 3})
    assert made.stdout == b"3 ${n} {m}"


def test_outputs_are_kept_after_a_failure(done: Performed) -> None:
    made = done("echo a > a.txt; exit 1", files=("*.txt", "missing", "a.*"))
    assert isinstance(made.failure, CommandFailed)
    assert made.outputs == {"a.txt": b"a\n"}


@pytest.mark.parametrize(
    ("files", "folders", "message"),
    [
        (["log", "dump.*"], [], r"No file matches 'dump\.\*'.*It holds 'log', 'sub/'\."),
        (["sub"], [], "No file matches 'sub', but a directory does"),
        ([], ["log"], "No directory matches 'log', but a file does"),
    ],
)
def test_missing_outputs(done: Performed, files: list[str], folders: list[str], message: str) -> None:
    made = done("mkdir sub; touch log", files=files, folders=folders)
    with pytest.raises(OutputMissing, match=message):
        raise made.failure or AssertionError
    assert list(made.outputs) == files[:-1]


def test_hostile_outputs_are_refused_and_the_others_kept(done: Performed, tmp_path: Path) -> None:
    made = done("ln -s /etc/passwd p; echo > q", files=("p", "q", "../stdout"), store=lambda _, name: name)
    assert isinstance(made.failure, PathRefused)
    assert made.outputs == {"q": "q"}


@pytest.mark.parametrize("name", ["../x", "/tmp/daskflow-hostile", "a/../../x"])
def test_hostile_inputs_are_refused(done: Performed, tmp_path: Path, name: str) -> None:
    made = done("echo never", inputs=(InputFile(name, ""),))
    assert isinstance(made.failure, PathRefused)
    assert (made.commands, made.stdout) == ((), b"")


def test_a_store_that_fails(done: Performed) -> None:
    def store(_: Path, name: str) -> str:
        if name == "a":
            raise CommandError("broken")
        return name

    made = done("touch a b", files=("*",), store=store)
    assert str(made.failure) == "broken"
    made = done("touch a b", files=("b", "a"), store=store)
    assert made.outputs == {"b": "b"}


def test_staging_comes_first_and_is_checked_last(done: Performed) -> None:
    steps: list[str] = []

    def stage(scratch: Scratch) -> Callable[[], None]:
        (scratch.work / "staged").write_bytes(b"staged")
        (scratch.work / "both").write_bytes(b"staged")

        def check() -> None:
            steps.append((scratch.work / "staged").read_text())
            raise CommandError("changed")

        return check

    made = done("cat staged both; echo changed > staged", inputs=(InputFile("both", "own"),), stage=stage)
    assert made.stdout == b"stagedown"
    assert steps == ["changed\n"]
    assert str(made.failure) == "changed"
    assert isinstance(done("exit 1", stage=stage).failure, CommandFailed), "the first failure counts"


def test_staging_that_fails(done: Performed) -> None:
    def stage(_: Scratch) -> None:
        raise OSError(28, "No space left on device")

    made = done("echo never", stage=stage)
    assert isinstance(made.failure, ScratchFull)
    assert made.commands == ()


def test_bad_parameters(done: Performed) -> None:
    made = done("echo a", "echo {m}", parameters={"n": 1})
    assert isinstance(made.failure, ArgumentsInvalid)
    assert made.commands == ()


def test_kept_scratch_directories(done: Performed, tmp_path: Path) -> None:
    made = done("echo a > b", keep=True)
    assert made.scratch is not None
    assert made.scratch.parent == tmp_path / "scratch"
    assert (made.scratch / "work" / "b").read_text() == "a\n"


def test_a_place_where_no_scratch_can_be_made(done: Performed, tmp_path: Path) -> None:
    (tmp_path / "scratch").touch()
    made = done("echo")
    assert isinstance(made.failure, CommandError)
    assert (made.commands, made.outputs, made.stdout, made.stderr) == ((), {}, b"", b"")


def test_what_dead_workers_left_is_swept_once(tmp_path: Path) -> None:
    left, theirs = tmp_path / "scratch" / "job-0123abcd", tmp_path / "scratch" / "precious"
    for path in (left, theirs):
        path.mkdir(parents=True)
        (path / ".daskflow-scratch").touch()
        os.utime(path, (1, 1))
    order = Order((Command("true"),))
    perform(order, Tools(root=tmp_path / "scratch"))
    assert not left.exists()
    assert theirs.exists(), "no scratch directory is called so"
    left.mkdir()
    perform(order, Tools(root=tmp_path / "scratch"))
    assert left.exists()


def test_an_output_that_cannot_be_kept_takes_no_others_along(tmp_path: Path) -> None:
    def store(path: Path, name: str) -> str:
        if name == "b":
            raise ArtifactError("no room")
        return name

    order = Order((Command("touch a b c d"),), files=("*",))
    made = perform(order, Tools(root=tmp_path / "scratch", store=store))
    assert sorted(made.outputs) == ["a", "c", "d"]
    assert str(made.failure) == "no room"


def test_many_at_once(done: Performed) -> None:
    def one(number: int) -> bytes:
        made = done("cat; echo {n} > file; cat file; sleep 0.01", parameters={"n": number}, files=("file",))
        assert made.failure is None
        assert made.outputs["file"] == made.stdout
        return bytes(made.stdout)

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(one, range(40))) == [b"%d\n" % number for number in range(40)]


def test_output_can_be_taken_elsewhere(done: Performed) -> None:
    assert done("echo abc", take=lambda path: path.stat().st_size).stdout == 4

    def fail(_: Path) -> Any:
        raise CommandError("no store")

    made = done("echo abc", take=fail)
    assert (str(made.failure), made.stdout) == ("no store", b"")


def test_a_full_disk(tmp_path: Path) -> None:
    unshare = ["unshare", "--mount", "--map-root-user"]
    if subprocess.run([*unshare, "mount", "-t", "tmpfs", "x", tmp_path], capture_output=True, check=False).returncode:
        pytest.skip("no mounts are permitted here")
    command = [*unshare, sys.executable, "-c", FULL_DISK, str(tmp_path)]
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    said = subprocess.run(command, capture_output=True, text=True, check=True, env=env)
    assert said.stdout.split() == ["ScratchFull", "ScratchFull", "CommandFailed"]
