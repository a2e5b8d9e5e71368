"""Finds the syntax tree that a loaded function was made from.

A source file may have changed since its module was imported. A tree is therefore only handed out when
compiling it gives the very code that is loaded; otherwise the caller falls back to the bytecode.
"""

from __future__ import annotations

import ast
import linecache
import re
import sys
import threading
from types import CodeType, FunctionType
from typing import Any, cast

from daskflow.graph.names import codes_of

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda

_KINDS = 0xFFFF
"""The flags of a code that say what it is; higher bits tell which `__future__` it was compiled with."""


_parsing = threading.Lock()
"""CPython 3.11 counts the depth of trees in one place for all threads. One that is interrupted while it makes nodes
(the garbage collector calls Python code, such as dask's) finds the count changed by others: SystemError."""


class SourceFile:
    """The functions in one source file, or in one notebook cell.

    Parameters
    ----------
    text
        The source.
    filename
        Its name, for messages of the compiler.

    Raises
    ------
    SyntaxError
        The text is not Python.
    """

    def __init__(self, text: str, filename: str) -> None:
        with _parsing:
            tree = ast.parse(text, filename)
            module = compile(tree, filename, "exec", dont_inherit=True)
        self._functions: dict[str, list[tuple[CodeType, Definition]]] = {}
        self._collect(tree, module)

    def _collect(self, tree: ast.AST, module: CodeType) -> None:
        nodes: dict[tuple[str, int], list[Definition]] = {}
        for node in ast.walk(tree):
            if isinstance(node, Definition):
                nodes.setdefault((_name(node), _first_line(node)), []).append(node)
        for code in codes_of(module):
            found = nodes.get((code.co_name, code.co_firstlineno), [])
            if len(found) > 1:
                # Several lambdas in one line: the innermost one that holds all columns of the code.
                found = sorted([node for node in found if _holds(node, code)], key=_extent)
            if found:
                self._functions.setdefault(code.co_name, []).append((code, found[0]))

    def function(self, code: CodeType) -> Definition | None:
        """The definition whose code equals `code` but for its position, the nearest one first."""
        found = sorted(
            self._functions.get(code.co_name, ()),
            key=lambda pair: abs(pair[0].co_firstlineno - code.co_firstlineno),
        )
        return next((node for own, node in found if same_code(own, code)), None)


_FILES: dict[str, tuple[tuple[str, ...], SourceFile | None]] = {}


def source_file(filename: str) -> SourceFile | None:
    """The definitions of a file as it is now, or None where it cannot be read."""
    linecache.checkcache(filename)
    lines = tuple(linecache.getlines(filename)) or _command_line(filename)
    known = _FILES.get(filename)
    if known is None or known[0] != lines:
        known = _FILES[filename] = (lines, _parse("".join(lines), filename))
    return known[1]


def _command_line(filename: str) -> tuple[str, ...]:
    """What stands behind `python -c`."""
    if filename != "<string>":
        return ()
    for option, text in zip(sys.orig_argv, sys.orig_argv[1:], strict=False):
        if re.fullmatch("-[a-zA-Z]*c", option):
            return tuple(text.splitlines(keepends=True))
    return ()


def _parse(text: str, filename: str) -> SourceFile | None:
    try:
        return SourceFile(text, filename) if text else None
    except (SyntaxError, ValueError):
        return None


def function_tree(function: FunctionType) -> Definition | None:
    """The tree of a function, or None where no source gives the code that is loaded."""
    code = function.__code__
    found = source_file(code.co_filename)
    return found.function(code) if found else None


def same_code(one: CodeType, other: CodeType) -> bool:
    """Whether two codes do the same, wherever they stand."""
    return _essence(one) == _essence(other)


def code_text(code: CodeType) -> str:
    """A text of the bytecode, without positions and docstring: stands in where there is no source."""
    return f"code{_essence(code, documented=False)!r}"


def _essence(code: CodeType, *, documented: bool = True) -> tuple[Any, ...]:
    """What a code does; equal for equal codes in all processes of one version of Python."""
    start = 0 if documented else _documented(code)
    return (
        code.co_code,
        code.co_exceptiontable,
        code.co_flags & _KINDS,
        (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount),
        (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars),
        tuple([_constant(constant, documented) for constant in code.co_consts[start:]]),
    )


def _constant(value: object, documented: bool) -> Any:
    if isinstance(value, CodeType):
        return _essence(value, documented=documented)
    if isinstance(value, tuple):
        return ("tuple", *[_constant(item, documented) for item in value])
    if isinstance(value, frozenset):
        # The order of a set is another in each process.
        return ("set", *sorted(repr(_constant(item, documented)) for item in value))
    return type(value).__name__, repr(value)


def _documented(code: CodeType) -> int:
    # The first constant of a function is its docstring, or None where it has none.
    if sys.version_info >= (3, 14):
        return int(bool(code.co_flags & 0x4000000))  # CO_HAS_DOCSTRING
    return int(bool(code.co_consts) and isinstance(code.co_consts[0], str) and code.co_name != "<lambda>")


def _holds(node: Definition, code: CodeType) -> bool:
    """Whether all columns of a code lie within a lambda's body."""
    if not isinstance(node, ast.Lambda):
        return True
    start, stop = _span(node.body)
    places = [place for place in code.co_positions() if None not in place and place[2] != place[3]]
    return bool(places) and all(
        start <= (line, column) and (last_line, last_column) <= stop
        for line, last_line, column, last_column in cast("list[tuple[int, int, int, int]]", places)
    )


def _span(node: ast.expr) -> tuple[tuple[int, int], tuple[int, int]]:
    return (node.lineno, node.col_offset), (node.end_lineno or 0, node.end_col_offset or 0)


def _extent(node: Definition) -> tuple[int, int]:
    return (node.end_lineno or 0) - node.lineno, (node.end_col_offset or 0) - node.col_offset


def _name(node: Definition) -> str:
    return "<lambda>" if isinstance(node, ast.Lambda) else node.name


def _first_line(node: Definition) -> int:
    decorators = [] if isinstance(node, ast.Lambda) else node.decorator_list
    return min([node.lineno, *(decorator.lineno for decorator in decorators)])
