"""Turns syntax trees into text that holds what counts: no comments, formatting, docstrings or declarations."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator

_DOCUMENTED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Module)


@functools.lru_cache(maxsize=4096)
def tree_text(tree: ast.AST) -> str:
    """A definition as text, the same for all ways to write it.

    Notes
    -----
    What does not count is taken out of the tree itself: to copy it first takes twice as long as all the rest.
    """
    return ast.unparse(_Strip().visit(tree))


def decorator_names(tree: ast.AST) -> Iterator[tuple[str, ...]]:
    """The dotted names in the decorators of a definition, but for those that declare tasks and flows."""
    for decorator in getattr(tree, "decorator_list", ()):
        inner: set[int] = set()
        for node in ast.walk(decorator) if not _declares(decorator) else ():
            if isinstance(node, (ast.Attribute, ast.Name)) and id(node) not in inner:
                yield from _dotted(node, inner)


def _dotted(node: ast.expr, inner: set[int]) -> Iterator[tuple[str, ...]]:
    names: list[str] = []
    while isinstance(node, ast.Attribute):
        names.append(node.attr)
        node = node.value
        inner.add(id(node))
    if isinstance(node, ast.Name):
        yield (node.id, *reversed(names))


class _Strip(ast.NodeTransformer):
    """Takes out what does not count: docstrings, and the decorators that declare tasks and flows."""

    def visit(self, node: ast.AST) -> ast.AST:
        node = self.generic_visit(node)
        if isinstance(node, _DOCUMENTED):
            node.body = [item for item in node.body if not _is_docstring(item)] or [ast.Pass()]
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            node.decorator_list = [item for item in node.decorator_list if not _declares(item)]
        return node


def _is_docstring(statement: ast.stmt) -> bool:
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )


def _declares(decorator: ast.expr) -> bool:
    called = decorator.func if isinstance(decorator, ast.Call) else decorator
    name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
    return name in ("task", "flow")
