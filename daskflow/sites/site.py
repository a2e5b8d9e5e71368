"""What a site is: the one interface by which the engine has jobs performed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

from daskflow.model.needs import PLAIN_NEEDS, Needs

Perform = Callable[..., tuple[Any, bytes, bytes]]
"""Performs one package: `perform(package, *values)` gives the value for those that depend on it, the records of what
happened, and bytes from which the value can be had again without performing anything."""


DEAD_UPSTREAM = "a node that it depends on was killed"
"""Why a node is lost that depends on a killed one and was not killed with it."""


class Node(NamedTuple):
    """One unit of work for a site: one job, or a bundle of tiny ones."""

    key: str
    package: bytes
    """What to perform, opaque to the site."""
    upstream: tuple[str, ...] = ()
    """Keys of the nodes, or of foreign dask tasks, whose values are passed to the performing function."""
    needs: Needs = PLAIN_NEEDS
    """What it needs of the place that performs it."""
    name: str = ""
    """What is performed, the same whenever it is: the key of the only job; empty for bundles."""
    run: str = ""
    """Id of the run that it belongs to."""


class Listener(Protocol):
    """Whom a site tells what happened; called from the site's threads, returns at once."""

    def performed(self, records: Sequence[bytes]) -> None:
        """Some packages were performed; their records, in no particular order."""

    def lost(self, key: str, reason: str, culprit: str) -> None:
        """A node will not be performed any more, why, and which of its jobs did it, where that is known."""

    def tell(self, kind: str, data: str) -> None:
        """Something happened to the site that people want to know: an event, with the JSON text of an object."""

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
    chains: bool
    """Whether nodes may depend on nodes that are not performed yet."""

    def submit(
        self, nodes: Sequence[Node], kept: Iterable[str], listener: Listener, foreign: Mapping[str, Any]
    ) -> None:
        """Have nodes performed; values of the `kept` ones stay for later nodes until they are released."""

    def release(self, keys: Iterable[str]) -> None:
        """Nobody needs these values or nodes any more; what does not run yet will not."""

    def recall(self, keys: Iterable[str]) -> set[str]:
        """Take nodes back that have not begun: these are never performed; returns their keys.

        Notes
        -----
        May take some seconds; to be called without locks. Nobody is told of the nodes.
        """

    def kill(self, keys: Iterable[str]) -> set[str]:
        """Kill nodes, with all their processes; the keys of which nothing is alive any more.

        Parameters
        ----------
        keys
            Nodes that were submitted; what does not run yet will not. Their listeners hear nothing of what was being
            performed; nodes that depend on them, and are not among the keys, are told as lost.

        Returns
        -------
        set
            Of the given keys those of which nothing is alive: killed now, or not being performed. A key that is not
            among them names a node that cannot be killed here, such as a thread within compiled code.

        Notes
        -----
        Blocks until the processes are gone, which may take some seconds; to be called without locks. The values of
        these nodes are released. Other nodes on a worker that has to be killed are performed anew.
        """

    def fit(self, needs: Needs) -> str:
        """Why no part of the site will ever hold a node with these needs, and what comes nearest; empty where one does.

        Notes
        -----
        Asks nobody: it is called for every task before anything runs.
        """

    def larger(self, needs: Needs) -> Needs | None:
        """What a node gets that needed more memory than it had; None where there is no more to be had here."""

    def leave(self, listener: Listener) -> None:
        """Tell a listener no more."""

    def running(self) -> Sequence[str]:
        """Keys of the nodes that are being performed now, as far as the site can tell."""

    def address(self) -> str:
        """Where people can watch: the address of a dashboard, or nothing."""

    def rest(self) -> None:
        """Give workers back where nothing is to be performed; the site opens again when something is."""

    def close(self) -> None:
        """Stop all work and give everything back. The site may be used again."""


@runtime_checkable
class Keeper(Protocol):
    """A site that keeps what belongs to a run when its driver is gone, for who resumes it."""

    def conclude(self, run: str) -> None:
        """A run has ended: what nobody has asked for is not to be kept; returns at once."""
