"""The bench of a parcel: what its job is performed with is known only where it is performed."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from contextlib import contextmanager

from daskflow.errors import WorkInvalid
from daskflow.execution.worker.package import Bench

_BENCHES: dict[str, Bench] = {}


class BenchThere:
    """Stands for the bench of a node; unpickled it is the one that `laid` has laid out.

    Parameters
    ----------
    node
        Key of the node.
    """

    def __init__(self, node: str) -> None:
        self.node = node

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return bench_here, (self.node,)

    def packed(self) -> bytes:
        """What a package has for its bench."""
        return pickle.dumps(self, protocol=5)


def bench_here(node: str) -> Bench:
    """The bench of a node that is performed in this process.

    Raises
    ------
    WorkInvalid
        None was laid out.
    """
    found = _BENCHES.get(node)
    if found is None:
        raise WorkInvalid(f"The node {node} is not performed here.")
    return found


@contextmanager
def laid(node: str, bench: Bench) -> Iterator[None]:
    """A block in which a node has a bench."""
    _BENCHES[node] = bench
    try:
        yield
    finally:
        del _BENCHES[node]
