"""Notices that something a fingerprint was made from is no longer what it was. It is asked at each call of a task."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import attrgetter, is_, itemgetter
from types import CellType, FunctionType
from typing import Any, NamedTuple

LARGE = 2**20
"""Global arrays over this size are not looked at again [bytes]; `Task.refresh()` says that they were changed."""

_code = attrgetter("__code__")


class _Names(NamedTuple):
    """Names in one namespace that were there, with what they led to, and names that were not."""

    namespace: Mapping[str, Any]
    present: dict[str, Any]
    absent: set[str]


class Watch:
    """What a fingerprint was made from.

    Notes
    -----
    Notices that a global or a closure's variable was bound to another object, that a function got other code (as
    IPython's autoreload does it) and that a list, a dictionary, a small array or an object was changed in place.
    """

    def __init__(self) -> None:
        self._spaces: dict[int, _Names] = {}
        self._cells: list[tuple[CellType, Any]] = []
        self._values: dict[int, tuple[Any, Callable[[Any], str], str]] = {}
        self._functions: dict[int, FunctionType] = {}
        self._sizes: list[tuple[Mapping[str, Any], int]] = []
        self._present: list[tuple[Mapping[str, Any], Callable[[Any], Any], tuple[Any, ...]]] = []
        self._absent: list[tuple[Mapping[str, Any], frozenset[str]]] = []
        self._code: tuple[Any, ...] = ()

    def name(self, namespace: Mapping[str, Any], name: str) -> None:
        """Watch a name of a module, whether it is there or not."""
        names = self._spaces.setdefault(id(namespace), _Names(namespace, {}, set()))
        if name in namespace:
            names.present[name] = namespace[name]
        else:
            names.absent.add(name)

    def members(self, cls: type) -> None:
        """Watch what a class holds."""
        namespace = vars(cls)
        self._spaces[id(cls)] = _Names(namespace, dict(namespace), set())
        self._sizes.append((namespace, len(namespace)))

    def cell(self, cell: CellType) -> None:
        """Watch a variable of a closure."""
        self._cells.append((cell, cell.cell_contents))

    def function(self, function: FunctionType) -> None:
        """Watch the code of a function."""
        self._functions[id(function)] = function

    def value(self, value: Any, text: Callable[[Any], str]) -> None:
        """Watch an object that can be changed in place, by its text."""
        size = getattr(value, "nbytes", 0)
        if id(value) not in self._values and (not isinstance(size, int) or size <= LARGE):
            self._values[id(value)] = (value, text, text(value))

    def seal(self) -> Watch:
        """Prepare for being asked, after the last object was added."""
        for names in self._spaces.values():
            if names.present:
                # With two names or more the getter returns a tuple.
                wanted = [*names.present, next(iter(names.present))]
                got = tuple([names.present[name] for name in wanted])
                self._present.append((names.namespace, itemgetter(*wanted), got))
            if names.absent:
                self._absent.append((names.namespace, frozenset(names.absent)))
        self._code = tuple(map(_code, self._functions.values()))
        return self

    def unchanged(self) -> bool:
        """Whether everything is as it was."""
        try:
            for namespace, get, before in self._present:
                if not all(map(is_, get(namespace), before)):
                    return False
            for namespace, absent in self._absent:
                if not namespace.keys().isdisjoint(absent):
                    return False
            if not all(map(is_, map(_code, self._functions.values()), self._code)):
                return False
            return not (self._cells or self._values or self._sizes) or self._unchanged_values()
        except KeyError:
            return False

    def _unchanged_values(self) -> bool:
        try:
            return (
                all(cell.cell_contents is value for cell, value in self._cells)
                and all(len(namespace) == size for namespace, size in self._sizes)
                and all(text(value) == before for value, text, before in self._values.values())
            )
        except Exception:  # an emptied cell, or a value that has no text any more
            return False
