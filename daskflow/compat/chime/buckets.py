"""The client of buckets, with works as dictionaries."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self, TypeAlias
from urllib.parse import urlsplit

from pydantic import SecretStr

import daskflow
from daskflow.compat.chime import variables
from daskflow.compat.chime.fields import modern
from daskflow.errors import WorkInvalid

Payload: TypeAlias = dict[str, Any]
"""A work as JSON can hold it."""
Works: TypeAlias = Sequence[Payload | daskflow.Work] | Payload | daskflow.Work
"""Works, as payloads or not; one or several."""
_TIMEOUTS = (0.5, 60.0)
"""Least and most time that people wait for a server to take a connection [s]."""


class Buckets:
    """A client of the buckets.

    Parameters
    ----------
    base_url
        Where they are: the address of a server, a path, `postgresql://...`; of several the first server that takes
        connections. None: as daskflow is configured.
    token
        Lets us in at a server. None: as configured, else that of `WORKFLOW_TOKEN`, or of a secret.
    timeout
        So long it is waited for each of several servers, from 0.5 to 60 [s].
    debug, authentication
        Accepted, and without a meaning: a token is sent where there is one.

    Notes
    -----
    Safe for threads, as the buckets of daskflow are; `buckets` is these.
    """

    def __init__(
        self,
        base_url: str | Path | Sequence[str] | None = None,
        *,
        token: str | SecretStr | None = None,
        timeout: float = 15.0,
        debug: bool = False,
        authentication: bool = False,
    ) -> None:
        least, most = _TIMEOUTS
        if not least <= timeout <= most:
            raise WorkInvalid(f"A timeout is between {least} and {most} s, not {timeout!r}.")
        url: Any = base_url
        if not isinstance(url, str | os.PathLike) and isinstance(url, Iterable):
            url = _answering(list(url), timeout)
        secret = token.get_secret_value() if isinstance(token, SecretStr) else token
        self.buckets = daskflow.Buckets(url, token=secret or _own_token())
        """The buckets themselves."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give connections back; what is asked next opens them again."""
        self.buckets.close()

    def deposit(self, works: Works, return_ids: bool = False) -> bool | list[str]:
        """Queue works, all or none of them; True, or their ids in the same order."""
        ids = self.buckets.deposit([as_work({**payload, "id": None, "status": "created"}) for payload in _fresh(works)])
        return ids if return_ids else True

    def withdraw(  # noqa: PLR0913, PLR0917, the signature that users know
        self,
        pipeline: str | list[str],
        event: int | list[int] | None = None,
        site: str | None = None,
        priority: int | None = None,
        user: str | None = None,
        tags: str | list[str] | None = None,
        parent: str | list[str] | None = None,
    ) -> Payload | None:
        """Take the queued work of the highest priority, of these the oldest; None where there is none."""
        found = self.buckets.withdraw(
            pipeline, event=event, site=site, priority=priority, user=user, tags=tags, parent=parent
        )
        return None if found is None else found.payload

    def update(self, works: Works) -> bool:
        """Write works anew, all or none of them; True, since what cannot be written is an error.

        Raises
        ------
        WorkLost
            Another agent has one now, or it was deleted.
        WorkLocked
        """
        self.buckets.update([as_work(each) for each in listed(works)])
        return True

    def delete_ids(self, ids: str | Sequence[str]) -> bool:
        """Delete works, however many; whether any was there.

        Raises
        ------
        WorkLocked
            One is locked; none is deleted.
        """
        return self.buckets.delete([ids] if isinstance(ids, str) else list(ids)) > 0

    def delete_many(  # noqa: PLR0913, PLR0917, the signature that users know
        self,
        pipeline: str,
        status: str | None = None,
        events: int | Sequence[int] | None = None,
        tags: str | Sequence[str] | None = None,
        parent: str | None = None,
        force: bool = False,
        limit: int = 100,
    ) -> bool:
        """Delete works of a bucket, those that were deposited last first.

        Parameters
        ----------
        force
            Do not ask before.
        limit
            So many at most; -1: all.

        Returns
        -------
        bool
            Whether any was deleted.
        """
        exact = {"pipeline": hyphenated(pipeline), "status": status, "config.parent": parent}
        among = {"event": events, "tags": tags}
        query: dict[str, Any] = {name: value for name, value in exact.items() if value is not None}
        query |= {
            name: {"$in": [value] if isinstance(value, str | int) else list(value)}
            for name, value in among.items()
            if value is not None
        }
        ids = [each["id"] for each in self.view(query, {"id": 1}, limit=limit)]
        if not ids or not (force or agreed(f"Delete {len(ids)} works of {pipeline}?")):
            return False
        return self.delete_ids(ids)

    def status(self, pipeline: str | None = None) -> dict[str, int]:
        """How many works have each status, of one bucket or of all, and in `total`."""
        return self.buckets.status(None if pipeline is None else hyphenated(pipeline))

    def pipelines(self) -> list[str]:
        """Names of the buckets that hold works."""
        return self.buckets.pipelines()

    def view(
        self,
        query: Mapping[str, Any] | None = None,
        projection: Mapping[str, Any] | None = None,
        skip: int = 0,
        limit: int = 100,
    ) -> list[Payload]:
        """Look at works, those that were deposited last first.

        Parameters
        ----------
        query
            Which: `{"event": 42, "results.dm": {"$gt": 300}}`.
        projection
            Which of their fields, `{"results.dm": 1}`, or which not, `{"log": 0}`.
        skip, limit
            A part of them; a limit of -1 is none.
        """
        found = self.buckets.view(query, projection=projection, skip=skip, limit=limit)
        return [each.payload if isinstance(each, daskflow.Work) else each for each in found]

    def audit(self) -> dict[str, int]:
        """Put in order what was left: how many had `failed`, `expired`, and were `stale` after a week."""
        return self.buckets.audit()

    def version(self) -> dict[str, str]:
        """Versions of the client, and of what it speaks to."""
        from importlib.metadata import version

        own = version("daskflow")
        # Without a server between them the store is read by the client itself.
        line = getattr(self.buckets.shelf, "line", None)
        return {"client": own, "server": own if line is None else str(line.ask("GET", "/version").value["server"])}

    def info(self) -> dict[str, str]:
        """The same as `version`."""
        return self.version()


def as_work(payload: Payload) -> daskflow.Work:
    """The work of a payload, also of one with fields of older versions."""
    return daskflow.Work.from_dict(modern(payload))


def hyphenated(pipeline: str) -> str:
    """The name of a bucket as its works have it.

    Examples
    --------
    >>> hyphenated("Sample_Pipeline")
    'sample-pipeline'
    """
    return pipeline.lower().replace("_", "-").replace(" ", "-")


def listed(works: Works) -> list[Payload]:
    """Works, as payloads or not, as payloads."""
    given: Any = [works] if isinstance(works, dict | daskflow.Work) else works
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise WorkInvalid(f"A {type(given).__name__} is no list of works. Give works, or their payloads.")
    return [_payload(each) for each in given]


def _payload(work: Any) -> Payload:
    if isinstance(work, daskflow.Work):
        return work.payload
    if not isinstance(work, dict):
        raise WorkInvalid(f"A {type(work).__name__} is no work. Give a work, or its payload as a dictionary.")
    return work


def agreed(question: str) -> bool:
    """Whether somebody says yes; nobody does where nobody can be asked."""
    try:
        return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:
        return False


def _fresh(works: Works) -> list[Payload]:
    given = listed(works)
    for each in given:
        if each.get("id") is not None:
            raise WorkInvalid(f"The work {each['id']} was deposited before. To change it, update it.")
    return given


def _own_token() -> str | None:
    """The token of a variable that daskflow does not read for servers; its own ones go first."""
    if os.environ.get("DASKFLOW_WORKS__TOKEN") or os.environ.get("DASKFLOW_TOKEN"):
        return None
    return variables.token()


def _answering(urls: Sequence[str], timeout: float) -> str:
    """The first of several places that is a store, or a server that takes connections; else the last one."""
    if not urls:
        raise WorkInvalid("Name at least one base_url.")
    for url in urls:
        parts = urlsplit(str(url))
        if parts.scheme not in ("http", "https"):
            return url
        port = parts.port or (443 if parts.scheme == "https" else 80)
        try:
            socket.create_connection((parts.hostname or "", port), timeout).close()
        except OSError:
            continue
        return url
    return urls[-1]
