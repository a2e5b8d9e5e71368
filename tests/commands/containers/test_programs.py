from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from daskflow.commands.containers.programs import answers, find, run, user_name
from daskflow.errors import ContainerError


def test_a_program_is_found_by_its_absolute_path() -> None:
    assert os.path.isabs(find("sh"))
    with pytest.raises(ContainerError, match="no program 'daskflow-no-such-program'"):
        find("daskflow-no-such-program")


def test_what_a_program_writes_is_given() -> None:
    assert run(["sh", "-c", "echo $A; echo noise >&2"], "speak", {"A": "text"}) == "text"


def test_a_failure_says_what_was_tried_and_what_the_program_said() -> None:
    with pytest.raises(ContainerError, match=r"sh cannot pull it \(exit code 3\): no route"):
        run(["sh", "-c", "echo no route >&2; exit 3"], "pull it")


def test_only_a_good_end_in_time_is_an_answer(stub: Callable[..., object]) -> None:
    stub("engine", (["info"], "well", 0), (["broken"], "badly", 1))
    assert answers(["engine", "info"]) == "well"
    assert answers(["engine", "broken"]) is None
    assert answers(["sleep", "60"], patience=0.1) is None
    assert answers(["daskflow-no-such-program"]) is None


def test_a_user_without_a_name_is_called_by_the_number(monkeypatch: pytest.MonkeyPatch) -> None:
    assert user_name()
    monkeypatch.setattr(os, "getuid", lambda: 987654321)
    assert user_name() == "987654321"


def test_a_missing_program_is_named_with_what_it_is_needed_for() -> None:
    with pytest.raises(ContainerError, match=r"no program 'no-such-thing' on this node to pull python:3\.12\."):
        run(["no-such-thing"], "pull python:3.12")
