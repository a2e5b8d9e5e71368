"""The modules beside a flow, which no agent elsewhere has: they go along with its jobs."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType

LIMIT = 1 << 20
"""Sources that are larger than this together do not go along [bytes]: they are a package to be installed."""
_INSTALLED = frozenset({"site-packages", "dist-packages"})
_OWN = __name__.partition(".")[0]


def sources_of(modules: Iterable[str]) -> dict[str, bytes]:
    """The files of modules, by their paths below a directory from which they can be imported.

    Parameters
    ----------
    modules
        Names of modules that are imported here.

    Returns
    -------
    dict
        With each module those that were imported from the same directory, for it may need them. Nothing for what is
        installed, which agents are to have installed too.
    """
    roots = {root for name in modules if (root := _root(name, sys.modules.get(name))) is not None}
    if not roots:
        return {}
    found: dict[str, bytes] = {}
    for name, module in _imported():
        root = _root(name, module)
        if root in roots and (file := _file(module)) is not None:
            found[str(file.relative_to(root))] = file.read_bytes()
    return found if sum(map(len, found.values())) <= LIMIT else {}


def _imported() -> Iterator[tuple[str, ModuleType]]:
    for name, module in list(sys.modules.items()):
        if isinstance(module, ModuleType):
            yield name, module


def _root(name: str, module: ModuleType | None) -> Path | None:
    """The directory from which a module is imported; None where it is installed, or is no file."""
    file = None if module is None else _file(module)
    if file is None or name.partition(".")[0] in (_OWN, "__main__") or _installed(file):
        return None
    parts = name.split(".")
    levels = len(parts) if file.name == "__init__.py" else len(parts) - 1
    root = file.parent
    for _ in range(levels):
        root = root.parent
    # What was loaded by its path has another name than its file: it goes along by value.
    expected = root.joinpath(*parts, "__init__.py") if file.name == "__init__.py" else root.joinpath(*parts)
    return root if expected.with_suffix(".py") == file else None


def _file(module: ModuleType) -> Path | None:
    found = getattr(module, "__file__", None)
    if not isinstance(found, str) or not found.endswith(".py") or not os.path.isfile(found):
        return None
    return Path(os.path.abspath(found))


def _installed(file: Path) -> bool:
    prefixes = {Path(sys.prefix), Path(sys.base_prefix)}
    return bool(_INSTALLED & set(file.parts)) or any(file.is_relative_to(prefix) for prefix in prefixes)
