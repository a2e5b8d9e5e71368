"""What a server does with works: each request once, however often it is repeated."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from daskflow.errors import WorkInvalid
from daskflow.execution.gateway.filters import hyphenated
from daskflow.model.work import Work
from daskflow.stores.buckets import Buckets
from daskflow.stores.buckets.query import check_query, check_view
from daskflow.stores.buckets.shelf import Payload, Query, View, Wanted
from daskflow.stores.buckets.table import WorkTable
from daskflow.stores.requests import Requests

Rung = Callable[[], object]


class WorkDesk:
    """Works, for those who ask over a network.

    Parameters
    ----------
    shelf
        Where they are kept.
    requests
        What was answered, in the same store.
    sites
        Names of sites that works may ask for; None: any.
    rung
        Called when works may have been queued.

    Notes
    -----
    `request` is an id that clients choose at random, and repeat when no answer came; empty: none.
    """

    def __init__(
        self, shelf: WorkTable, requests: Requests, *, sites: Collection[str] | None = None, rung: Rung = lambda: None
    ) -> None:
        self.shelf = shelf
        self._buckets = Buckets(shelf, sites=sites)
        self._requests = requests
        self._rung = rung

    def deposit(self, payloads: Sequence[Payload], request: str = "") -> list[str]:
        """Queue works, all or none of them; their ids.

        Raises
        ------
        WorkInvalid, SiteUnknown
        """
        works = [_work(payload) for payload in payloads]
        ids = self._requests.once(request, lambda: self._buckets.deposit(works))
        self._rung()
        return list(ids)

    def withdraw(
        self, wanted: Wanted, *, lease: float | None, holder: str, request: str = "", turn: str = ""
    ) -> Payload | None:
        """Take the queued work that comes first; a request that is repeated gets the same as long as it is held so.

        Parameters
        ----------
        turn
            Tells this attempt at the request from others, for `take_back`.
        """
        taken: list[Payload] = []

        def take() -> Any:
            found = self.shelf.withdraw(wanted, lease=lease, holder=holder)
            if found is None:
                return None
            taken.append(found)
            return {"id": found["id"], "attempt": found["attempt"]}

        def holds(answer: Any) -> bool:
            found = self.shelf.view(View({"id": answer["id"], "status": "running"}, limit=1))
            taken.extend(work for work in found if work["attempt"] == answer["attempt"])
            return bool(taken)

        if request:
            self._requests.lasting(request, turn, take, holds)
        else:
            take()
        return taken[0] if taken else None

    def take_back(self, work: Payload, request: str = "", turn: str = "") -> None:
        """Queue again what was withdrawn for somebody who is gone, unless a repeated request has it now."""

        def give_back() -> None:
            self.shelf.give_back(work["id"], work["attempt"])

        if request:
            self._requests.undo(request, turn, give_back)
        else:
            give_back()
        self._rung()

    def update(self, payloads: Sequence[Payload], request: str = "") -> None:
        """Write works anew, all or none of them.

        Raises
        ------
        WorkInvalid, WorkLost, WorkLocked
        """
        works = [_work(payload) for payload in payloads]

        def write() -> bool:
            self._buckets.update(works)
            return True

        self._requests.once(request, write)
        self._rung()

    def heartbeat(self, id: str, attempt: int, lease: float) -> None:
        """Hold a work for longer [s]. Raises WorkLost."""
        self.shelf.heartbeat(id, attempt, lease)

    def give_back(self, id: str, attempt: int, request: str = "") -> None:
        """Queue a work again as if nobody had taken it. Raises WorkLost."""

        def give_back() -> bool:
            self.shelf.give_back(id, attempt)
            return True

        self._requests.once(request, give_back)
        self._rung()

    def delete(self, ids: Sequence[str], request: str = "") -> int:
        """Delete works; how many of them were there. Raises WorkLocked."""
        return int(self._requests.once(request, lambda: self.shelf.delete(ids)))

    def lock(self, ids: Sequence[str], locked: bool) -> int:
        """Lock or unlock works; how many of them were there."""
        return self.shelf.lock(ids, locked)

    def view(self, view: View) -> list[Payload]:
        """Look at works. Raises WorkInvalid."""
        return self.shelf.view(check_view(view))

    def count(self, query: Query) -> int:
        """How many works are meant. Raises WorkInvalid."""
        return self.shelf.count(check_query(query))

    def status(self, pipeline: str | None = None) -> dict[str, int]:
        """How many works have each status, and in `total`."""
        return self._buckets.status(None if pipeline is None else hyphenated(pipeline))

    def statuses(self, pipeline: str | None = None) -> dict[str, dict[str, int]]:
        """How many works of each bucket have each status."""
        return self.shelf.status(pipeline)

    def pipelines(self) -> list[str]:
        """Names of the buckets that hold works."""
        return self._buckets.pipelines()

    def audit_failed(self) -> int:
        """Queue again what failed and has attempts left; how many works that were."""
        found = self.shelf.audit_failed()
        self._rung()
        return found

    def audit(self, stale: float | None, request: str = "") -> dict[str, int]:
        """Put in order what was left."""
        found: Mapping[str, int] = self._requests.once(request, lambda: self.shelf.audit(stale))
        self._rung()
        return dict(found)


def _work(payload: Any) -> Work:
    if not isinstance(payload, dict) or not all(isinstance(name, str) for name in payload):
        raise WorkInvalid("A work is an object with the fields of `Work`.")
    pipeline = payload.get("pipeline")
    # Work warns who writes the code; nobody reads the warnings of a server.
    return Work(**(payload | {"pipeline": hyphenated(pipeline)} if isinstance(pipeline, str) else payload))
