from __future__ import annotations

from daskflow.compat.prominence.documents import TaskDocument
from daskflow.compat.prominence.tasks import Task


def test_arguments_stand_in_the_order_of_the_client() -> None:
    task = Task("centos:7", "singularity", "date", "basic")
    assert (task.image, task.runtime, task.command) == ("centos:7", "singularity", "date")


def test_what_is_not_said_is_left_out() -> None:
    assert Task(command="date", image="").to_dict() == {"cmd": "date", "type": "basic"}


def test_it_comes_back_from_its_description() -> None:
    task = Task("a:b", "udocker", "run 'x y'", "openmpi", "sub", {"A": "b=c"}, 4)
    assert Task.from_dict(task.to_dict()) == task
    assert TaskDocument.model_validate(task.to_dict()).env == {"A": "b=c"}


def test_environments_are_not_shared_and_the_command_has_two_names() -> None:
    first, second = Task(), Task()
    first.env["A"] = 1
    first.cmd = "date"
    assert second.env == {}
    assert first.command == first.cmd == "date"
