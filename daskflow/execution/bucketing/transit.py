"""Objects that find no room in a work, on their way through the server that keeps it."""

from __future__ import annotations

import time
from collections.abc import Container, Iterable, Sequence

from daskflow.artifacts.store import ObjectStore
from daskflow.artifacts.trees import Tree, is_tree
from daskflow.errors import ArtifactMissing, DaskflowError, TokenRefused
from daskflow.execution.bucketing.objects import HEAD, Taken, take
from daskflow.execution.served import ServedStore
from daskflow.stores.buckets.freight import Freight

PATIENCE = 3600.0
"""What a job gave is not thrown away because the server is away for less [s]."""
_PAUSE = 5.0
"""Between two times that it is tried [s]."""


def bring(freight: Freight | None, store: ObjectStore, digests: Iterable[str], patience: float = 0.0) -> None:
    """Bring objects of a store to the server, as far as it has not got them.

    Parameters
    ----------
    freight
        The way there; None: nothing is brought.
    patience
        A server that is away is waited for so long, beyond what its line waits by itself [s].

    Raises
    ------
    ArtifactError
        One cannot be read.
    ServerError, StoreError
        The server does not take it.
    """
    if freight is None:
        return
    deadline, left = time.monotonic() + patience, list(digests)
    while left:
        try:
            _bring(freight, store, left[0])
            del left[0]
        except DaskflowError as error:
            if not error.transient or time.monotonic() >= deadline:
                raise
            time.sleep(_PAUSE)


def _bring(freight: Freight, store: ObjectStore, digest: str) -> None:
    size = store.size(digest)
    freight.store(digest, size, lambda start, count: bytes(store.read(digest, start, start + count, size)))


def send(
    freight: Freight | None, store: ObjectStore, digests: Sequence[str], room: int, among: Container[str]
) -> Taken:
    """Take objects along, and bring those to the server for which there is no room; `absent` is what goes neither way.

    Parameters
    ----------
    freight
        The way to the server; None: there is none.
    room
        As `take`, and `among` too: what is not among these is on the other side already.
    """
    taken = take(store, digests, room, among)
    if freight is None:
        return taken
    bring(freight, store, taken.absent, PATIENCE)
    served = [digest for digest in digests if taken.absent or digest not in among]
    return Taken(taken.objects, (), sum(map(len, taken.objects.values())), tuple(served))


def fetch(freight: Freight | None, store: ObjectStore, digests: Iterable[str]) -> None:
    """Fetch objects, and what directories among them are made of, into a store that has not got them, verified.

    Parameters
    ----------
    freight
        The way there; None: there is none, and they are in the store already if it is that of the server.

    Raises
    ------
    ArtifactMissing
        One is neither here nor there.
    ArtifactError
        The store cannot be written.
    ServerError, StoreError
        The server does not give it.
    """
    for digest in digests:
        _fetch(freight, store, digest, None)
        if is_tree(store.read(digest, 0, HEAD)):
            files = {(entry.digest, entry.size) for _, entry in Tree.get(store, digest).files()}
            for each, size in sorted(store.missing(files)):
                _fetch(freight, store, each, size)


def _fetch(freight: Freight | None, store: ObjectStore, digest: str, size: int | None) -> None:
    if store.exists(digest, size):
        return
    if freight is None:
        raise ArtifactMissing(
            f"What the job gives is too large for a work. Its agent brought it to the artifact store of the server "
            f"that it reaches, and the object {digest} is not in {store.url}: that is another one. Let `artifacts` "
            "name the same store here and where the server runs, or let `works: store` name the server here."
        )
    with store.temporary() as path:
        try:
            ServedStore(freight).download(digest, path)
        except TokenRefused as error:
            raise TokenRefused(
                "What the job gives is too large for a work, so that it lies in the artifact store of the server. "
                f"{error} Make a token that has `deposit` and `read`."
            ) from None
        store.take(path, digest)
