"""Command jobs in real containers."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from daskflow.errors import ContainerError, JobFailed
from daskflow.execution.commanding.job import CommandJob
from daskflow.model.command import Command, InputFile
from tests.conftest import Lab, settings_in
from tests.services.images import make_rootfs

RUNTIMES = [name for name, program in (("charliecloud", "ch-run"), ("bubblewrap", "bwrap")) if shutil.which(program)]


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small root filesystem."""
    return make_rootfs(tmp_path_factory.mktemp("image") / "rootfs")


@pytest.fixture(params=RUNTIMES)
def contained(request: pytest.FixtureRequest, tmp_path: Path, shared_sites: dict[str, Any]) -> Any:
    """A laboratory whose sites have one container runtime."""
    made = Lab(settings_in(tmp_path, containers=[request.param]), shared_sites)
    yield made
    made.close()


def test_there_is_a_runtime_to_test_with() -> None:
    if not RUNTIMES:
        pytest.skip("install one: apt-get install charliecloud bubblewrap")


def test_files_go_in_and_out(contained: Lab, image: Path, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "local").write_text("local ")
    job = contained.command(
        ["cat /etc/image in big local && echo done > out && echo {n}"],
        input_files=[InputFile("in", "in ")],
        artifacts=[contained.artifact("big", b"big "), tmp_path / "data" / "local"],
        parameters={"n": contained.command(["echo 5"])},
        output_files=["out"],
        image=image,
    )
    assert job.stdout() == "a small image\nin big local 5\n"
    assert job.get_output_file("out") == b"done\n"
    assert contained.command(["test -e /etc/image"], check=False).exit_codes == (1,), "outside there is none"


def test_commands_of_one_job_have_images_of_their_own(contained: Lab, image: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(image, other, symlinks=True)
    (other / "etc" / "image").write_text("another image\n")
    line = "cat /etc/image 2>/dev/null || echo none; echo >> lines"
    commands = [line, Command(line, image=str(other)), Command(line, image=""), Command("cat lines", image=str(other))]
    job = contained.command(commands, image=image)
    assert job.stdout() == "a small image\nanother image\nnone\n\n\n\n"


def test_the_image_counts_by_its_content(contained: Lab, image: Path, tmp_path: Path) -> None:
    def key(place: Path | None) -> str:
        return contained.command(["cat /etc/image"], image=place).key

    copied = tmp_path / "copy"
    shutil.copytree(image, copied, symlinks=True)
    assert key(copied) == key(image)
    (copied / "etc" / "image").write_text("another image\n")
    assert len({key(copied), key(image), key(None)}) == 3


def test_a_job_that_takes_too_long_is_dead(contained: Lab, image: Path) -> None:
    job = contained.command(["echo begun; sleep 1000"], image=image, timeout=5)
    with pytest.raises(JobFailed, match="longer than its timeout"):
        job.result(60)
    assert job.stdout() == "begun\n"


def test_an_image_that_is_not_there_is_named(lab: Lab) -> None:
    with pytest.raises((ContainerError, JobFailed), match=r"no-such\.sif"):
        lab.command(["true"], image="/no-such.sif").result(60)
    remote = lab.command(["true"], image="docker://example.org/no:such")
    with pytest.raises(JobFailed, match=r"no:such"):
        remote.result(60)


def test_a_job_without_a_container_needs_none(lab: Lab) -> None:
    assert isinstance(lab.command(["true"]), CommandJob)
    assert lab.command(["true"]).exit_codes == (0,)
