"""Finds the syntax tree that a loaded function or class was made from.

A source file may have changed since its module was imported. A tree is therefore only handed out when
compiling it gives the very code that is loaded; otherwise the caller falls back to the bytecode.
"""

from __future__ import annotations

import ast
import linecache
import sys
from collections.abc import Iterator
from types import CodeType, FunctionType

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


class SourceFile:
    """The definitions in one source file, or in one notebook cell.

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
        tree = ast.parse(text, filename)
        self._functions: dict[str, list[tuple[CodeType, Definition]]] = {}
        self._classes: dict[str, list[ast.ClassDef]] = {}
        self._collect(tree, compile(tree, filename, "exec", dont_inherit=True))
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                self._classes.setdefault(node.name, []).append(node)

    def _collect(self, tree: ast.AST, module: CodeType) -> None:
        nodes: dict[tuple[str, int], list[Definition]] = {}
        for node in ast.walk(tree):
            if isinstance(node, _FUNCTIONS):
                nodes.setdefault((_name(node), _first_line(node)), []).append(node)
        # Two lambdas of one line share name and line; both lists are in the order of the source then.
        for found in nodes.values():
            found.sort(key=lambda node: node.col_offset)
        taken: dict[tuple[str, int], int] = {}
        for code in _nested(module):
            place = (code.co_name, code.co_firstlineno)
            index = taken.get(place, 0)
            if index < len(nodes.get(place, ())):
                taken[place] = index + 1
                self._functions.setdefault(code.co_name, []).append((code, nodes[place][index]))

    def function(self, code: CodeType) -> Definition | None:
        """The definition whose code equals `code` but for its position, the nearest one first."""
        found = sorted(
            self._functions.get(code.co_name, ()),
            key=lambda pair: abs(pair[0].co_firstlineno - code.co_firstlineno),
        )
        return next((node for own, node in found if same_code(own, code)), None)

    def class_(self, name: str, methods: dict[str, CodeType]) -> ast.ClassDef | None:
        """The class of that name whose methods have the given codes."""
        for node in reversed(self._classes.get(name, [])):
            own = {child.name: child for child in node.body if isinstance(child, _FUNCTIONS[:2])}
            if all(self.function(code) is own[name] for name, code in methods.items() if name in own):
                return node
        return None


_FILES: dict[str, tuple[tuple[str, ...], SourceFile | None]] = {}


def source_file(filename: str) -> SourceFile | None:
    """The definitions of a file as it is now, or None where it cannot be read."""
    linecache.checkcache(filename)
    lines = tuple(linecache.getlines(filename))
    known = _FILES.get(filename)
    if known is None or known[0] != lines:
        known = _FILES[filename] = (lines, _parse("".join(lines), filename))
    return known[1]


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


def class_tree(cls: type) -> ast.ClassDef | None:
    """The tree of a class, or None where no source gives the methods that are loaded."""
    methods = {name: member.__code__ for name, member in vars(cls).items() if isinstance(member, FunctionType)}
    names = {code.co_filename for code in methods.values() if not code.co_filename.startswith("<")}
    found = source_file(_file_of(cls) if not names else sorted(names)[0])
    return found.class_(cls.__name__, methods) if found else None


def _file_of(cls: type) -> str:
    return getattr(sys.modules.get(cls.__module__), "__file__", None) or ""


def same_code(one: CodeType, other: CodeType) -> bool:
    """Whether two codes do the same, wherever they stand."""
    return (
        one.co_code == other.co_code
        and one.co_names == other.co_names
        and one.co_varnames == other.co_varnames
        and one.co_freevars == other.co_freevars
        and one.co_flags == other.co_flags
        and len(one.co_consts) == len(other.co_consts)
        and all(map(_same_constant, one.co_consts, other.co_consts))
    )


def _same_constant(one: object, other: object) -> bool:
    if isinstance(one, CodeType) and isinstance(other, CodeType):
        return same_code(one, other)
    return type(one) is type(other) and repr(one) == repr(other)


def code_text(code: CodeType) -> str:
    """A text of the bytecode, without positions and docstring: stands in where there is no source."""
    constants = [code_text(c) if isinstance(c, CodeType) else repr(c) for c in code.co_consts[_documented(code) :]]
    return f"code({code.co_code.hex()},{code.co_names},{code.co_varnames},{code.co_freevars},{constants})"


def _documented(code: CodeType) -> int:
    # The first constant of a function is its docstring, or None where it has none.
    if sys.version_info >= (3, 13):
        return int(bool(code.co_flags & 0x4000000))  # CO_HAS_DOCSTRING
    return int(bool(code.co_consts) and isinstance(code.co_consts[0], str) and code.co_name != "<lambda>")


def _nested(code: CodeType) -> Iterator[CodeType]:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from _nested(constant)


def codes_of(code: CodeType) -> Iterator[CodeType]:
    """A code and all codes inside it."""
    yield code
    yield from _nested(code)


def _name(node: Definition) -> str:
    return "<lambda>" if isinstance(node, ast.Lambda) else node.name


def _first_line(node: Definition) -> int:
    decorators = [] if isinstance(node, ast.Lambda) else node.decorator_list
    return min([node.lineno, *(decorator.lineno for decorator in decorators)])
