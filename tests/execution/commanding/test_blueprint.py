"""What command jobs are made of."""

from pathlib import Path

import pytest

from daskflow.errors import ArgumentsInvalid
from daskflow.execution.commanding.blueprint import Blueprint, Extras
from daskflow.model.command import Command
from tests.conftest import Lab


@pytest.mark.parametrize(
    ("commands", "name"),
    [
        (["lmp -in melt.in"], "lmp"),
        ([["/usr/bin/python3", "x.py"]], "python3"),
        ([Command("monitor", sidecar=True), "run it"], "run"),
        (["(cd x && make)"], "command"),
        ("echo one", "echo"),
    ],
)
def test_a_job_is_called_after_its_first_program(commands: object, name: str) -> None:
    assert Blueprint(commands, None, Extras(), {}).policy.name == name


def test_what_counts_in_keys_can_be_read(lab: Lab) -> None:
    plan = Blueprint(["cat {x}", Command(["tool"], stdin="in")], {"A": "1"}, Extras(check=False), {})
    sealed = plan.seal(lab.project, lab.launcher, "why not")
    commands, files, outputs, image, parameters, artifacts = sealed.arguments({"x": 1})
    assert commands.text == "'cat {x}' {'env': {'A': '1'}}, ['tool'] {'env': {'A': '1'}, 'stdin': 'in'}"
    assert (files.text, image.text) == ("", "")
    assert outputs.text == "[], [], check=False"
    assert (parameters, artifacts) == ({"x": 1}, [])
    assert plan.seal(lab.project, lab.launcher, "again") is sealed


def test_jobs_of_a_sweep_share_their_task_at_a_site(lab: Lab) -> None:
    sealed = Blueprint(["true"], None, Extras(), {}).seal(lab.project, lab.launcher, "")
    assert sealed.task("threads") is sealed.task("threads")
    assert sealed.task("threads") is not sealed.task("local")
    assert sealed.task("local").keeps_limits


def test_options_are_named_with_those_that_there_are() -> None:
    with pytest.raises(ArgumentsInvalid, match=r"CommandJob\(retires=...\): is no option; there are .*retries"):
        Blueprint(["true"], None, Extras(), {"retires": 3})
    with pytest.raises(ArgumentsInvalid, match=r"CommandJob\(resources\.core=...\): is no option; do you mean 'cores'"):
        Blueprint(["true"], None, Extras(), {"resources": {"core": 3}})
    with pytest.raises(ArgumentsInvalid, match=r"CommandJob\(retries=...\): it must be at least 0\."):
        Blueprint(["true"], None, Extras(), {"retries": -1})


def test_images_of_commands_count_by_their_content(lab: Lab, tmp_path: Path) -> None:
    def text(*commands: Command) -> str:
        sealed = Blueprint(list(commands), None, Extras(image="docker://all:1"), {})
        return str(sealed.seal(lab.project, lab.launcher, "").arguments({})[0].text)

    (tmp_path / "image").mkdir()
    (tmp_path / "image" / "file").write_text("one")
    own, other = Command("true", image=str(tmp_path / "image")), Command("true", image="docker://own:1")
    first = text(own)
    assert text(other) == "'true' {'image': 'own:1'}"
    assert text(Command("true", image="")) == "'true' {'image': ''}"
    assert text(Command("true", mounts={"/data": "d"})) == "'true' {'mounts': {'/data': 'd'}}"
    (tmp_path / "image" / "file").write_text("another")
    assert text(own) != first


def test_mounts_without_a_container_are_refused(lab: Lab) -> None:
    for image, own in ((None, None), ("docker://all:1", "")):
        plan = Blueprint([Command("true", image=own, mounts={"/data": "d"})], None, Extras(image=image), {})
        with pytest.raises(ArgumentsInvalid, match="'true' has mounts and no image"):
            plan.seal(lab.project, lab.launcher, "")
