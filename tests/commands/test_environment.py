from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from daskflow.commands.environment import own_variables
from daskflow.commands.order import Order, Tools
from daskflow.commands.scratch import Scratch
from daskflow.errors import ArgumentsInvalid
from daskflow.model.command import Command

COMMANDS = (Command("env"),)


def test_what_a_command_is_told(scratch: Scratch, tmp_path: Path) -> None:
    tools = Tools(root=tmp_path, run="r1", job="fit-0a", attempt=2, time_left=lambda: 12.5)
    assert own_variables(Order(COMMANDS, cores=3, memory=1 << 30), tools, scratch, {}) == {
        "DASKFLOW_RUN": "r1",
        "DASKFLOW_JOB": "fit-0a",
        "DASKFLOW_ATTEMPT": "2",
        "DASKFLOW_SCRATCH_DIR": str(scratch.work),
        "DASKFLOW_TIME_LEFT": "12.500",
        "DASKFLOW_CORES": "3",
        "DASKFLOW_MEMORY": "1073741824",
        "OMP_NUM_THREADS": "3",
        "MKL_NUM_THREADS": "3",
        "OPENBLAS_NUM_THREADS": "3",
        "TMPDIR": str(scratch.tmp),
    }


def test_what_is_not_known_is_not_told(scratch: Scratch, tmp_path: Path) -> None:
    found = own_variables(Order(COMMANDS), Tools(root=tmp_path), scratch, {})
    assert not {"DASKFLOW_TIME_LEFT", "DASKFLOW_CORES", "DASKFLOW_MEMORY", "OMP_NUM_THREADS"} & set(found)


def test_time_is_never_negative(scratch: Scratch, tmp_path: Path) -> None:
    found = own_variables(Order(COMMANDS), Tools(root=tmp_path, time_left=lambda: -1.0), scratch, {})
    assert found["DASKFLOW_TIME_LEFT"] == "0.000"


def test_each_rank_of_a_batch_job_has_its_part_of_the_cores(
    scratch: Scratch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DASKFLOW_THREADS", "2")
    found = own_variables(Order(COMMANDS, cores=8), Tools(root=tmp_path), scratch, {})
    assert (found["OMP_NUM_THREADS"], found["DASKFLOW_CORES"]) == ("2", "8")


def test_what_the_user_says_wins(scratch: Scratch, tmp_path: Path) -> None:
    order = Order(COMMANDS, env={"OMP_NUM_THREADS": "{n}", "A": "job", "B": "job"}, parameters={"n": 2}, cores=8)
    found = own_variables(order, Tools(root=tmp_path), scratch, {"B": "command"})
    assert (found["OMP_NUM_THREADS"], found["MKL_NUM_THREADS"], found["A"], found["B"]) == ("2", "8", "job", "command")
    with pytest.raises(ArgumentsInvalid, match="no parameter"):
        own_variables(order._replace(parameters={"m": 1}), Tools(root=tmp_path), scratch, {})


def test_parameters_are_variables_where_they_have_a_text(scratch: Scratch, tmp_path: Path) -> None:
    parameters = {
        "nsteps": 100, "x": 0.1, "text": "a b\n", "list": (1, "b"), "map": {"a": [1]}, "array": np.arange(2),
        "none": None, "data": b"x", "long": "x" * 100_000, "deep": [object()], "no=name": 1,
    }  # fmt: skip
    found = own_variables(Order(COMMANDS, parameters=parameters), Tools(root=tmp_path), scratch, {})
    assert {name: text for name, text in found.items() if name.startswith("DASKFLOW_PARAM_")} == {
        "DASKFLOW_PARAM_NSTEPS": "100",
        "DASKFLOW_PARAM_X": "0.1",
        "DASKFLOW_PARAM_TEXT": "a b\n",
        "DASKFLOW_PARAM_LIST": '[1, "b"]',
        "DASKFLOW_PARAM_MAP": '{"a": [1]}',
        "DASKFLOW_PARAM_ARRAY": "[0, 1]",
    }
