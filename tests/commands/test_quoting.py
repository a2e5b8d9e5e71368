from __future__ import annotations

import pytest

from daskflow.commands.quoting import Quotes
from daskflow.errors import ArgumentsInvalid


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("a @", '"$x"'),
        ("'a' @", '"$x"'),
        ("'a @'", "'\"$x\"'"),
        ('"a @"', "$x"),
        ('"it\'s @"', "$x"),
        ("'\"' @", '"$x"'),
        ("\\' @", '"$x"'),
        ('"\\" @"', "$x"),
        ('"$(a @)"', '"$x"'),
        ('"$(a) @"', "$x"),
        ('"$(a "b") @"', "$x"),
        ("'\\' @", '"$x"'),
        ("# don't\n@", '"$x"'),
        ("a#'b @'", "'\"$x\"'"),
        ("${a#'} @", '"$x"'),
        ("a; (b @)", '"$x"'),
        ("grep <<< a @", '"$x"'),
    ],
)
def test_what_stands_around_a_variable(line: str, expected: str) -> None:
    quotes = Quotes(line)
    assert quotes.around("$x", line.index("@")) == expected
    assert quotes.bare(line.index("@")) == (expected == '"$x"')


def test_here_documents_are_refused() -> None:
    line = "cat @ <<END\n@\nEND"
    assert Quotes(line).around("$x", line.index("@")) == '"$x"'
    with pytest.raises(ArgumentsInvalid, match="stdin"):
        Quotes(line).around("$x", line.rindex("@"))
