"""Makes parcels: what is sent to a site nearby, and all that an agent far away has not got."""

from __future__ import annotations

import base64
import os
import pickle
import sys
import time
from collections.abc import Iterable, Mapping
from typing import Any

from daskflow.artifacts.forms.formats import registered
from daskflow.artifacts.holdings import holding
from daskflow.artifacts.owners import owners
from daskflow.artifacts.store import ObjectStore
from daskflow.artifacts.values import Values
from daskflow.errors import WorkInvalid
from daskflow.execution.bucketing.bench import BenchThere
from daskflow.execution.bucketing.objects import take
from daskflow.execution.bucketing.parcel import ROOM, Parcel, seal
from daskflow.execution.bucketing.sources import sources_of
from daskflow.execution.bucketing.states import notes_in, objects_of
from daskflow.execution.bucketing.transit import bring
from daskflow.execution.credentials import Credentials
from daskflow.execution.worker.package import Package, pack
from daskflow.execution.worker.saving import STATES, note_of
from daskflow.graph.task import importable
from daskflow.model.outcome import Stored
from daskflow.model.quantities import as_bytes
from daskflow.sites import Node
from daskflow.stores.buckets.freight import Freight

_HEAD = 1 << 14
"""What a parcel takes besides its package and its objects [bytes]."""
_FRESH = 30.0
"""States that others save beside us are listed so often [s]."""


class Packing:
    """Makes the parcels of one site.

    Parameters
    ----------
    values
        Writes and reads results; its key signs the parcels.
    freight
        The way to the artifact store of the server that keeps the works: there agents find what is too large for a
        work. None: they find it in the store here, if they reach that.

    Notes
    -----
    A work is read by many: neither the key nor credentials are in a parcel. Agents have the key by themselves; of
    credentials the name goes along, and the agent looks them up where it is.
    """

    def __init__(self, values: Values, freight: Freight | None = None) -> None:
        self._values = values
        self._freight = freight
        self._owners: tuple[str, ...] | None = None
        self.saved: set[str] = set()
        """Keys of jobs of which answers brought a state."""
        self._notes: set[str] = set()
        """Notes of all states, as they were listed last."""
        self._listed = 0.0
        self._runs: set[str] = set()
        self._tasks: dict[bytes, tuple[bytes, dict[str, bytes]]] = {}

    def parameters(self, node: Node, foreign: Mapping[str, Any]) -> dict[str, str]:
        """The parameters of the work that performs a node.

        Raises
        ------
        WorkInvalid
            It is too large, and there is no artifact store to put it into.
        ArtifactError
            What the job takes cannot be read.
        ServerError, StoreError
            The server cannot take what is too large for a work.
        """
        data = seal(self._parcel(node, foreign), self._values.signer)
        if len(data) <= ROOM:
            return {"parcel": base64.b64encode(data).decode()}
        store = self._values.store
        if store is None:
            raise WorkInvalid(
                f"{node.name} takes {as_bytes(len(data))}, and a work carries {as_bytes(ROOM)} of it. Name an artifact "
                "store by `artifacts` that the agents reach too, or pass less to the call."
            )
        digest = store.put(data)
        bring(self._freight, store, [digest])
        return {"stored": digest, "store": store.url}

    def _parcel(self, node: Node, foreign: Mapping[str, Any]) -> Parcel:
        import cloudpickle

        package: Package = pickle.loads(node.package)
        found = [self._task(task) for task in package.tasks]
        package = package._replace(bench=BenchThere(node.key).packed(), tasks=tuple(task for task, _ in found))
        sources = {path: text for _, files in found for path, text in files.items()}
        with holding() as held:
            packed = pack(package, plain=False)
        needed = cloudpickle.dumps(_needed(node, foreign), protocol=5)
        room = ROOM - _HEAD - len(packed) - len(needed) - sum(map(len, sources.values()))
        store = self._values.store
        states = {} if store is None else self._states(store, node.run, [each.key for each in package.assignments])
        room -= sum(map(len, states.values()))
        digests = [
            *sorted(held),
            *_digests(package),
            *[digest for each in states.values() for digest in objects_of(each)],
        ]
        taken = take(store, digests, max(0, room)) if store is not None and digests else None
        if store is not None and taken is not None:
            bring(self._freight, store, taken.absent)
        return Parcel(
            node.run,
            node.name or node.key,
            node.key,
            packed,
            node.upstream,
            needed,
            "" if store is None else store.url,
            self._marks(),
            {} if taken is None else taken.objects,
            () if taken is None else tuple(digest for digest in taken.absent if digest in digests),
            self._values.inline_limit,
            tuple(os.path.abspath(path) for path in sys.path),
            tuple(cloudpickle.dumps(form, protocol=5) for form in registered()),
            sources,
            states,
        )

    def _states(self, store: ObjectStore, run: str, keys: list[str]) -> dict[str, bytes]:
        """Notes of the states that jobs have saved before; most have none, and of these nobody asks one by one."""
        now = time.monotonic()
        if run not in self._runs or now - self._listed > _FRESH:
            self._runs.add(run)
            self._listed = now
            self._notes = {path for path, _ in store.notes(STATES)}
        return notes_in(store, [key for key in keys if key in self.saved or note_of(key) in self._notes])

    def _marks(self) -> tuple[str, ...]:
        """Whose notes are in the store; by these an agent sees that it is the same that it reaches."""
        if self._owners is None and self._values.store is not None:
            self._owners = tuple(owner.id for owner in owners(self._values.store))
        return self._owners or ()

    def _task(self, packed: bytes) -> tuple[bytes, dict[str, bytes]]:
        """A task without secrets, and the sources that it needs."""
        known = self._tasks.get(packed)
        if known is None:
            import cloudpickle

            shipped: Any = pickle.loads(packed)
            task = getattr(shipped, "task", None)
            sources = sources_of([task.__module__]) if task is not None and importable(task) else {}
            # Credentials that are pickled here, where nothing is forwarded, leave their secrets behind.
            secret = Credentials.__module__.encode() in packed
            known = cloudpickle.dumps(shipped, protocol=5) if secret else packed, sources
            self._tasks[packed] = known
        return known


def _needed(node: Node, foreign: Mapping[str, Any]) -> dict[str, Any]:
    """What of the tasks of dask collections a node needs."""
    if not node.upstream:
        return {}
    from dask.optimization import cull

    return dict(cull(dict(foreign), list(node.upstream))[0])


def _digests(package: Package) -> Iterable[str]:
    """Objects in which values lie that a package takes."""
    for assignment in package.assignments:
        for source in assignment.sources:
            if isinstance(source, Stored):
                yield from () if source.inline is not None else (source.digest,)
                yield from source.holds
