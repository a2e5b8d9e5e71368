"""Works on a server of daskflow, over HTTP."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pydantic import SecretStr

from daskflow.errors import ServerSilent
from daskflow.model.jsons import json_ready
from daskflow.stores.buckets.line import Line
from daskflow.stores.buckets.shelf import Payload, Query, Shelf, View, Wanted

_WAIT = 15.0
"""A server is asked to hold a request for so long at most [s]."""
_PAGE = 1000
"""Where all works are asked for, so many come in one answer."""


class RemoteShelf:
    """Keeps works on a server: a `Shelf`.

    Parameters
    ----------
    line
        The way to the server.

    Notes
    -----
    A request that changes something has an id, and is repeated with the same: the server does it once. If no answer
    came to a `withdraw`, the next one for the same works asks with the id of that one: what the server has given out
    meanwhile is taken then.
    """

    def __init__(self, line: Line) -> None:
        self.line = line
        self._reset()

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._unanswered: dict[tuple[Wanted, str], list[str]] = {}
        self._tickets = threading.local()

    def __repr__(self) -> str:
        return f"RemoteShelf({self.line.url!r})"

    def __getstate__(self) -> dict[str, Any]:
        return {"line": self.line}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.line = state["line"]
        self._reset()

    def deposit(self, works: Sequence[Payload]) -> list[str]:
        """Queue works, all or none of them; their new ids in the same order."""
        return [str(id) for id in self._change("POST", "/work", {"return_ids": "true"}, list(works))]

    def withdraw(self, wanted: Wanted, *, lease: float | None, holder: str) -> Payload | None:
        """Take the queued work that comes first."""
        query = {"holder": holder} | ({} if lease is None else {"lease": lease})
        request = self._known((wanted, holder)) or uuid.uuid4().hex
        try:
            reply = self.line.ask("POST", "/work/withdraw", query=query, body=wanted.query, request=request)
        except BaseException:
            # Ctrl-C as well: nobody knows what the server has given out.
            with self._lock:
                self._unanswered.setdefault((wanted, holder), []).append(request)
            raise
        self._tickets.latest = reply.headers.get("X-Ticket", "")
        found: Payload | None = reply.value
        return found

    def _known(self, asked: tuple[Wanted, str]) -> str:
        with self._lock:
            waiting = self._unanswered.get(asked)
            return waiting.pop() if waiting else ""

    def update(self, works: Sequence[Payload]) -> None:
        """Write works anew, all or none of them."""
        self._change("PUT", "/work", None, list(works))

    def heartbeat(self, id: str, attempt: int, lease: float) -> None:
        """Hold a work for longer [s]."""
        self.line.ask("POST", "/work/heartbeat", body={"id": id, "attempt": attempt, "lease": lease})

    def give_back(self, id: str, attempt: int) -> None:
        """Queue a work again as if nobody had taken it."""
        self._change("POST", "/work/give-back", None, {"id": id, "attempt": attempt})

    def fail(self, work: Payload, why: str) -> None:
        """Let a work that is held fail for good."""
        self.update([{**work, "status": "failure", "final": True, "error": why}])

    def delete(self, ids: Sequence[str]) -> int:
        """Delete works; how many of them were there."""
        return int(self._change("POST", "/work/delete", None, {"ids": json_ready(ids)}))

    def view(self, view: View) -> list[Payload]:
        """Look at works."""
        if view.limit >= 0 or view.projection:
            return self._view(view)
        first = self._view(view._replace(limit=_PAGE))
        if len(first) < _PAGE:
            return first
        # Which they are is asked at once, so that none is there twice, nor missed because another one was deleted.
        ids = [work["id"] for work in self._view(view._replace(projection={"id": 1}))]
        found = {work["id"]: work for work in first}
        missing = [id for id in ids if id not in found]
        for start in range(0, len(missing), _PAGE):
            wanted = {"id": {"$in": missing[start : start + _PAGE]}}
            found.update((work["id"], work) for work in self._view(View(wanted, limit=-1)))
        return [found[id] for id in ids if id in found]

    def _view(self, view: View) -> list[Payload]:
        body = {
            "query": dict(view.query),
            "projection": dict(view.projection),
            "sort": [list(each) for each in view.sort],
            "skip": view.skip,
            "limit": view.limit,
        }
        found: list[Payload] = self.line.ask("POST", "/view", body=body).value
        return found

    def count(self, query: Query) -> int:
        """How many works are meant."""
        return int(self.line.ask("POST", "/view/count", body={"query": dict(query)}).value)

    def status(self, pipeline: str | None) -> dict[str, dict[str, int]]:
        """How many works of each bucket, or of one, have each status."""
        path = "/status/buckets" + ("" if pipeline is None else f"?pipeline={quote(pipeline, safe='')}")
        found: dict[str, dict[str, int]] = self.line.ask("GET", path).value
        return found

    def audit(self, stale: float | None) -> dict[str, int]:
        """Put in order what was left."""
        found: dict[str, int] = self._change("POST", "/work/audit", None, {"stale": stale})
        return found

    def lock(self, ids: Sequence[str], locked: bool) -> int:
        """Lock or unlock works; how many of them were there."""
        return int(self.line.ask("POST", "/work/lock", body={"ids": json_ready(ids), "locked": locked}).value)

    def await_deposit(self, pipelines: Sequence[str], timeout: float) -> bool:
        """Return as soon as something may have been deposited, at the latest after some time [s].

        False if the server says all that time that nothing was, since this thread looked for works.
        """
        ticket, began = getattr(self._tickets, "latest", ""), time.monotonic()
        while (left := began + timeout - time.monotonic()) > 0:
            query = {"wait": round(min(left, _WAIT), 3), "ticket": ticket}
            try:
                reply = self.line.ask("GET", "/work/await", query=query, patience=left)
            except ServerSilent:
                # Time is up; what is asked next tells what is wrong.
                return True
            latest = reply.headers.get("X-Ticket", "")
            if latest != ticket or not latest:
                return True
        return False

    def close(self) -> None:
        """Give connections back."""
        self.line.close()

    def _change(self, method: str, path: str, query: dict[str, Any] | None, body: Any) -> Any:
        return self.line.ask(method, path, query=query, body=body, request=uuid.uuid4().hex).value


def remote_shelf(url: str, token: SecretStr | None, authorities: Path | None = None) -> Shelf:
    """What a server keeps.

    Parameters
    ----------
    authorities
        File of certificates of authorities that are trusted; None: those of this machine.

    Raises
    ------
    SettingsInvalid
        That is no address of a server.
    """
    return RemoteShelf(Line(url, token, authorities=authorities))
