from __future__ import annotations

import time
from pathlib import Path

import pytest

from daskflow.sites.batch.grid import (
    as_duration,
    as_epoch,
    blocks,
    in_portions,
    log_path,
    quoted,
    script_file,
)
from daskflow.sites.batch.pbs import Pbs
from daskflow.sites.batch.sge import Sge
from daskflow.sites.batch.system import Ask

ASK = Ask("a", 1, 1, 1.0, "/logs/a-%s.log")


def test_blocks_have_titles_and_attributes_on_several_lines() -> None:
    text = "Job Id: 1.head\n    a = b\n    Variable_List = X=1,\n\tY=2,Z=3\n    e =  f\n\nJob Id:\t2\n\tc = d = e\n"
    found = blocks(text, "Job Id:")
    assert found == {"1.head": {"a": "b", "Variable_List": "X=1,Y=2,Z=3", "e": " f"}, "2": {"c": "d = e"}}


def test_times_are_read() -> None:
    assert as_epoch("Sun Nov 22 01:34:02 2026") == time.mktime((2026, 11, 22, 1, 34, 2, 0, 0, -1))
    assert as_epoch("never") is None
    assert [as_duration(text) for text in ("25:00:01", "90", "INFINITY", "-")] == [90001.0, 90.0, None, None]


def test_ids_come_once_and_in_portions() -> None:
    assert [list(part) for part in in_portions(["a", "b", "a", "c"], 2)] == [["a", "b"], ["c"]]


def test_paths_of_logs() -> None:
    assert log_path(ASK, "$TASK_ID") == "/logs/a-0.log"
    assert log_path(ASK._replace(count=2), "$TASK_ID") == "/logs/a-$TASK_ID.log"
    assert [quoted("/a"), quoted("/a b")] == ["/a", '"/a b"']


def test_a_script_is_a_file_as_long_as_it_is_needed() -> None:
    with script_file("echo") as path:
        assert Path(path).read_text() == "echo"
    assert not Path(path).exists()


def test_equal_systems_are_those_of_one_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    first = Sge()
    assert first == Sge()
    assert first != Sge(parallel="other")
    assert first != Pbs()
    monkeypatch.setenv("SGE_ROOT", "/elsewhere")
    assert first != Sge()
