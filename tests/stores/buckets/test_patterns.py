from __future__ import annotations

import re
from typing import Any

import pytest

from daskflow.errors import WorkInvalid
from daskflow.stores.buckets import patterns
from daskflow.stores.buckets.patterns import SEARCHED, compiled_pattern


@pytest.mark.parametrize(
    ("pattern", "options", "text", "found"),
    [
        ("^a.*b$", "", "axxb", True),
        ("^A", "i", "ab", True),
        ("^b$", "m", "a\nb", True),
        ("a.b", "s", "a\nb", True),
        ("a # comment", "x", "a", True),
        ("(ab)+c", "", "ababc", True),
        ("(?:ab){2,3}", "", "abab", True),
        ("(a|b)c", "", "bc", True),
        ("(a|b)?c", "", "c", True),
        (r"(\+|\*)", "", "*", True),
        ("([*+])+", "", "*+", True),
        (r"([\]*+])+", "", "]", True),
        ("(a)(b)*", "", "abb", True),
        ("(?i:a)b+", "", "Abb", True),
        ("x", "", "abc", False),
        ("{", "", "{", True),
        # What another engine takes for more than letters.
        ("(a){e<=1}", "", "b", False),
        ("(a){e<=1}", "", "a{e<=1}", True),
        ("[[:alpha:]]", "", "b", False),
        ("[[:alpha:]]", "", "[]", True),
        (r"[\[x]", "", "[", True),
        ("[a&&b]", "", "&", True),
    ],
)
def test_searches(pattern: str, options: str, text: str, found: bool) -> None:
    assert compiled_pattern(pattern, options).found_in(text) is found


@pytest.mark.parametrize(
    "pattern",
    [
        "(a+)+$",
        "(a*)*b",
        "(a|aa)+$",
        "((a+)b?)*",
        "(?:a{2,})+",
        "(a|b)*",
        "([ab]+c?){2,}",
        "(a+){30}",
        r"(a)\1",
        "(?P<x>a)(?P=x)",
    ],
)
def test_what_may_search_for_ever(pattern: str) -> None:
    with pytest.raises(WorkInvalid, match="may search for ever"):
        compiled_pattern(pattern, "")


@pytest.mark.parametrize(
    "pattern", ["(", "[", "*", "a{99999999999}", "a{4000000000}", "(?:ab){1,1001}", "(?P<1>a)", None, 3, "a" * 1001]
)
def test_none(pattern: Any) -> None:
    with pytest.raises(WorkInvalid, match=re.escape("$regex")):
        compiled_pattern(pattern, "")


@pytest.mark.parametrize("options", ["g", "I", 3, None, ["i"]])
def test_no_options(options: Any) -> None:
    with pytest.raises(WorkInvalid, match=re.escape("$options takes letters of 'imsx'")):
        compiled_pattern("a", options)


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        (".*.*.*=.*[xy]$", "=" * 100_000),
        ("a*a*a*a*a*a*[bc]", "a" * 5000),
        ("a*[bc]", "a" * SEARCHED),
    ],
)
def test_what_searches_for_too_long_gives_up(pattern: str, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patterns, "PATIENCE", 0.05)
    compiled = compiled_pattern(pattern, "")
    with pytest.raises(WorkInvalid, match=re.escape(pattern[:100])):
        compiled.found_in(text)
    # All texts of a query together have that time.
    with pytest.raises(WorkInvalid, match="searches for longer"):
        compiled.found_in("a")


def test_of_a_long_text_the_beginning_is_searched() -> None:
    assert compiled_pattern("b", "").found_in("a" * (SEARCHED - 1) + "b")
    assert not compiled_pattern("b", "").found_in("a" * SEARCHED + "b")
