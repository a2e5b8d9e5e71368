from __future__ import annotations

import json
import math
from enum import IntEnum, StrEnum
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daskflow.model.jsons import as_text, json_ready, size_of
from daskflow.model.policy import Resources


class Colour(StrEnum):
    red = "red"


class Level(IntEnum):
    high = 3


class Text(str):
    __slots__ = ()


class TestJsonReady:
    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            (None, None),
            (True, True),
            (7, 7),
            (1.5, 1.5),
            ("a", "a"),
            ((1, (2, 3)), [1, [2, 3]]),
            ({3}, [3]),
            (frozenset("a"), ["a"]),
            ({"a": {"b": ()}}, {"a": {"b": []}}),
            (Colour.red, "red"),
            (Level.high, 3),
            (Text("x"), "x"),
            ({Text("k"): 1}, {"k": 1}),
            (np.float32(0.5), 0.5),
            (np.int64(4), 4),
            (np.bool_(True), True),
            (np.array([[1, 2]]), [[1, 2]]),
            (np.array(3.0), 3.0),
            (math.inf, "Infinity"),
            (-math.inf, "-Infinity"),
            (np.float64("nan"), "NaN"),
            ("a\0b", "a\ufffdb"),
            ("\ud83d", "\ufffd"),
            ("\ud83d\ude80", "🚀"),
            ({"\0": "\udfff"}, {"\ufffd": "\ufffd"}),
            (2**63 - 1, 2**63 - 1),
        ],
    )
    def test_what_json_holds(self, value: Any, expected: Any) -> None:
        ready = json_ready(value)
        assert ready == expected
        assert type(ready) is type(expected)

    def test_records_of_pydantic(self) -> None:
        assert json_ready({"r": Resources(cores=2)})["r"]["cores"] == 2

    @pytest.mark.parametrize(
        ("value", "message"),
        [
            ({"a": [1, {"b": object()}]}, r"^results\.a\[1\]\.b is of the type object, which JSON cannot hold"),
            (b"x", "^results is of the type bytes"),
            ({1: 2}, r"^results has the key 1, and keys of JSON are texts; make a text of it: str\(key\)$"),
            ({"a": {None: 2}}, r"^results\.a has the key None"),
            ([2**63], r"^results\[0\] is an integer of more than 64 bits"),
            (-(2**63) - 1, "more than 64 bits"),
            (1j, "complex"),
            (np.array(["2026"], dtype="datetime64[Y]"), "which JSON cannot hold"),
            (np.array([1j]), r"results\[0\] is of the type complex"),
            (Resources, "which JSON cannot hold"),
        ],
    )
    def test_what_json_does_not_hold(self, value: Any, message: str) -> None:
        with pytest.raises(ValueError, match=message):
            json_ready(value, where="results")

    def test_a_hundred_levels_and_no_more(self) -> None:
        value: Any = 1
        for _ in range(100):
            value = [value]
        assert json_ready(value) == value
        with pytest.raises(ValueError, match="nested more than 100 levels"):
            json_ready([value])

    def test_what_holds_itself(self) -> None:
        value: dict[str, Any] = {}
        value["a"] = value
        with pytest.raises(ValueError, match="nested more than 100 levels"):
            json_ready(value)

    @given(
        st.recursive(
            st.none() | st.booleans() | st.floats() | st.text() | st.integers(-(2**63), 2**63 - 1),
            lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner),
            max_leaves=20,
        )
    )
    def test_it_comes_back_from_text_as_it_was(self, value: Any) -> None:
        ready = json_ready(value)
        text = as_text(ready)
        text.encode()
        assert "\0" not in text
        assert json.loads(text) == ready
        assert json_ready(ready) == ready


@pytest.mark.parametrize("value", [None, {"a": [1, "é", True], "b\n": "\u2028"}, "é" * 5, 1e300, [[]] * 9])
def test_size_is_that_of_the_text(value: Any) -> None:
    assert size_of(value) == len(as_text(value).encode())


def test_text_has_no_blanks_and_no_numbers_that_json_has_not() -> None:
    assert as_text({"a": [1, "é"]}) == '{"a":[1,"é"]}'
    assert as_text([math.nan, -math.inf]) == '["NaN","-Infinity"]'
