"""Packages that a site's workers import from a directory of the artifact store, before anything else of that name."""

from __future__ import annotations

import contextlib
import importlib
import os
import socket
import sys
import threading
from collections.abc import Iterable
from typing import Any, NamedTuple, Protocol

_PREFIX = "daskflow-package-"
_lock = threading.Lock()
_paths: dict[str, str] = {}
"""What of each package this process has in its path."""


class Shipment(Protocol):
    """A built package on its way to nodes that do not see each other's directories."""

    @property
    def ready(self) -> bool:
        """Whether it is built."""

    def unpack(self) -> str:
        """Have it unpacked on this node, once; returns the directory."""


class Package(NamedTuple):
    """One state of a package, and where it is unpacked."""

    name: str
    version: str
    digest: str
    """That of its sources."""
    folder: str
    """Directory that is there when the package is whole, and not before."""
    below: str
    """Where in it modules are imported from; `.` for the directory itself."""
    home: tuple[str, int]
    """Host and process id of the driver, which imports the package from its sources."""
    shipment: Shipment | None = None
    """What brings it to each node; None where all of them see `folder`."""

    @property
    def path(self) -> str:
        """The directory that modules are imported from."""
        return os.path.normpath(os.path.join(self.folder, self.below))

    @property
    def ready(self) -> bool:
        """Whether it is unpacked, or can be."""
        return os.path.isdir(self.folder) if self.shipment is None else self.shipment.ready

    @property
    def at_home(self) -> bool:
        """Whether this is the process of the driver."""
        return self.home == here()

    def at_hand(self) -> Package:
        """The same, unpacked in a directory that this node sees."""
        return self if self.shipment is None else self._replace(folder=self.shipment.unpack(), shipment=None)


class Packages:
    """The packages that one site's workers are to import; handed to each cluster that the site opens.

    Notes
    -----
    Not safe for threads; its site calls it with its lock held.
    """

    def __init__(self) -> None:
        self.shipping = True
        """Whether packages may be brought to this site's workers."""
        self._offered: dict[str, Package] = {}
        self._registered: dict[str, Package] = {}

    def offer(self, package: Package) -> list[Package]:
        """Take a package in place of the one of that name; returns what is to be registered."""
        self._offered[package.name] = package
        return self._due([package])

    def ready(self) -> list[Package]:
        """Those that are unpacked, or can be; safe without the lock."""
        return [package for package in list(self._offered.values()) if package.ready]

    def opened(self) -> list[Package]:
        """A cluster is new: returns what is to be registered."""
        self._registered.clear()
        return self._due(self._offered.values())

    def _due(self, packages: Iterable[Package]) -> list[Package]:
        due = []
        for package in packages:
            before = self._registered.pop(package.name, None)
            # What is not unpacked yet is registered by the job that does it.
            if package.ready:
                self._registered[package.name] = package
                due += [package] if package != before else []
        return due


def here() -> tuple[str, int]:
    """Host and process id of this process."""
    return socket.gethostname(), os.getpid()


def register(client: Any, packages: Iterable[Package]) -> None:
    """Have all workers of a cluster import packages from where they are unpacked, those that join later too.

    Returns when all workers do.
    """
    for package in packages:
        client.register_plugin(plugin(package), name=_PREFIX + package.name)


def plugin(package: Package) -> Any:
    """The plugin for workers; its base class is imported late, because that costs half a second."""
    from distributed import WorkerPlugin

    return type("PackagePlugin", (InFront, WorkerPlugin), {})(package)


class InFront:
    """Puts a package in front of all others when a worker starts, or when the plugin is registered.

    Parameters
    ----------
    package
        What to import.
    """

    idempotent = False

    def __init__(self, package: Package) -> None:
        self.name = _PREFIX + package.name
        self._package = package

    def __reduce__(self) -> Any:
        return plugin, (self._package,)

    def setup(self, worker: Any) -> None:
        """A worker is there."""
        put_in_front(self._package)


def put_in_front(package: Package) -> None:
    """Let this process import a package from where it is unpacked; what it imported of an earlier state is dropped.

    Nothing happens in the driver's own process.
    """
    with _lock:
        if package.at_home or not package.ready:
            return
        package = package.at_hand()
        before = _paths.get(package.name)
        if before == package.path:
            return
        _paths[package.name] = package.path
        with contextlib.suppress(ValueError):
            sys.path.remove(before or "")
        sys.path.insert(0, package.path)
        importlib.invalidate_caches()
        tops = _tops(package.path)
        for name in [name for name in sys.modules if name.partition(".")[0] in tops]:
            del sys.modules[name]


def versions_here(names: Iterable[str]) -> list[str]:
    """Versions of a distribution that this process could import, the one that it does first.

    Parameters
    ----------
    names
        Names under which it may be known.
    """
    import importlib.metadata

    found = [one.version for name in names for one in importlib.metadata.distributions(name=name)]
    return list(dict.fromkeys(found))


def _tops(path: str) -> set[str]:
    """The modules and packages in a directory."""
    return {name.partition(".")[0] for name in os.listdir(path) if not name.endswith((".dist-info", ".cfg"))}
