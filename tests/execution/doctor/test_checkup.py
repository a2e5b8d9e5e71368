"""A site looked over, from the commands of its batch system to a probe on a node."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from daskflow.errors import BatchRefused, BatchSilent
from daskflow.execution.doctor.checkup import check_site
from daskflow.execution.doctor.findings import Mark
from daskflow.execution.doctor.patient import Patient
from tests.execution.doctor.conftest import QUEUE, FakeSystem

Make = Callable[..., Patient]


def marks(patient: Patient) -> dict[str, Mark]:
    return {one.check: one.mark for one in check_site(patient, 60)}


def test_the_order_is_that_in_which_one_would_mend(patient: Make) -> None:
    found = marks(patient(tls=True))
    assert list(found)[:9] == [
        "commands",
        "answers",
        "pool default",
        "pool default, submission",
        "locks",
        "logs",
        "artifacts",
        "shared directory",
        "interface",
    ]
    assert found.pop("interface") is Mark.warning
    assert set(found.values()) == {Mark.ok}
    assert "probe" in found


def test_without_commands_nobody_is_asked(patient: Make, system: FakeSystem) -> None:
    system.commands = ("no-such-program",)
    system.wrong["alive"] = AssertionError("asked")
    found = marks(patient())
    assert (found["commands"], found["queues"], found["probe"]) == (Mark.broken, Mark.skipped, Mark.skipped)
    assert found["locks"] is Mark.ok, "what does not need the batch system is looked at all the same"


@pytest.mark.parametrize("error", [BatchSilent("munge is dead. Start it."), BatchRefused("no. Go.")])
def test_a_system_that_does_not_answer(patient: Make, system: FakeSystem, error: Exception) -> None:
    system.wrong["alive"] = error
    found = marks(patient())
    assert (found["answers"], found["probe"]) == (Mark.broken, Mark.skipped)
    assert system.scripts == []


def test_a_pool_that_does_not_fit_is_not_submitted(patient: Make, system: FakeSystem) -> None:
    system.queues = [QUEUE._replace(cores=1)]
    found = marks(patient())
    assert "pool default, submission" not in found
    assert (found["pool default"], found["probe"]) == (Mark.broken, Mark.skipped)


def test_a_system_that_tells_no_limits(patient: Make, system: FakeSystem) -> None:
    system.queues = []
    found = marks(patient())
    assert found["queues"] is Mark.skipped
    assert "pool default" not in found
    assert found["pool default, submission"] is Mark.ok


def test_a_broken_interface_sends_no_probe(patient: Make, system: FakeSystem) -> None:
    assert marks(patient(interface="ib9"))["probe"] is Mark.skipped
    assert system.scripts == []


def test_a_site_without_a_batch_system(patient: Make) -> None:
    assert list(marks(patient()._replace(system=None))) == ["locks", "logs", "artifacts"]
    found = marks(patient()._replace(system=None, address="tcp://127.0.0.1:1"))
    assert found["scheduler"] is Mark.broken


def test_an_allocation_that_is_not_there(patient: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    first, *others = check_site(patient()._replace(system=None, kind="allocation"), 60)
    assert (first.check, first.mark, first.text) == (
        "allocation",
        Mark.broken,
        "This process runs in no job of Slurm",
    )
    assert first.cure.startswith("Start it by `sbatch` or `salloc`")
    assert {one.check for one in others} >= {"shared directory", "interface", "probe"}


def test_an_allocation_that_is_there(patient: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("PATH", str(tmp_path))
    found = list(check_site(patient()._replace(system=None, kind="allocation"), 60))
    assert (found[0].mark, "srun is not installed" in found[0].text) == (Mark.broken, True)
    (tmp_path / "srun").touch(mode=0o755)
    found = list(check_site(patient()._replace(system=None, kind="allocation"), 60))
    assert (found[0].check, found[0].mark) == ("allocation", Mark.ok)
    assert (found[-1].check, found[-1].mark) == ("probe", Mark.skipped), (
        "it is told that nothing was tried on the nodes"
    )
