"""Tells people how the code of a worker differs from that of the driver: by versions, where there are some."""

from __future__ import annotations

import functools
import re
import sys
from collections.abc import Mapping

_DIGEST = re.compile(r"[0-9a-f]{32}")
UNKNOWN = "of no version"


def version_of(module_name: str) -> str:
    """Name and version of the package that an imported module belongs to, as this process imported it.

    Examples
    --------
    >>> version_of("nowhere.at_all")
    'nowhere of no version'
    """
    top = module_name.partition(".")[0]
    given = getattr(sys.modules.get(top), "__version__", None)
    return f"{top} {given if isinstance(given, str) else _installed(top, tuple(sys.path))}"


@functools.cache
def _installed(name: str, _: tuple[str, ...]) -> str:
    import importlib.metadata

    found = next(iter(importlib.metadata.distributions(name=name)), None)
    return UNKNOWN if found is None else found.version


def differences(own: Mapping[str, str], theirs: Mapping[str, str]) -> list[str]:
    """The names of the parts in which two fingerprints differ, with both versions of those that have some.

    Parameters
    ----------
    own, theirs
        The parts here and in the driver.

    Examples
    --------
    >>> differences({"numpy": "2.0"}, {"numpy": "2.1", "scipy": "1.14"})
    ['numpy (2.0 here, 2.1 in the driver)', 'scipy (not here, 1.14 in the driver)']
    """
    names = [name for name in sorted({*own, *theirs}) if own.get(name) != theirs.get(name)]
    return [_difference(name, own.get(name), theirs.get(name)) for name in names]


def _difference(name: str, here: str | None, there: str | None) -> str:
    # Code has digests, which tell nobody anything.
    if any(_DIGEST.fullmatch(value or "") for value in (here, there)):
        return name
    return f"{name} ({_told(here)}here, {_told(there)}in the driver)"


def _told(value: str | None) -> str:
    return "not " if value is None else f"{value} "
