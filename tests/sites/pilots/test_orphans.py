from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from daskflow.errors import BatchSilent
from daskflow.sites.pilots.orphans import new_token, resign, sign, sweep
from daskflow.sites.pilots.starts import Notes
from tests.sites.pilots.fleets import MemorySystem, Scene, pool

DRIVER = """
import sys
from daskflow.sites.pilots.orphans import sign
from daskflow.sites.pilots.starts import Notes
notes = Notes(sys.argv[1], sys.argv[2])
sign(notes, "cedar")
notes.submitted(["1", "2", "3"])
print("there", flush=True)
sys.stdin.read()
"""


def asks(system: MemorySystem, home: Path, token: str) -> None:
    """The batch system knows three jobs of a driver."""
    scene = Scene(home.parent / "other", pool(), arrays=False)
    ask = scene.fleet._desk.orders(scene.plan.pools[0], 1, ())[0].ask  # type: ignore[union-attr]
    system.asks = {id: ask._replace(name=f"daskflow-cedar-small-{token}") for id in ("1", "2", "3")}


@pytest.fixture
def system(tmp_path: Path) -> MemorySystem:
    found = MemorySystem()
    asks(found, tmp_path / "home", "token")
    return found


def killed_driver(home: Path, *, kill: bool = True) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", DRIVER, str(home), "token"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "there\n"
    if kill:
        process.kill()
        process.communicate()
    return process


def test_pilots_of_a_killed_driver_are_cancelled_once(tmp_path: Path, system: MemorySystem) -> None:
    killed_driver(tmp_path / "home")
    Path(Notes(str(tmp_path / "home"), "token").folder, "2.ended").write_text("0\n")
    assert sweep(str(tmp_path / "home"), "cedar", system) == ["1", "3"]
    assert system.cancelled == [["1", "3"]]
    assert sweep(str(tmp_path / "home"), "cedar", system) == []
    assert len(system.cancelled) == 1


def test_those_of_a_driver_that_lives_are_left_alone(tmp_path: Path, system: MemorySystem) -> None:
    process = killed_driver(tmp_path / "home", kill=False)
    try:
        assert sweep(str(tmp_path / "home"), "cedar", system) == []
    finally:
        process.communicate("")
    assert sweep(str(tmp_path / "home"), "cedar", system) == ["1", "2", "3"]


def test_those_of_other_sites_and_machines_are_left_alone(tmp_path: Path, system: MemorySystem) -> None:
    home = str(tmp_path / "home")
    killed_driver(tmp_path / "home")
    assert sweep(home, "larch", system) == []
    owner = Path(Notes(home, "token").owner)
    signed = json.loads(owner.read_text())
    for change in ({"host": "elsewhere"}, {"space": "pid:[1]"}):
        owner.write_text(json.dumps(signed | change))
        assert sweep(home, "cedar", system) == []
    owner.write_text(json.dumps(signed | {"boot": "before"}))
    assert sweep(home, "cedar", system) == ["1", "2", "3"]


def test_a_number_that_another_process_has_by_now_is_no_life(tmp_path: Path, system: MemorySystem) -> None:
    home = str(tmp_path / "home")
    process = killed_driver(tmp_path / "home", kill=False)
    owner = Path(Notes(home, "token").owner)
    owner.write_text(json.dumps(json.loads(owner.read_text()) | {"pid": os.getpid()}))
    try:
        assert sweep(home, "cedar", system) == ["1", "2", "3"]
    finally:
        process.communicate("")


def test_ids_that_are_jobs_of_others_by_now_are_not_cancelled(tmp_path: Path, system: MemorySystem) -> None:
    killed_driver(tmp_path / "home")
    system.asks["2"] = system.asks["2"]._replace(name="thesis")
    del system.asks["3"]
    assert sweep(str(tmp_path / "home"), "cedar", system) == ["1"]


def test_who_does_not_answer_is_asked_by_the_next_driver(tmp_path: Path, system: MemorySystem) -> None:
    killed_driver(tmp_path / "home")
    system.error = BatchSilent("no answer")
    with pytest.raises(BatchSilent):
        sweep(str(tmp_path / "home"), "cedar", system)
    system.error = None
    assert sweep(str(tmp_path / "home"), "cedar", system) == ["1", "2", "3"]


def test_a_file_that_is_no_signature_is_left_alone(tmp_path: Path, system: MemorySystem) -> None:
    notes = Notes(str(tmp_path / "home"), "token")
    notes.make()
    for text in ("", "[]", "{}", '{"site": "cedar"}'):
        Path(notes.owner).write_text(text)
        assert sweep(str(tmp_path / "home"), "cedar", system) == []


def test_logs_of_long_ago_are_removed(tmp_path: Path, system: MemorySystem) -> None:
    home = str(tmp_path / "home")
    old, young, owned = (Notes(home, name) for name in ("old", "young", "owned"))
    for notes in (old, young, owned):
        sign(notes, "larch")
    resign(old)
    resign(young)
    for notes in (old, owned):
        os.utime(notes.folder, (0, time.time() - 15 * 86400))
    sweep(home, "cedar", system)
    assert [os.path.exists(notes.folder) for notes in (old, young, owned)] == [False, True, True]


def test_where_nothing_is_nothing_is_swept(tmp_path: Path, system: MemorySystem) -> None:
    assert sweep(str(tmp_path / "nowhere"), "cedar", system) == []
    resign(Notes(str(tmp_path / "nowhere"), "token"))


def test_tokens_differ() -> None:
    assert len({new_token() for _ in range(100)}) == 100


def test_the_next_driver_sweeps_at_its_start(tmp_path: Path) -> None:
    killed_driver(tmp_path)
    scene = Scene(tmp_path)
    asks(scene.system, tmp_path / "home", "token")
    Notes(str(tmp_path), "token").submitted(["1"])
    killed_driver(tmp_path)
    scene.fleet.prepare("tcp://10.0.0.1:8786", "")
    scene.look()
    assert scene.system.cancelled == [["1", "2", "3"]]
    assert scene.told("pilots.swept") == [{"ids": ["1", "2", "3"]}]
