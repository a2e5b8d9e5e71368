"""Probes, by a batch system that runs them in this process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from daskflow.errors import BatchRefused, BatchSilent
from daskflow.execution.doctor import probe
from daskflow.execution.doctor.patient import Patient
from tests.execution.doctor.conftest import POOL, FakeSystem, pending

Make = Callable[..., Patient]


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "_FIRST", 0.0)
    monkeypatch.setattr(probe, "_GRACE", 0.1)
    monkeypatch.setattr(probe, "_LOOK", 0.01)


def test_a_probe_reports_and_leaves_nothing(patient: Make, system: FakeSystem, tmp_path: Path) -> None:
    seen = probe.send(patient(environment={"A": "b c"}, tls=True), system, 60)
    assert (seen.id, seen.reached, seen.stage, seen.code) == ("7", "node-7", "node", 0)
    assert seen.report is not None
    assert seen.report["network"]["reached"]
    assert (seen.report["lock"], seen.report["tls"], seen.report["artifacts"]) == ("held", "", "")
    assert seen.report["objects"].startswith("ok ")
    assert set(seen.report["packages"]) == set(probe.PACKAGES)
    assert seen.skew is not None
    assert "export A='b c'" in system.scripts[0]
    assert list((tmp_path / "home" / "checks").iterdir()) == []
    assert patient().store is not None
    assert list(patient().store.objects()) == []  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("prologue", "failed"), [(("true", "false # oh"), "false"), (("exit 3",), ""), (("if", "fi"), "")]
)
def test_a_prologue_that_fails(patient: Make, system: FakeSystem, prologue: tuple[str, ...], failed: str) -> None:
    pool = POOL._replace(queue=POOL.queue._replace(prologue=prologue))
    seen = probe.send(patient(pools=(pool,)), system, 60)
    assert seen.report is None
    assert seen.failed.startswith(failed)
    if "if" not in prologue:
        assert (seen.reached, seen.stage) == ("node-7", "prologue")
        assert seen.code in (1, 3)
    else:
        assert "syntax error" in seen.log


def test_an_interpreter_that_is_not_there(patient: Make, system: FakeSystem) -> None:
    seen = probe.send(patient(python="/no where/python"), system, 60)
    assert (seen.stage, seen.code) == ("python", 127)
    assert "There is no /no where/python" in seen.log


def test_an_interpreter_that_is_none(patient: Make, system: FakeSystem) -> None:
    seen = probe.send(patient(python="/bin/false"), system, 60)
    assert (seen.stage, seen.code, seen.report) == ("node", 1, None)


def test_a_node_that_does_not_see_the_directory(patient: Make, system: FakeSystem, tmp_path: Path) -> None:
    home = str(tmp_path / "home")
    system.change = lambda script: script.replace(home, "/elsewhere")
    seen = probe.send(patient(), system, 60)
    assert (seen.reached, seen.stage, seen.ended) == ("", "", True)
    assert "The node does not see /elsewhere" in seen.log
    assert "FAILED" in seen.certificate


def test_a_probe_that_waits_is_cancelled(patient: Make, system: FakeSystem) -> None:
    system.runs, system.standing = False, pending("Resources")
    seen = probe.send(patient(), system, 0.2)
    assert (seen.reached, seen.ended, system.cancelled) == ("", False, ["7"])
    assert seen.standing is not None
    assert seen.standing.reason == "Resources"


def test_what_waits_for_ever_is_not_waited_for(patient: Make, system: FakeSystem) -> None:
    system.runs, system.standing = False, pending("PartitionTimeLimit", hopeless=True)
    seen = probe.send(patient(), system, 1e6)
    assert system.cancelled == ["7"]
    assert seen.seconds < 1e5


def test_a_system_that_falls_silent_is_asked_again(patient: Make, system: FakeSystem) -> None:
    system.runs = False
    system.wrong["standings"] = BatchSilent()
    assert probe.send(patient(), system, 0.2).standing is None


def test_a_submission_that_is_refused(patient: Make, system: FakeSystem, tmp_path: Path) -> None:
    system.wrong["submit"] = BatchRefused("no")
    with pytest.raises(BatchRefused):
        probe.send(patient(), system, 60)
    assert list((tmp_path / "home" / "checks").iterdir()) == []
