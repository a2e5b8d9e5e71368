from __future__ import annotations

from pathlib import Path

import pytest

from daskflow.sites.batch.system import Certificate
from daskflow.sites.pilots.ends import UNKNOWN, failed_start, recorded, tail, told
from daskflow.sites.pilots.pilot import Pilot


def test_a_worker_that_ended_by_itself() -> None:
    pilot = Pilot("1", "small", 0.0, "", ends=1000.0)
    assert told(0, pilot, 980.0).reason == "its time was over"
    assert told(0, pilot, 500.0) == ("its worker ended", "")
    assert told(143, pilot, 500.0) == ("its worker ended with exit code 143 (signal 15)", "WorkerLost")


def test_a_start_that_failed() -> None:
    assert failed_start(127) == ("it ended with exit code 127 before its worker arrived", "StartupFailed")
    assert recorded(None).error == "StartupFailed"
    assert not UNKNOWN.blameless


@pytest.mark.parametrize(
    ("error", "blameless"),
    [("Cancelled", True), ("Preempted", True), ("NodeFailure", True), ("WalltimeExceeded", False), ("", False)],
)
def test_ends_that_say_nothing_of_whether_pilots_can_start(error: str, blameless: bool) -> None:
    ending = recorded(Certificate("12", error, "WORD", node="n3"))
    assert ending.blameless == blameless
    assert ending.error == (error if blameless else "StartupFailed")
    assert "batch job 12: WORD, on n3" in ending.reason


def test_the_end_of_a_log(tmp_path: Path) -> None:
    log, empty = tmp_path / "log", tmp_path / "empty"
    log.write_bytes(b"\xff" + b"x" * 10_000 + b"\n" + b"\n".join(b"line %d" % number for number in range(50)) + b"\n")
    empty.touch()
    assert tail(str(log)).splitlines() == [f"line {number}" for number in range(30, 50)]
    assert tail(str(tmp_path / "none"), str(empty), str(log)).endswith("line 49")
    assert tail(str(tmp_path), str(empty)) == ""


def test_who_was_ended_from_outside_may_well_start() -> None:
    assert failed_start(143).blameless
    assert failed_start(143).error == "Cancelled"
    assert not failed_start(143, over=True).blameless, "its walltime is too short to start"
    assert not failed_start(137).blameless, "it may have used too much memory"
