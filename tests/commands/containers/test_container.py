from __future__ import annotations

import os
import pickle
import secrets
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from psutil import process_iter

from daskflow.commands.containers.container import Containers
from daskflow.commands.order import Done, Order, Tools
from daskflow.commands.perform import perform
from daskflow.commands.processes import Launch
from daskflow.commands.scratch import Scratch
from daskflow.errors import CommandFailed, ContainerError, MountMissing, PathRefused, SettingsInvalid
from daskflow.model.command import Command, InputFile
from tests.commands.containers.conftest import Stub
from tests.execution.patience import until
from tests.services.images import save
from tests.services.programs import needs


def launch_in(scratch: Scratch) -> Launch:
    return Launch(["sh", "-c", ":"], scratch.work, {**os.environ, "A": "1"}, {"A": "1"})


WORKER = """
import sys
from pathlib import Path
from daskflow.commands.containers.container import Containers
from daskflow.commands.order import Order, Tools
from daskflow.commands.perform import perform
from daskflow.model.command import Command
runtime, image, place, line = sys.argv[1:]
container = Containers(Path(place, "cache"), (runtime,)).open(image)
perform(Order((Command(f"{line} & {line}"),)), Tools(root=Path(place, "scratch"), wrap=container.wrap))
"""
RUNTIMES = [pytest.param("charliecloud", marks=needs("ch-run")), pytest.param("bubblewrap", marks=needs("bwrap"))]


PODMAN = ["podman"] if shutil.which("podman") else []
STAND_IN = "podman's stand-in"


@pytest.fixture(params=[*RUNTIMES, *PODMAN, STAND_IN])
def done(
    request: pytest.FixtureRequest, rootfs: Path, stub: Callable[..., Stub], tmp_path: Path
) -> Callable[..., Done]:
    """Performs commands in the small image, by each runtime that is here, and by one that a stub stands in for."""
    name, image = request.param, str(rootfs)
    if name == "podman":
        image = str(save(rootfs, tmp_path / "image.tar"))
        _skip_without_podman(image, tmp_path)
    if name == STAND_IN:
        stub("podman", (["info"], "true", 0), (["image", "inspect"], "{}", 0), image="small:1")
        name, image = "podman", "docker://small:1"

    def run(*given: str | list[str] | Command, **changes: object) -> Done:
        commands = tuple(one if isinstance(one, Command) else Command(one) for one in given)
        containers = pickle.loads(pickle.dumps(Containers(tmp_path / "cache", (name,))))
        tools = Tools(root=tmp_path / "scratch", wrap=containers.open(image).wrap)
        return perform(Order(commands, **changes), tools)  # type: ignore[arg-type]

    return run


def _skip_without_podman(image: str, place: Path) -> None:
    """Podman may be here and yet not run, as on machines that are containers themselves."""
    with Scratch(place / "trial") as scratch:
        argv, _, env, *_ = Containers(place / "cache", ("podman",)).open(image).wrap(launch_in(scratch), scratch)
        tried = subprocess.run(argv, env=env, capture_output=True, text=True, check=False)
    if tried.returncode:
        pytest.skip(f"podman does not run here: {tried.stderr[:200]}")


def test_commands_run_in_one_directory_with_their_inputs_and_outputs(done: Callable[..., Done]) -> None:
    inputs = (
        InputFile("in put.txt", "from {name}\n"),
        InputFile("code", "#!/bin/sh\ncat 'in put.txt'\n", executable=True),
    )
    found = done("./code > out.txt", ["cat", "out.txt"], inputs=inputs, parameters={"name": "me"}, files=("out*",))
    assert found.failure is None
    assert found.stdout == b"from me\n"
    assert list(found.outputs) == ["out.txt"]


def test_the_environment_of_the_job_is_there_and_nothing_else(
    done: Callable[..., Done], monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.setenv("OF_THE_WORKER", "here")
    found = done("echo $A $DASKFLOW_CORES; echo $OF_THE_WORKER", env={"A": "é'"}, cores=3)
    # What stands in for podman is no container.
    expected = "here" if STAND_IN in request.node.name else ""
    assert found.stdout.decode() == f"é' 3\n{expected}\n"


def test_what_is_in_the_scratch_directory_is_shown_elsewhere_too(
    done: Callable[..., Done], request: pytest.FixtureRequest
) -> None:
    command = Command("cat /data/deep/x; echo more > /data/deep/y; cat d/y", mounts={"/data/deep": "d"})
    found = done(command, inputs=(InputFile("d/x", "in\n"),), files=("d/y",))
    if STAND_IN in request.node.name:
        # It is no container.
        assert isinstance(found.failure, CommandFailed)
    else:
        assert (found.failure, found.stdout, list(found.outputs)) == (None, b"in\nmore\n", ["d/y"])


def test_what_is_not_in_the_scratch_directory_is_not_shown(done: Callable[..., Done]) -> None:
    found = done(Command("true", mounts={"/data": "d"}), inputs=(InputFile("e", "in"),))
    assert isinstance(found.failure, MountMissing)
    assert str(found.failure) == "'d' cannot be mounted: it is not in the scratch directory. It holds 'e'."
    led = done(["ln", "-s", "/", "root"], Command("true", mounts={"/data": "root/etc"}))
    assert isinstance(led.failure, PathRefused)


def test_exit_codes_and_standard_error_are_those_of_the_command(done: Callable[..., Done]) -> None:
    found = done("echo oh >&2; exit 5")
    assert isinstance(found.failure, CommandFailed)
    assert found.commands[0].code == 5
    assert found.stderr == b"oh\n"


def test_standard_input_reaches_the_command(done: Callable[..., Done]) -> None:
    assert done(Command("cat", stdin="a line\n")).stdout == b"a line\n"


@pytest.mark.parametrize("line", ["ln -s /etc/passwd out", "mkdir d; ln -s / d/out; ln -s d/out/etc/passwd out"])
def test_outputs_that_lead_out_of_the_scratch_directory_are_refused(line: str, done: Callable[..., Done]) -> None:
    assert isinstance(done(line, files=("out",)).failure, PathRefused)


@pytest.fixture
def long() -> str:
    """A time [s] that no other process on this machine sleeps."""
    return f"98765.{secrets.randbelow(10**9)}"


def sleeping(long: str) -> bool:
    return any(process.info["cmdline"] == ["sleep", long] for process in process_iter(["cmdline"]))


def test_nothing_is_alive_after_a_timeout(long: str, done: Callable[..., Done]) -> None:
    found = done(Command(f"sleep {long} & echo up; sleep {long}", timeout=5))
    assert isinstance(found.failure, CommandFailed)
    assert "timeout" in found.commands[0].end
    assert found.stdout == b"up\n"
    until(lambda: not sleeping(long))


@pytest.mark.parametrize("name", RUNTIMES)
def test_nothing_is_alive_after_the_worker_was_killed(name: str, long: str, rootfs: Path, tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", WORKER, name, rootfs, tmp_path, f"sleep {long}"]) as worker:
        until(lambda: sleeping(long))
        worker.kill()
    until(lambda: not sleeping(long))


def test_names_with_blanks_newlines_quotes_and_letters_of_all_kinds(done: Callable[..., Done]) -> None:
    names = ["a b", "a\nb", "a'b\"c", "größe ☉"]
    found = done(*(["touch", name] for name in names), files=("*",))
    assert sorted(found.outputs) == sorted(names)


def test_a_runtime_that_is_not_known_and_an_image_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid, match="rocket"):
        Containers(tmp_path, ("rocket",)).open("docker://code:1")
    with pytest.raises(ContainerError, match=r"code\.sif is not there"):
        Containers(tmp_path).open(str(tmp_path / "code.sif"))


def test_binds_and_options_of_the_site_reach_the_runtime(
    stub: Callable[..., Stub], tmp_path: Path, scratch: Scratch
) -> None:
    stub("podman", (["info"], "true", 0), (["inspect"], "{}", 0))
    containers = Containers(tmp_path, ("podman",), {"podman": ("--device=gpu",)}, ("/data:/mnt:rw",))
    container = containers.open("code:1", network=True, show=["/store"])
    argv = container.wrap(launch_in(scratch), scratch).argv
    assert {"--device=gpu", "--volume=/data:/mnt:rw", "--volume=/store:/store:ro", "--network=host"} < set(argv)


def test_what_runs_elsewhere_can_be_stopped(stub: Callable[..., Stub], tmp_path: Path, scratch: Scratch) -> None:
    program = stub("podman", (["info"], "true", 0), (["inspect"], "{}", 0), (["kill"], "", 0))
    launch = Containers(tmp_path, ("podman",)).open("code:1").wrap(launch_in(scratch), scratch)
    assert launch.stop is not None
    launch.stop()
    (name,) = [word.removeprefix("--name=") for word in launch.argv if word.startswith("--name=")]
    assert program.calls[-1] == ["kill", name]
