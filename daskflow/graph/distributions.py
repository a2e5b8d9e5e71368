"""Tells whose code a module is: the standard library's, an installed distribution's, or the user's own."""

from __future__ import annotations

import functools
import json
import os
import sys
from types import ModuleType
from typing import TYPE_CHECKING, NamedTuple

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


def owner_of(module_name: str | None) -> Owner:
    """Who the module of that name belongs to; what was made without a module is the user's."""
    if not module_name:
        return USER
    top = module_name.partition(".")[0]
    if top in sys.stdlib_module_names and top != "__main__":
        return STDLIB
    if top == "daskflow":
        # The workflow system is no part of the science; its examples are written as a user would.
        return USER if module_name.startswith("daskflow.examples") else DASKFLOW
    module = sys.modules.get(top)
    return USER if module is None or top == "__main__" else _owner_of_package(top, _root_of(module))


def _root_of(module: ModuleType) -> str | None:
    """The directory that a top-level module or package was imported from."""
    file: str | None = getattr(module, "__file__", None)
    if file is None:
        paths = list(getattr(module, "__path__", []))
        return os.path.dirname(os.path.abspath(paths[0])) if paths else None
    folder = os.path.dirname(os.path.abspath(file))
    return os.path.dirname(folder) if hasattr(module, "__path__") else folder


@functools.cache
def _owner_of_package(top: str, root: str | None) -> Owner:
    if root is None:
        return USER
    for distribution in _distributions_with(top):
        if os.path.realpath(str(distribution.locate_file(""))) == os.path.realpath(root) and _installed(distribution):
            return Owner("distribution", distribution.metadata["Name"], distribution.version)
    if "site-packages" in root or "dist-packages" in root:
        raise NoKey(
            f"The package {top!r} in {root} belongs to no installed distribution, so it has no version. "
            "Install it with pip, or put it beside your own code."
        )
    return USER


def _distributions_with(top: str) -> list[Distribution]:
    import importlib.metadata  # noqa: PLC0415

    # Most distributions are named like their package: this is 100 times faster than reading all of them.
    try:
        return [importlib.metadata.distribution(top)]
    except importlib.metadata.PackageNotFoundError:
        names = _packages().get(top, [])
        return [importlib.metadata.distribution(name) for name in dict.fromkeys(names)]


@functools.cache
def _packages() -> dict[str, list[str]]:
    import importlib.metadata  # noqa: PLC0415

    return dict(importlib.metadata.packages_distributions())


def _installed(distribution: Distribution) -> bool:
    """Whether this is a real install, not an editable one or a source checkout with its egg-info."""
    direct = distribution.read_text("direct_url.json")
    if direct and json.loads(direct).get("dir_info", {}).get("editable"):
        return False
    return distribution.read_text("METADATA") is not None
