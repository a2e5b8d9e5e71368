"""Each attempt gets devices of its own."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from daskflow.execution.worker import gpus
from daskflow.execution.worker.gpus import Devices, allotted
from daskflow.sites.grip import CURRENT_GRIP, Grip, Killed
from tests.execution.worker.allocations import allocation
from tests.execution.worker.conftest import Settle


def test_without_a_batch_job_nothing_is_said() -> None:
    with allotted(1) as variables:
        assert variables == {}


def test_where_there_are_no_devices_nothing_is_said(settled: Settle) -> None:
    settled(gpus=0)
    with allotted(0) as variables:
        assert variables == {}


def test_who_asked_for_none_sees_none(settled: Settle, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in gpus.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    settled(gpus=2)
    with allotted(0) as variables:
        assert variables == {"CUDA_VISIBLE_DEVICES": ""}


@pytest.fixture
def maker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that stands for devices of AMD; it is not there."""
    path = tmp_path / "kfd"
    monkeypatch.setattr(gpus, "_AMD", path)
    return path


@pytest.mark.usefixtures("maker")
def test_devices_are_those_that_the_batch_job_was_given() -> None:
    given = Devices(allocation(gpus=2), {"CUDA_VISIBLE_DEVICES": "5,GPU-7", "ROCR_VISIBLE_DEVICES": "1,3"})
    with given.taken(1) as first, given.taken(1) as second:
        assert first == {"CUDA_VISIBLE_DEVICES": "5", "ROCR_VISIBLE_DEVICES": "1"}
        assert second == {"CUDA_VISIBLE_DEVICES": "GPU-7", "ROCR_VISIBLE_DEVICES": "3"}
    with given.taken(2) as both:
        assert both["CUDA_VISIBLE_DEVICES"] == "5,GPU-7"


def test_no_variable_is_set_beside_those_that_the_batch_job_has() -> None:
    given = Devices(allocation(gpus=2), {"ROCR_VISIBLE_DEVICES": "0,1"})
    with given.taken(1) as first, given.taken(1) as second:
        assert first == {"ROCR_VISIBLE_DEVICES": "0"}
        assert second == {"ROCR_VISIBLE_DEVICES": "1"}
    with given.taken(0) as none:
        assert none == {"ROCR_VISIBLE_DEVICES": ""}


def test_what_one_variable_lets_through_is_counted_anew_by_the_others(maker: Path) -> None:
    maker.touch()
    names = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES")
    given = Devices(allocation(gpus=3), dict.fromkeys(names, "2,4,6"))
    with given.taken(1) as first, given.taken(2) as second:
        assert [first[name] for name in names] == ["0", "0", "2"]
        assert [second[name] for name in names] == ["0,1", "0,1", "4,6"]
    with given.taken(0) as none:
        assert none == dict.fromkeys(names, "")


def test_hip_alone_is_not_counted_anew(maker: Path) -> None:
    maker.touch()
    given = Devices(allocation(gpus=2), {"HIP_VISIBLE_DEVICES": "0,1", "CUDA_VISIBLE_DEVICES": "0,1"})
    with given.taken(1), given.taken(1) as second:
        assert second == {"HIP_VISIBLE_DEVICES": "1", "CUDA_VISIBLE_DEVICES": "1"}


def test_without_variables_they_are_counted_from_zero() -> None:
    with Devices(allocation(gpus=3), {}).taken(2) as variables:
        assert variables == {"CUDA_VISIBLE_DEVICES": "0,1"}


def test_more_than_there_are_get_what_there_is() -> None:
    with Devices(allocation(gpus=2), {"CUDA_VISIBLE_DEVICES": "4"}).taken(2) as variables:
        assert variables == {"CUDA_VISIBLE_DEVICES": "4"}


def test_no_device_is_given_twice() -> None:
    given = Devices(allocation(gpus=2), {})
    lock, holders, most = threading.Lock(), set[str](), [0]

    def work() -> None:
        for _ in range(20):
            with given.taken(1) as variables:
                own = variables["CUDA_VISIBLE_DEVICES"]
                with lock:
                    assert own not in holders
                    holders.add(own)
                    most[0] = max(most[0], len(holders))
                with lock:
                    holders.discard(own)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not holders
    with given.taken(2) as both:
        assert both["CUDA_VISIBLE_DEVICES"] == "0,1", "all are back"


def test_who_is_killed_waits_no_longer() -> None:
    given = Devices(allocation(gpus=1), {})
    grip = Grip("node")
    token = CURRENT_GRIP.set(grip)
    try:
        with given.taken(1):
            grip.kill()
            with pytest.raises(Killed), given.taken(1):
                pass
    finally:
        CURRENT_GRIP.reset(token)


def test_an_error_gives_them_back() -> None:
    given = Devices(allocation(gpus=1), {})
    with pytest.raises(ValueError, match="no"), given.taken(1):
        raise ValueError("no")
    with given.taken(1) as variables:
        assert variables["CUDA_VISIBLE_DEVICES"] == "0"
