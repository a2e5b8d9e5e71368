"""A small image, scratch directories, and programs that stand in for runtimes that are not here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from daskflow.commands.containers import container
from daskflow.commands.containers.call import Call
from daskflow.commands.containers.runtimes import Runtime
from daskflow.commands.containers.shelf import Shelf
from daskflow.commands.scratch import Scratch
from tests.services.images import make_rootfs

_STUB = """#!{python}
import json, os, sys
arguments = sys.argv[1:]
with open({record!r}, "a") as file:
    file.write(json.dumps([arguments, dict(os.environ)]) + "\\n")
for expected, said, code in {answers!r}:
    if all(part in arguments for part in expected):
        print(said)
        sys.exit(code)
if {image!r} in arguments:
    command = arguments[arguments.index({image!r}) + 1:]
    os.execvp(command[0], command)
"""
Answer = tuple[Sequence[str], str, int]


class Stub:
    """A program that records how it is called, answers as told, and runs what follows the name of an image."""

    def __init__(self, place: Path, answers: Sequence[Answer], image: str) -> None:
        self._record = place.with_suffix(".calls")
        answers = [(list(expected), said, code) for expected, said, code in answers]
        place.write_text(_STUB.format(python=sys.executable, record=str(self._record), answers=answers, image=image))
        place.chmod(0o755)

    @property
    def calls(self) -> list[list[str]]:
        """The arguments of each call."""
        return [arguments for arguments, _ in self._read()]

    @property
    def env(self) -> dict[str, str]:
        """The environment of the last call."""
        return dict(self._read()[-1][1])

    def _read(self) -> list[Any]:
        return [json.loads(line) for line in self._record.read_text().splitlines()] if self._record.exists() else []


@pytest.fixture
def stub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Stub]:
    """Makes a stub of a name, which is found before any real program."""
    place = tmp_path / "programs"
    place.mkdir()
    monkeypatch.setenv("PATH", f"{place}:{os.environ['PATH']}")

    def make(name: str, *answers: Answer, image: str = "") -> Stub:
        return Stub(place / name, answers, image)

    return make


@pytest.fixture(autouse=True)
def _runtimes_are_forgotten() -> Iterator[None]:
    """What one test's stub says is nothing for the next."""
    yield
    container._runtime.cache_clear()


@pytest.fixture(scope="session")
def rootfs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a small image."""
    return make_rootfs(tmp_path_factory.mktemp("image") / "rootfs")


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    """A shelf of its own."""
    return Shelf(tmp_path / "shelf")


@pytest.fixture
def scratch(tmp_path: Path) -> Iterator[Scratch]:
    """A scratch directory."""
    with Scratch(tmp_path / "scratch") as made:
        yield made


Calling = Callable[..., Call]


@pytest.fixture
def calling(scratch: Scratch) -> Calling:
    """Makes calls in the scratch directory."""

    def make(*command: str, **changes: Any) -> Call:
        given = {"work": scratch.work, "temporary": scratch.tmp, "aside": scratch.path / "aside", "cwd": scratch.work}
        return Call(command=command, name="daskflow-test", **{**given, **changes})

    return make


@pytest.fixture
def said(calling: Calling) -> Callable[..., str]:
    """Runs a line for the shell in an image, by a runtime, and gives what it wrote."""

    def run(runtime: Runtime, image: str | Path, line: str, **changes: Any) -> str:
        argv, env = runtime.launch(str(image), calling("sh", "-c", line, **changes))
        done = subprocess.run(argv, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture
def behaves(rootfs: Path, said: Callable[..., str], scratch: Scratch) -> Callable[[Runtime], None]:
    """Asserts what every runtime promises of a directory that is an image."""

    def check(runtime: Runtime) -> None:
        assert said(runtime, rootfs, "cat /etc/image") == "a small image\n"
        assert said(runtime, rootfs, "pwd; echo $HOME") == f"{scratch.work}\n{scratch.work}\n"
        assert said(runtime, rootfs, 'echo "$A"', env={"A": "a 'b'\n$(id)"}) == "a 'b'\n$(id)\n"
        said(runtime, rootfs, "echo own > mine; echo temporary > /tmp/there")
        assert (scratch.work / "mine").stat().st_uid == os.getuid()
        assert (scratch.tmp / "there").read_text() == "temporary\n"
        # Neither the host nor the image can be written to, and nothing of the host is seen.
        line = f"ls {Path(__file__)} {scratch.stdout.parent}/lock; touch /etc/new /usr/new; echo; ls {scratch.path}"
        assert set(said(runtime, rootfs, line).split()) == {"tmp", "work"}
        assert not (rootfs / "etc/new").exists()

    return check
