from __future__ import annotations

from daskflow.compat.prominence.documents import ResourcesDocument
from daskflow.compat.prominence.resources import CpusInterval, Resources


def test_what_is_said_stands_in_the_description_once() -> None:
    assert Resources().to_dict() == {"nodes": 1, "disk": 10, "cpus": 1, "memory": 1}
    given = Resources(cpus=8, memory_per_cpu=2, walltime=60)
    assert given.to_dict() == {"nodes": 1, "disk": 10, "cpus": 8, "memoryPerCpu": 2, "walltime": 60}


def test_ranges_replace_the_number_and_are_separate_things() -> None:
    given = Resources()
    given.cpus_range.min, given.cpus_range.max = 2, 8
    assert given.to_dict()["cpusRange"] == [2, 8]
    assert "cpus" not in given.to_dict()
    assert given.cpus == 1
    assert given.cpus_options == CpusInterval()
    assert ResourcesDocument.model_validate(given.to_dict()).cores == 2


def test_half_a_range_is_none() -> None:
    given = Resources()
    given.total_cpus_range.min = 2
    assert given.to_dict()["cpus"] == 1


def test_it_comes_back_from_its_description() -> None:
    given = Resources(nodes=2, memory=1.5)
    given.total_cpus_range = CpusInterval(4, 16)
    assert Resources.from_dict(given.to_dict()) == given
