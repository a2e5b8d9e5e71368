"""Dotted paths into works: `results.peaks.0.dm` leads through dictionaries and lists."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from daskflow.errors import WorkInvalid
from daskflow.model.jsons import Json
from daskflow.model.work import Work

_ALIASES = {"tag": "tags"}
FIELDS = frozenset(Work.model_fields) - {"token"}
"""Fields of works that can be asked for."""
_STEPS = 100
"""No work is nested deeper."""


def steps(path: Any, *, within: bool = False) -> tuple[str, ...]:
    """The steps of a path.

    Parameters
    ----------
    within
        Whether it leads on from an element of a list; else it begins with a field of works.

    Raises
    ------
    WorkInvalid
        It is no path, or works have no such field.
    """
    parts = tuple(path.split(".")) if isinstance(path, str) else ()
    if not all(parts) or not 0 < len(parts) <= _STEPS:
        raise WorkInvalid(f"{path!r:.100} is no path to a field. Write 'results.dm'.")
    if within:
        return parts
    parts = (_ALIASES.get(parts[0], parts[0]), *parts[1:])
    _check(parts)
    return parts


def _check(parts: tuple[str, ...]) -> None:
    """See that works have such a field; what lies within parameters, results and the like may be anything."""
    kind: type[BaseModel] = Work
    for depth, name in enumerate(parts):
        fields = FIELDS if kind is Work else kind.model_fields.keys()
        if name not in fields:
            raise WorkInvalid(_unknown(parts[: depth + 1], sorted(fields)))
        inner = kind.model_fields[name].annotation
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            return
        kind = inner


def _unknown(parts: tuple[str, ...], fields: list[str]) -> str:
    near = difflib.get_close_matches(parts[-1], fields, 2)
    known = [".".join((*parts[:-1], name)) for name in near or fields]
    told = f"do you mean {' or '.join(map(repr, known))}?" if near else f"they have {', '.join(known)}."
    return f"Works have no field {'.'.join(parts)!r:.100}; {told}"


def found(value: Json, parts: tuple[str, ...]) -> Iterator[Json]:
    """All that a path leads to; nothing where it leads nowhere.

    In a list a number means an element, and any step goes on into all dictionaries of the list.
    """
    if not parts:
        yield value
    elif isinstance(value, Mapping):
        if parts[0] in value:
            yield from found(value[parts[0]], parts[1:])
    elif isinstance(value, list):
        head = parts[0]
        if head.isascii() and head.isdigit() and len(head) < 10 and int(head) < len(value):
            yield from found(value[int(head)], parts[1:])
        for each in value:
            if isinstance(each, Mapping):
                yield from found(each, parts)


Tree = dict[str, Any]
"""Steps that begin alike share their branch; None is the end of a path."""


class Projection:
    """Which parts of works are shown.

    Parameters
    ----------
    asked
        Paths with 1 for those to show, or with 0 for those to leave out; `id` is shown in any case unless it is 0.

    Raises
    ------
    WorkInvalid
        It is neither, or says of a field and of a part of it that both be shown.
    """

    def __init__(self, asked: Mapping[str, Any]) -> None:
        if not isinstance(asked, Mapping) or any(
            type(way) not in (int, bool) or way not in (0, 1) for way in asked.values()
        ):
            raise WorkInvalid(f"{asked!r:.100} is no projection. Write {{'results.dm': 1}}, or {{'log': 0}}.")
        ways = {path: bool(way) for path, way in asked.items()}
        others = {way for path, way in ways.items() if path != "id"}
        if len(others) > 1:
            raise WorkInvalid("A projection says which fields to show (1) or which to leave out (0), not both.")
        self.shows = others == {True} or (not others and ways.get("id", False))
        """Whether only what is named is shown."""
        self.tree: Tree = {}
        for path, way in ways.items():
            if way == self.shows:
                self._plant(path)
        if self.shows and ways.get("id", True):
            self.tree.setdefault("id", None)

    def _plant(self, path: str) -> None:
        branch = self.tree
        *parts, last = steps(path)
        for part in parts:
            branch = branch.setdefault(part, {})
            if branch is None:
                raise WorkInvalid(f"The projection names {path!r:.100}, and what it is part of.")
        if last in branch:
            raise WorkInvalid(f"The projection names {path!r:.100}, and parts of it or itself again.")
        branch[last] = None

    def of(self, work: dict[str, Any]) -> dict[str, Any]:
        """What is shown of a work."""
        shown: dict[str, Any] = _shown(work, self.tree) if self.shows else _rest(work, self.tree)
        return shown


def _shown(value: Json, tree: Tree) -> Json:
    if isinstance(value, Mapping):
        return {
            name: value[name] if branch is None else _shown(value[name], branch)
            for name, branch in tree.items()
            if name in value and (branch is None or isinstance(value[name], Mapping | list))
        }
    return [_shown(each, tree) for each in value if isinstance(each, Mapping | list)]


def _rest(value: Json, tree: Tree) -> Json:
    if isinstance(value, Mapping):
        return {
            name: _rest(each, tree[name]) if name in tree else each
            for name, each in value.items()
            if name not in tree or tree[name] is not None
        }
    return [_rest(each, tree) for each in value] if isinstance(value, list) else value
