from __future__ import annotations

from pathlib import Path

import pytest

from daskflow.errors import SettingsInvalid
from daskflow.sites.batch.processes import Processes
from daskflow.sites.batch.table import SYSTEMS, system_of


@pytest.mark.parametrize("kind", sorted(SYSTEMS))
def test_each_kind_makes_a_system_of_its_name(kind: str, tmp_path: Path) -> None:
    system = system_of(kind, str(tmp_path))
    assert system.name == kind
    assert system == system_of(kind, str(tmp_path))
    assert len({system, system_of(kind, str(tmp_path))}) == 1
    assert system.own_id
    assert system.own_node
    assert system.launch in ("srun", "mpirun")


def test_the_home_is_for_the_processes_of_this_machine(tmp_path: Path) -> None:
    assert system_of("local", str(tmp_path)) == Processes(str(tmp_path))
    assert system_of("local", str(tmp_path / "other")) != Processes(str(tmp_path))


def test_an_unknown_kind_is_told_with_those_there_are() -> None:
    with pytest.raises(SettingsInvalid, match=r"'torque'.*pbs"):
        system_of("torque")
