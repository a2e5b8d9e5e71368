from __future__ import annotations

import ast
import textwrap

from hypothesis import given
from hypothesis import strategies as st

from daskflow.graph.trees import decorator_names, tree_text


def text(source: str) -> str:
    return tree_text(ast.parse(textwrap.dedent(source)).body[0])


def test_only_what_counts_is_left() -> None:
    bare = text("def f(x):\n    return x\n")
    assert bare == text(
        '''
        @task(retries=3)
        @daskflow.flow
        def f(
            x,
        ):  # a comment
            """A docstring."""
            return (x)
        '''
    )
    assert bare != text("@other\ndef f(x):\n    return x\n")


def test_a_body_of_a_docstring_does_nothing() -> None:
    assert text("def f():\n    'Nothing.'") == text("def f():\n    pass")


def test_text_that_is_used_is_no_docstring() -> None:
    assert text("def f():\n    return 'a'") != text("def f():\n    return 'b'")


@given(st.text())
def test_all_constants_count(value: str) -> None:
    assert ast.literal_eval(tree_text(ast.parse(repr(value), mode="eval"))) == value


def test_names_in_decorators() -> None:
    tree = ast.parse("@a.b(c.d, e=F)\n@task(retries=R)\ndef f():\n    return G\n").body[0]
    assert set(decorator_names(tree)) == {("a", "b"), ("c", "d"), ("F",)}
