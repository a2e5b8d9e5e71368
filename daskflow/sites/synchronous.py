"""The site that performs jobs in the thread that submits them: breakpoints work, tracebacks are plain."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from daskflow.sites.site import Listener, Node, Perform


class SynchronousSite:
    """Performs each node at once, in the calling thread, one after the other.

    Parameters
    ----------
    name
        Name in the configuration.
    perform
        Performs a package.
    """

    slots = 1
    bundles = False

    def __init__(self, name: str, perform: Perform) -> None:
        self.name = name
        self._perform = perform
        self._values: dict[str, Any] = {}
        self._running: tuple[str, ...] = ()

    def submit(
        self, nodes: Sequence[Node], kept: Iterable[str], listener: Listener, foreign: Mapping[str, Any]
    ) -> None:
        """Perform nodes, which come upstream first."""
        values = {**self._values, **_computed(foreign, nodes)}
        users = Counter(key for node in nodes for key in node.upstream)
        keep = set(kept)
        try:
            for node in nodes:
                self._running = (node.key,)
                value, records, _ = self._perform(node.package, *[values[key] for key in node.upstream])
                users.subtract(node.upstream)
                for key in node.upstream:
                    if not users[key]:
                        values.pop(key, None)  # else a long graph would have all its values in memory at once
                if users[node.key]:
                    values[node.key] = value
                if node.key in keep:
                    self._values[node.key] = value
                listener.performed([records])
        finally:
            self._running = ()

    def release(self, keys: Iterable[str]) -> None:
        """Forget the values of nodes."""
        for key in keys:
            self._values.pop(key, None)

    def leave(self, listener: Listener) -> None:
        """Nothing to do: a listener is only told while it submits."""

    def running(self) -> Sequence[str]:
        """The node that is being performed now."""
        return self._running

    def address(self) -> str:
        """Nothing: there is no dashboard."""
        return ""

    def close(self) -> None:
        """Forget all values."""
        self._values.clear()


def _computed(foreign: Mapping[str, Any], nodes: Sequence[Node]) -> dict[str, Any]:
    if not foreign:
        return {}
    import dask

    wanted = [key for node in nodes for key in node.upstream if key in foreign]
    return dict(zip(wanted, dask.get(dict(foreign), wanted), strict=True))
