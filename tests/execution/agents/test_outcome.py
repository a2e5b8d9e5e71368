from pathlib import Path
from typing import Any, NamedTuple

import pytest

from daskflow.execution.agents.outcome import Unfit, in_short, outcome_of


@pytest.mark.parametrize(
    ("value", "results", "products", "plots"),
    [
        (None, None, None, None),
        (3, 3, None, None),
        (False, False, None, None),
        ([1, "a"], [1, "a"], None, None),
        ({"dm": 3}, {"dm": 3}, None, None),
        (({"dm": 3},), {"dm": 3}, None, None),
        (({"dm": 3}, ["a.h5"]), {"dm": 3}, ["a.h5"], None),
        (({"dm": 3}, ["a.h5"], ["a.png"]), {"dm": 3}, ["a.h5"], ["a.png"]),
        (({"dm": 3}, [], ["a.png"]), {"dm": 3}, [], ["a.png"]),
        (({}, None, ["a.png"]), {}, None, ["a.png"]),
        ([{"dm": 3}, [], ["a.png"]], {"dm": 3}, [], ["a.png"]),
        ((None, [Path("a.h5")], []), None, ["a.h5"], []),
        ((2.5, ["a.h5"], []), 2.5, ["a.h5"], []),
        (({"dm": 3}, "a.h5", []), {"dm": 3}, ["a.h5"], []),
        (({"dm": 3}, None, Path("a.png")), {"dm": 3}, None, ["a.png"]),
        (({"dm": 3}, ["a.h5", Path("b.h5")], "a.png"), {"dm": 3}, ["a.h5", "b.h5"], ["a.png"]),
        ((None, "a.h5", "a.png"), None, ["a.h5"], ["a.png"]),
        ((1, 2), [1, 2], None, None),
        ((1, 2, 3), [1, 2, 3], None, None),
        ([2.5, ["a.h5"], []], [2.5, ["a.h5"], []], None, None),
        ((["a"], ["b"], ["c"]), [["a"], ["b"], ["c"]], None, None),
        (({"dm": 3}, [1], []), [{"dm": 3}, [1], []], None, None),
        (({"dm": 3}, "a.h5", 1), [{"dm": 3}, "a.h5", 1], None, None),
        (({"dm": 3}, "", "a.png"), [{"dm": 3}, "", "a.png"], None, None),
        (({"dm": 3}, "converged"), [{"dm": 3}, "converged"], None, None),
        ((2.5, "a.h5", "a.png"), [2.5, "a.h5", "a.png"], None, None),
        ([{"dm": 3}, "a", "b"], [{"dm": 3}, "a", "b"], None, None),
        ([None, "a", "b"], [None, "a", "b"], None, None),
    ],
)
def test_an_outcome_is_read_by_its_places(value: Any, results: Any, products: Any, plots: Any) -> None:
    assert outcome_of(value)[:3] == (results, products, plots)


def test_a_record_is_no_triple() -> None:
    class Fit(NamedTuple):
        dm: dict[str, float]
        peaks: list[str]

    assert outcome_of(Fit({"a": 1.0}, ["x"])).results == [{"a": 1.0}, ["x"]]


def test_what_json_cannot_hold_is_refused_with_its_place() -> None:
    with pytest.raises(Unfit, match=r"results\.found is of the type object"):
        outcome_of({"found": object()})


def test_what_is_too_large_is_refused_however_deep_it_lies() -> None:
    with pytest.raises(Unfit, match="4 MiB"):
        outcome_of({"spectra": [{"power": "x" * (5 << 20)}]})


@pytest.mark.parametrize(
    ("error", "short"),
    [
        ("ValueError: no peak\n\nTraceback (most recent call last):\n  deep", "ValueError: no peak"),
        ("2 of the 3 jobs failed:\n  fit: no peak\n  fit-2: none", "2 of the 3 jobs failed: fit: no peak"),
        ("It ended with:\n\n  \nls: no room", "It ended with: ls: no room"),
        (
            "It ended with:\nTraceback (most recent call last):\n  File x\nOSError: full\n",
            "It ended with: OSError: full",
        ),
        ("It ended with:", "It ended with:"),
        ("\n", ""),
    ],
)
def test_an_error_is_told_in_one_line_that_has_the_reason(error: str, short: str) -> None:
    assert in_short(error) == short
