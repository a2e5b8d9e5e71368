"""Tells whose code a module is: the standard library's, an installed distribution's, or the user's own."""

from __future__ import annotations

import functools
import importlib.util
import json
import os
import re
import sys
import sysconfig
from typing import TYPE_CHECKING, NamedTuple

from blake3 import blake3

from daskflow.errors import NoKey

if TYPE_CHECKING:
    from importlib.metadata import Distribution


class Owner(NamedTuple):
    """Who a module belongs to."""

    kind: str
    """`stdlib`, `distribution`, `daskflow` or `user`."""
    name: str = ""
    version: str = ""


STDLIB = Owner("stdlib", "python", f"{sys.version_info.major}.{sys.version_info.minor}")
USER = Owner("user")
DASKFLOW = Owner("daskflow")

_MARKS = ("pyproject.toml", "setup.py", "setup.cfg", "daskflow.yaml", ".git", ".hg")
"""What stands in the top directory of a project."""


class _Place(NamedTuple):
    """Where a module lies."""

    root: str
    """The directory that its top-level package was imported from."""
    file: str
    """The module's file, or the directory of a namespace package, from there on."""


def owner_of(module_name: str | None) -> Owner:
    """Who the module of that name belongs to; what was made without a module is the user's.

    The module need not be imported yet.
    """
    top = (module_name or "__main__").partition(".")[0]
    if top == "__main__":
        return USER
    if top == "daskflow":
        # The workflow system is no part of the science; its examples are written as a user would.
        return USER if str(module_name).startswith("daskflow.examples") else DASKFLOW
    place = _place_of(str(module_name))
    if top in sys.stdlib_module_names and (place is None or _standard(place.root)):
        return STDLIB
    return USER if place is None else _owner_at(top, place)


def owner_of_class(cls: type) -> Owner:
    """Who a class belongs to."""
    if cls.__module__ == "builtins" and cls.__flags__ & _MADE_BY_PYTHON_CODE:
        return USER  # what `exec` makes in a namespace without a name
    return owner_of(cls.__module__)


_MADE_BY_PYTHON_CODE = 1 << 9
"""https://docs.python.org/3/c-api/typeobj.html#c.Py_TPFLAGS_HEAPTYPE"""


def project_of(module_name: str | None) -> str:
    """The top directory of the project that a user's module belongs to; of a notebook, the working directory."""
    place = _place_of(module_name or "__main__")
    return _project_at(os.getcwd() if place is None else place.root)


@functools.cache
def _project_at(start: str) -> str:
    folder = start
    while not any(os.path.exists(os.path.join(folder, mark)) for mark in _MARKS):
        parent = os.path.dirname(folder)
        if parent == folder:
            return start
        folder = parent
    return folder


def _place_of(module_name: str) -> _Place | None:
    """Where a module lies; None for what is built in, was made by hand, or is not there."""
    top = module_name.partition(".")[0]
    found = _file_of(top)
    if found is None:
        return None
    if found[0] is None:  # a namespace package: several distributions may share it
        deeper = _file_of(module_name) if module_name != top else None
        if deeper is None or deeper[0] is None:
            paths = found[1]
            return _Place(os.path.dirname(os.path.abspath(paths[0])), top + os.sep) if paths else None
        top, found = module_name, deeper
    folder, name = os.path.split(os.path.abspath(str(found[0])))
    for _ in range(top.count(".") + bool(found[1])):
        folder, parent = os.path.split(folder)
        name = os.path.join(parent, name)
    return _Place(folder, name)


def _file_of(name: str) -> tuple[str | None, tuple[str, ...]] | None:
    """The file of a module, and the directories of a package; None where there is no such module."""
    module = sys.modules.get(name)
    if module is not None:
        paths = getattr(module, "__path__", ())
        file: str | None = getattr(module, "__file__", None)
        return None if file is None and not paths else (file, tuple(paths))
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError, AttributeError):
        return None
    if spec is None or not (spec.has_location or spec.submodule_search_locations):
        return None
    return spec.origin if spec.has_location else None, tuple(spec.submodule_search_locations or ())


@functools.cache
def _standard(root: str) -> bool:
    """Whether a directory is one of the standard library: a user may have a `profile.py` too."""
    libraries = [sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")]
    known = [os.path.realpath(os.path.join(library, part)) for library in libraries for part in ("", "lib-dynload")]
    return os.path.realpath(root) in known or root.endswith(".zip")


@functools.cache
def _owner_at(top: str, place: _Place) -> Owner:
    foreign = "site-packages" in place.root or "dist-packages" in place.root
    located = [found for found in _distributions_with(top, place.root) if _installed(found, foreign)]
    if located:
        owner = next((found for found in located if _provides(found, place.file)), located[0])
        return Owner("distribution", owner.metadata["Name"], _version(owner))
    if foreign:
        raise NoKey(
            f"The package {top!r} in {place.root} belongs to no installed distribution, so it has no version. "
            "Install it with pip, or put it beside your own code."
        )
    return USER


def _distributions_with(top: str, root: str) -> list[Distribution]:
    """The distributions in a directory that may hold a top-level package."""
    import importlib.metadata

    # Most distributions are named like their package: this is 100 times faster than reading all of them.
    named = list(importlib.metadata.distributions(name=top, path=[root]))
    return [found for found in named if top in _tops(found)] or _by_package(root).get(top, [])


@functools.cache
def _by_package(root: str) -> dict[str, list[Distribution]]:
    import importlib.metadata

    found: dict[str, list[Distribution]] = {}
    for distribution in importlib.metadata.distributions(path=[root]):
        for top in _tops(distribution):
            found.setdefault(top, []).append(distribution)
    return found


def _tops(distribution: Distribution) -> set[str]:
    """The top-level packages and modules of a distribution."""
    record = distribution.read_text("RECORD")
    if not record:
        return set((distribution.read_text("top_level.txt") or distribution.metadata["Name"]).split())
    return {re.split("[/,.]", line, maxsplit=1)[0] for line in record.splitlines()}


def _installed(distribution: Distribution, foreign: bool) -> bool:
    """Whether this is a real install, not an editable one or a source checkout with its egg-info."""
    if _origin(distribution).get("dir_info", {}).get("editable"):
        return False
    return foreign or distribution.read_text("METADATA") is not None


def _origin(distribution: Distribution) -> dict[str, dict[str, object]]:
    # https://packaging.python.org/en/latest/specifications/direct-url/
    direct: dict[str, dict[str, object]] = json.loads(distribution.read_text("direct_url.json") or "{}")
    return direct


def _provides(distribution: Distribution, file: str) -> bool:
    record = distribution.read_text("RECORD") or distribution.read_text("installed-files.txt")
    return record is None or f"\n{file.replace(os.sep, '/')}" in f"\n{record}"


def _version(distribution: Distribution) -> str:
    """The version; of what was installed from a directory or a repository, with a digest of its files.

    Only an index holds each version once: who installs a checkout again may have changed it meanwhile.
    """
    record = distribution.read_text("RECORD")
    if not record or not _origin(distribution):
        return distribution.version
    files = sorted(line for line in record.splitlines() if ".dist-info/" not in line and "__pycache__" not in line)
    return f"{distribution.version} ({blake3(chr(10).join(files).encode()).hexdigest(length=4)})"
