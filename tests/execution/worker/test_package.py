from __future__ import annotations

import pickle
from typing import Any

from daskflow.execution.worker.package import ONCE, Assignment, Package, pack
from tests.execution.handmade import stored


def package(*arguments: Any) -> Package:
    assignment = Assignment("one", 0, list(arguments), (0, (1, "two"), "three", stored()))
    return Package("node", b"bench", (b"task",), (assignment,), ("one",), bundle=True)


def test_a_plain_package_comes_back_by_pickle_alone() -> None:
    assert pickle.loads(pack(package(1, "two"), plain=True)) == package(1, "two")


def test_functions_of_no_module_travel_by_value() -> None:
    def double(x: int) -> int:
        return 2 * x

    sent = pickle.loads(pack(package(double), plain=False))
    assert sent.assignments[0].arguments[0](4) == 8


def test_an_assignment_is_tried_once_unless_told_otherwise() -> None:
    assert Assignment("one", 0, []).attempts is ONCE
    assert (ONCE.retries, ONCE.timeout) == (0, None)


def test_a_package_of_many_is_small() -> None:
    assignments = tuple([Assignment(f"key-{number:032x}", 0, [number]) for number in range(1000)])
    packed = pack(Package("node", b"", (b"",), assignments, (), bundle=True), plain=True)
    assert len(packed) < 80 * 1000
