"""Reads from loaded bytecode which names a function takes from outside: globals, closures and its own imports.

Bytecode knows what source does not tell without care: whether a name is local, global or of an enclosing function.
"""

from __future__ import annotations

import dis
import functools
from collections.abc import Iterator
from types import CodeType
from typing import Any, NamedTuple

Chain = tuple[str, ...]
"""A dotted name: `np.linalg.solve` is `("np", "linalg", "solve")`."""

_LOCATION = frozenset({"__builtins__", "__doc__", "__file__", "__loader__", "__name__", "__package__", "__spec__"})
"""Globals that tell where code lies, not what it does."""

_SILENT = frozenset({"CACHE", "EXTENDED_ARG", "NOP", "PUSH_NULL"})


class Import(NamedTuple):
    """An import statement inside a function, with one name that is used of it."""

    level: int
    """How many dots it begins with."""
    module: str
    path: Chain
    """What is used of the module."""


class Names(NamedTuple):
    """What a function takes from outside."""

    globals: frozenset[Chain]
    free: frozenset[Chain]
    """What is taken from enclosing functions, and from local variables that inner functions share."""
    imports: frozenset[Import]


def codes_of(code: CodeType) -> Iterator[CodeType]:
    """A code and all codes inside it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from codes_of(constant)


@functools.lru_cache(maxsize=4096)
def names_of(code: CodeType) -> Names:
    """The names that a code, and all codes inside it, take from outside."""
    reader = _Reader()
    bodies = [_instructions(inner) for inner in codes_of(code)]
    for body in bodies:
        reader.imports(body)
    for body in bodies:
        reader.loads(body)
    reader.unused()
    return Names(frozenset(reader.globals), frozenset(reader.free), frozenset(reader.found))


def _instructions(code: CodeType) -> list[dis.Instruction]:
    return [item for item in dis.get_instructions(code) if item.opname not in _SILENT]


class _Reader:
    def __init__(self) -> None:
        self.globals: set[Chain] = set()
        self.free: set[Chain] = set()
        self.found: set[Import] = set()
        self._bound: dict[str, list[tuple[int, str]]] = {}
        self._used: set[str] = set()

    def imports(self, body: list[dis.Instruction]) -> None:
        """Note the import statements and the local names that they bind."""
        for place, item in enumerate(body):
            if item.opname != "IMPORT_NAME":
                continue
            level, taken = body[place - 2].argval or 0, body[place - 1].argval
            if taken:
                self.found.update(Import(level, item.argval, (name,)) for name in taken)
                continue
            name, whole = _binding(body[place + 1 :])
            module = item.argval if whole else item.argval.partition(".")[0]
            if not whole and module != item.argval:
                self.found.add(Import(level, item.argval, ()))
            self._bound.setdefault(name, []).append((level, module))

    def loads(self, body: list[dis.Instruction]) -> None:
        """Note what is loaded, with the attributes that are taken of it at once."""
        for place, item in enumerate(body):
            if not item.opname.startswith("LOAD_") and "LOAD_FAST" not in item.opname:
                continue
            names = item.argval if isinstance(item.argval, tuple) else (item.argval,)
            for name in names:
                if isinstance(name, str):
                    chain = (name, *_attributes(body, place)) if name == names[-1] else (name,)
                    self._load(item.opname, chain)

    def _load(self, operation: str, chain: Chain) -> None:
        name = chain[0]
        if operation in ("LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"):
            if name not in _LOCATION:
                self.globals.add(chain)
        elif operation in ("LOAD_DEREF", "LOAD_CLASSDEREF", "LOAD_FROM_DICT_OR_DEREF"):
            self.free.add(chain)
        elif "LOAD_FAST" not in operation:
            return
        if name in self._bound:
            self._used.add(name)
            self.found.update(Import(level, module, chain[1:]) for level, module in self._bound[name])

    def unused(self) -> None:
        """An import whose name is not used counts for what the module does when it is imported."""
        for name in self._bound.keys() - self._used:
            self.found.update(Import(level, module, ()) for level, module in self._bound[name])


def _binding(after: list[dis.Instruction]) -> tuple[str, bool]:
    """The name that `import a.b` (a) or `import a.b as c` (c) binds, and whether it stands for the whole path."""
    whole = False
    for item in after:
        if item.opname.startswith("STORE_"):
            name: Any = item.argval[0] if isinstance(item.argval, tuple) else item.argval
            return str(name), whole
        whole = True  # IMPORT_FROM stands between: there is an `as`
    return "", whole


def _attributes(body: list[dis.Instruction], place: int) -> Iterator[str]:
    for item in body[place + 1 :]:
        if item.opname not in ("LOAD_ATTR", "LOAD_METHOD"):
            return
        yield item.argval
