"""What a site is: the one interface by which the engine has jobs performed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

Perform = Callable[..., tuple[Any, bytes, bytes]]
"""Performs one package: `perform(package, *values)` gives the value for those that depend on it, the records of what
happened, and bytes from which the value can be had again without performing anything."""


class Node(NamedTuple):
    """One unit of work for a site: one job, or a bundle of tiny ones."""

    key: str
    package: bytes
    """What to perform, opaque to the site."""
    upstream: tuple[str, ...] = ()
    """Keys of the nodes, or of foreign dask tasks, whose values are passed to the performing function."""


class Listener(Protocol):
    """Whom a site tells what happened; called from the site's threads, returns at once."""

    def performed(self, records: Sequence[bytes]) -> None:
        """Some packages were performed; their records, in no particular order."""

    def lost(self, key: str, reason: str, culprit: str) -> None:
        """A node will not be performed any more, why, and which of its jobs did it, where that is known."""

    def fail(self, error: Exception) -> None:
        """The site does not compute any more: nothing will be heard of what was submitted."""


class Site(Protocol):
    """A place that computes.

    Notes
    -----
    All methods may be called from any thread. A site opens at the first `submit`, not before.
    """

    name: str
    slots: int
    """How many nodes it performs at a time."""
    bundles: bool
    """Whether tiny jobs are worth bundling here."""

    def submit(
        self, nodes: Sequence[Node], kept: Iterable[str], listener: Listener, foreign: Mapping[str, Any]
    ) -> None:
        """Have nodes performed; values of the `kept` ones stay for later nodes until they are released."""

    def release(self, keys: Iterable[str]) -> None:
        """Nobody needs these values or nodes any more; what does not run yet will not."""

    def leave(self, listener: Listener) -> None:
        """Tell a listener no more."""

    def running(self) -> Sequence[str]:
        """Keys of the nodes that are being performed now, as far as the site can tell."""

    def address(self) -> str:
        """Where people can watch: the address of a dashboard, or nothing."""

    def close(self) -> None:
        """Stop all work and give everything back. The site may be used again."""
