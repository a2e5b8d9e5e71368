"""What a server does with works: each request once, however often it is repeated."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from daskflow.errors import TokenRefused, WorkInvalid, WorkLost
from daskflow.execution.gateway.filters import hyphenated
from daskflow.model.work import Work, WorkStatus
from daskflow.stores.buckets import Buckets
from daskflow.stores.buckets.astray import KnownSites
from daskflow.stores.buckets.buckets import fail_unfit
from daskflow.stores.buckets.query import check_query, check_view
from daskflow.stores.buckets.shelf import Payload, Query, View, Wanted
from daskflow.stores.buckets.table import WorkTable
from daskflow.stores.requests import Asked, Requests

Rung = Callable[[], object]
MOST = 10_000
"""So many works one request brings at most."""
_FEW = 1000
"""So many works are deleted at a time by who only performs."""
_OUTCOME = ("status", "results", "products", "plots", "error", "log", "host")
_WRITTEN = (*_OUTCOME, "stop", "final", "tags", "event", "group")
"""What who only performs may write of a work: what came of it, and by what that is found."""
_NONE = Asked()


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
    `request` is what clients repeat when no answer came. Where `held` is true, who asks may only perform works.
    """

    def __init__(
        self, shelf: WorkTable, requests: Requests, *, sites: Collection[str] | None = None, rung: Rung = lambda: None
    ) -> None:
        self.shelf = shelf
        self._buckets = Buckets(shelf, sites=KnownSites(sites, served=True))
        self._requests = requests
        self._rung = rung

    def deposit(self, payloads: Sequence[Payload], request: Asked = _NONE) -> list[str]:
        """Queue works, all or none of them; their ids.

        Raises
        ------
        WorkInvalid, SiteUnknown
        """
        works = _works(payloads)
        ids = self._requests.once(request.id, lambda: self._buckets.deposit(works), request.of)
        self._rung()
        return list(ids)

    def withdraw(
        self, wanted: Wanted, *, lease: float | None, holder: str, request: Asked = _NONE, turn: str = ""
    ) -> Payload | None:
        """Take the queued work that comes first; a request that is repeated gets the same as long as it is held so.

        Parameters
        ----------
        turn
            Tells this attempt at the request from others, for `take_back`.
        """
        taken: list[Payload] = []

        def take() -> Any:
            found = self._withdrawn(wanted, lease, holder)
            if found is None:
                return None
            taken.append(found)
            return {"id": found["id"], "attempt": found["attempt"]}

        def holds(answer: Any) -> bool:
            found = self.shelf.view(View({"id": answer["id"], "status": "running"}, limit=1))
            held = [work for work in found if work["attempt"] == answer["attempt"]]
            # Of the lease that began with the first answer little may be left.
            taken.extend(work for work in held if self._prolonged(work, lease))
            return bool(taken)

        if request.id:
            self._requests.lasting(request.id, turn, take, holds, request.of)
        else:
            take()
        return taken[0] if taken else None

    def _withdrawn(self, wanted: Wanted, lease: float | None, holder: str) -> Payload | None:
        """The work that comes first, of those that can be read."""
        while (found := self.shelf.withdraw(wanted, lease=lease, holder=holder)) is not None:
            try:
                Work.from_stored(found)
            except WorkInvalid as error:
                fail_unfit(self.shelf, found, error)
            else:
                break
        return found

    def _prolonged(self, work: Payload, lease: float | None) -> bool:
        try:
            self.shelf.heartbeat(work["id"], work["attempt"], float(work["timeout"]) if lease is None else lease)
        except WorkLost:
            return False
        return True

    def take_back(self, work: Payload, request: Asked = _NONE, turn: str = "") -> None:
        """Queue again what was withdrawn for somebody who is gone, unless a repeated request has it now."""

        def give_back() -> None:
            self.shelf.give_back(work["id"], work["attempt"])

        if request.id:
            self._requests.undo(request.id, turn, give_back)
        else:
            give_back()
        self._rung()

    def update(self, payloads: Sequence[Payload], request: Asked = _NONE, *, held: bool = False) -> None:
        """Write works anew, all or none of them; of what is merely held, what came of it.

        Raises
        ------
        WorkInvalid, WorkLost, WorkLocked
        """
        works = _works(payloads)

        def write() -> bool:
            with self.shelf.database.transaction(ordered=False):
                self._buckets.update(self._as_held(works) if held else works)
            return True

        self._requests.once(request.id, write, request.of)
        # What has merely ended is nothing for those who wait.
        if any(work.status is WorkStatus.queued for work in works):
            self._rung()

    def _as_held(self, works: Sequence[Work]) -> list[Work]:
        """Works as they are stored, with what came of them; those of which all is written already are left out."""
        found = []
        # Always in the same order, so that two requests do not wait for each other.
        for work in sorted(works, key=lambda each: each.id or ""):
            if work.id is None:
                raise WorkInvalid("A work that was never deposited cannot be updated.")
            given = work.payload
            try:
                stored = self.shelf.held(work.id, work.attempt)
            except WorkLost:
                there = self.shelf.view(View({"id": work.id}, limit=1))
                ended = bool(there) and there[0]["status"] in ("success", "failure")
                if ended and all(there[0][name] == given[name] for name in (*_OUTCOME, "attempt")):
                    continue
                raise
            found.append(Work(**stored | {name: given[name] for name in _WRITTEN}))
        return found

    def heartbeat(self, id: str, attempt: int, lease: float) -> None:
        """Hold a work for longer [s]. Raises WorkLost."""
        self.shelf.heartbeat(id, attempt, lease)

    def give_back(self, id: str, attempt: int, request: Asked = _NONE) -> None:
        """Queue a work again as if nobody had taken it. Raises WorkLost."""

        def give_back() -> bool:
            self.shelf.give_back(id, attempt)
            return True

        self._requests.once(request.id, give_back, request.of)
        self._rung()

    def delete(self, ids: Sequence[str], request: Asked = _NONE, *, held: bool = False) -> int:
        """Delete works; how many of them were there.

        Raises
        ------
        WorkLocked
        TokenRefused
            Who only performs works deletes those that have succeeded, and of which nothing is to be kept.
        """

        def delete() -> int:
            with self.shelf.database.transaction(ordered=False):
                if held:
                    self._check_done(ids)
                return self.shelf.delete(ids)

        return int(self._requests.once(request.id, delete, request.of))

    def _check_done(self, ids: Sequence[str]) -> None:
        if len(ids) > _FEW:
            raise WorkInvalid(f"{len(ids)} works are too many. Delete at most {_FEW} at a time.")
        for id in sorted(ids):
            self.shelf.database.change("hold_work", id=id)
        for work in self.shelf.view(View({"id": {"$in": list(ids)}}, limit=-1)):
            if work["status"] != "success" or work["config"]["archive"]["results"]:
                raise TokenRefused(
                    f"Who only performs works cannot delete the work {work['id']}: it is {work['status']}, and what "
                    "comes of it is kept. That needs `deposit`."
                )

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

    def audit(self, stale: float | None, request: Asked = _NONE) -> dict[str, int]:
        """Put in order what was left."""
        found: Mapping[str, int] = self._requests.once(request.id, lambda: self.shelf.audit(stale), request.of)
        self._rung()
        return dict(found)


def _works(payloads: Sequence[Any]) -> list[Work]:
    if len(payloads) > MOST:
        raise WorkInvalid(f"{len(payloads)} works are too many for one request. Send at most {MOST}.")
    return [_work(payload) for payload in payloads]


def _work(payload: Any) -> Work:
    if not isinstance(payload, dict) or not all(isinstance(name, str) for name in payload):
        raise WorkInvalid("A work is an object with the fields of `Work`.")
    pipeline = payload.get("pipeline")
    # Work warns who writes the code; nobody reads the warnings of a server.
    return Work(**(payload | {"pipeline": hyphenated(pipeline)} if isinstance(pipeline, str) else payload))
