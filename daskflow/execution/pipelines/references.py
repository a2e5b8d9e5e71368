"""References in the fields of works, `${{ matrix.a }}`: found, and replaced by what they stand for."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from daskflow.errors import PipelineInvalid

_REFERENCE = re.compile(r"\$\{\{\s*(.*?)\s*\}\}", re.DOTALL)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*(\.[A-Za-z0-9_][A-Za-z0-9_-]*)*")


def references(value: Any, place: str) -> Iterator[tuple[str, str]]:
    """The names that a value refers to, each with its place.

    Raises
    ------
    PipelineInvalid
        Something between `${{` and `}}` is no name.
    """
    if isinstance(value, Mapping):
        for key, each in value.items():
            yield from references(each, f"{place}.{key}")
    elif isinstance(value, list):
        for at, each in enumerate(value):
            yield from references(each, f"{place}[{at}]")
    elif isinstance(value, str):
        for name in _REFERENCE.findall(value):
            if not _NAME.fullmatch(name):
                raise PipelineInvalid(
                    f"{place}: {name!r:.100} is no name. Write ${{{{ matrix.KEY }}}} or "
                    "${{ pipeline.STEP.results.NAME }}."
                )
            yield place, name
        if "${{" in _REFERENCE.sub("", value):
            raise PipelineInvalid(f"{place}: ${{{{ has no end in {value!r:.100}. Close it by }}}}.")


def replaced(value: Any, lookup: Callable[[str], Any]) -> Any:
    """A value with all references replaced: where one is all of a text its value keeps its type, within it is text.

    Examples
    --------
    >>> replaced({"x": "${{ matrix.a }}", "name": "run-${{ matrix.a }}"}, {"matrix.a": 3}.get)
    {'x': 3, 'name': 'run-3'}
    """
    if isinstance(value, Mapping):
        return {key: replaced(each, lookup) for key, each in value.items()}
    if isinstance(value, list):
        return [replaced(each, lookup) for each in value]
    if not isinstance(value, str):
        return value
    whole = _REFERENCE.fullmatch(value)
    if whole is not None and "}}" not in whole.group(1):
        return lookup(whole.group(1))
    return _REFERENCE.sub(lambda found: _text(lookup(found.group(1))), value)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def inner(text: str) -> str | None:
    """What stands between `${{` and `}}` where that is all of a text; else None.

    Examples
    --------
    >>> inner("${{ pipeline.alpha.status == 'success' }}")
    "pipeline.alpha.status == 'success'"
    """
    whole = _REFERENCE.fullmatch(text.strip())
    return None if whole is None or "}}" in whole.group(1) else whole.group(1)


def within(value: Any, path: list[str], name: str) -> Any:
    """What lies along a path in a value: keys of dictionaries, and places in lists.

    Raises
    ------
    PipelineInvalid
        There is no such thing; the message names what there is.
    """
    for part in path:
        if isinstance(value, Mapping) and part in value:
            value = value[part]
        elif isinstance(value, list) and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
        else:
            there = f"the keys {', '.join(map(str, value))}" if isinstance(value, Mapping) else repr(value)
            raise PipelineInvalid(f"There is no {name}: it would be {part!r} in {there:.200}.")
    return value
