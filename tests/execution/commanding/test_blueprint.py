"""What command jobs are made of."""

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
