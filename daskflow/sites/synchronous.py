"""The site that performs jobs in the thread that submits them: breakpoints work, tracebacks are plain."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from daskflow.model.needs import Needs
from daskflow.sites.grip import doomed, gripping, kill_here
from daskflow.sites.site import DEAD_UPSTREAM, Listener, Node, Perform


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
    chains = True

    def __init__(self, name: str, perform: Perform) -> None:
        self.name = name
        self._perform = perform
        self._values: dict[str, Any] = {}
        self._running: tuple[str, ...] = ()
        self._waiting: set[str] = set()

    def submit(
        self, nodes: Sequence[Node], kept: Iterable[str], listener: Listener, foreign: Mapping[str, Any]
    ) -> None:
        """Perform nodes, which come upstream first."""
        values = {**self._values, **_computed(foreign, nodes)}
        users = Counter(key for node in nodes for key in node.upstream)
        keep = set(kept)
        dead: set[str] = set()
        self._waiting.update(node.key for node in nodes)
        try:
            for node in nodes:
                self._running = (node.key,)
                if doomed(node.key) or not dead.isdisjoint(node.upstream) or not self._begin(node.key):
                    self._bury(node, dead, listener)
                    continue
                with gripping(node.key, lambda record: listener.performed([record])) as grip:
                    value, records, _ = self._perform(node.package, *[values[key] for key in node.upstream])
                users.subtract(node.upstream)
                for key in node.upstream:
                    if not users[key]:
                        values.pop(key, None)  # else a long graph would have all its values in memory at once
                if users[node.key]:
                    values[node.key] = value
                if grip.killed:
                    dead.add(node.key)
                elif node.key in keep:
                    self._values[node.key] = value
                listener.performed([records])
        finally:
            self._running = ()
            self._waiting.difference_update(node.key for node in nodes)

    def _begin(self, key: str) -> bool:
        """Whether a node was still to be performed, which it is not any more: one thread alone hears so."""
        try:
            self._waiting.remove(key)
        except KeyError:
            return False
        return True

    def recall(self, keys: Iterable[str]) -> set[str]:
        """Take back nodes that have not begun."""
        return {key for key in keys if self._begin(key)}

    def _bury(self, node: Node, dead: set[str], listener: Listener) -> None:
        """A node, or one that it depends on, was killed or released before it began."""
        dead.add(node.key)
        if not doomed(node.key):
            listener.lost(node.key, DEAD_UPSTREAM, "")

    def release(self, keys: Iterable[str]) -> None:
        """Forget the values of nodes; those that were not begun are not performed."""
        for key in keys:
            self._values.pop(key, None)
            self._waiting.discard(key)

    def kill(self, keys: Iterable[str]) -> set[str]:
        """Kill nodes; one that computes in compiled code in the thread of the driver goes on."""
        asked = set(keys)
        alive = kill_here(asked)
        self.release(asked)
        return asked - alive

    def fit(self, needs: Needs) -> str:
        """Everything may run here."""
        return ""

    def larger(self, needs: Needs) -> Needs | None:
        """Nothing: nobody keeps nodes to any memory but that which they ask for."""
        return None

    def leave(self, listener: Listener) -> None:
        """Nothing to do: a listener is only told while it submits."""

    def running(self) -> Sequence[str]:
        """The node that is being performed now."""
        return self._running

    def address(self) -> str:
        """Nothing: there is no dashboard."""
        return ""

    def rest(self) -> None:
        """Nothing: there are no workers."""

    def close(self) -> None:
        """Forget all values."""
        self._values.clear()


def _computed(foreign: Mapping[str, Any], nodes: Sequence[Node]) -> dict[str, Any]:
    if not foreign:
        return {}
    import dask

    wanted = [key for node in nodes for key in node.upstream if key in foreign]
    return dict(zip(wanted, dask.get(dict(foreign), wanted), strict=True))
