"""The buckets of works: what users and agents deposit, withdraw, update and find again."""

from __future__ import annotations

import logging
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Self

from daskflow.errors import WorkInvalid, WorkLost
from daskflow.model.jsons import json_ready
from daskflow.model.work import Work, WorkStatus, bucket_name
from daskflow.stores.buckets.astray import KnownSites
from daskflow.stores.buckets.query import check_query, check_view
from daskflow.stores.buckets.rows import ENDS
from daskflow.stores.buckets.shelf import Payload, Query, Shelf, View, Wanted
from daskflow.stores.liveness import this_host

_log = logging.getLogger("daskflow")
_WEEK = 7 * 86400.0
_LONGEST = 10 * 365 * 86400.0


class Buckets:
    """Works by their pipelines.

    Parameters
    ----------
    shelf
        Where they are kept.
    sites
        Names of sites that works may ask for, or what else is known of them; None: any.

    Notes
    -----
    Any number of threads, processes and machines may use the same buckets. A work is withdrawn by one agent only; who
    holds it proves it by the number of the attempt.
    """

    def __init__(self, shelf: Shelf, *, sites: Collection[str] | KnownSites | None = None) -> None:
        self.shelf = shelf
        """Where the works are kept."""
        self._sites = sites if isinstance(sites, KnownSites) else KnownSites(sites)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def deposit(self, works: Work | Iterable[Work]) -> list[str]:
        """Queue works, all of them or none; those that have ended already are kept as they are.

        Returns
        -------
        list of str
            Their ids in the same order; each work has its own, and is `queued` unless it had ended. One that ended
            elsewhere keeps its results, attempt and times; no agent performs it, and if it failed it is `final`.

        Raises
        ------
        SiteUnknown
            A work is for a site that nobody has configured.
        WorkInvalid
            A work has an id already: it was deposited before; or it is neither new nor ended, or does not fit any more.
        """
        given: list[Work] = _several(works)
        for work in given:
            self._check(work)
        if len({id(work) for work in given}) < len(given):
            raise WorkInvalid("A work stands twice among those to deposit. Make one work for each time.")
        ids = self.shelf.deposit([work.payload for work in given]) if given else []
        for work, new in zip(given, ids, strict=True):
            failed = work.status is WorkStatus.failure
            waits = {"status": WorkStatus.queued, "attempt": 0, "given_back": 0}
            ends = {"final": True} if failed else {} if work.status in ENDS else waits
            work.placed(id=new, **ends)
        return ids

    def _check(self, work: Work) -> None:
        if not isinstance(work, Work):
            raise WorkInvalid(f"A {type(work).__name__} is no Work. Of a dictionary make one: Work.from_dict(payload).")
        if work.id is not None:
            raise WorkInvalid(f"The work {work.id} was deposited before. To change it, update it.")
        if work.status is not WorkStatus.created and work.status not in ENDS:
            raise WorkInvalid(f"A work that is to be deposited is `created`, or has ended; this one is {work.status}.")
        if self._sites.lack(work):
            raise self._sites.unknown(work.site)

    def _check_moved(self, works: Sequence[Work]) -> None:
        """See that no work is given a site that is not known here.

        One that has such a site already was deposited where it is known; who performed it may write what came out.
        """
        astray = {str(work.id): work for work in works if self._sites.lack(work)}
        if astray:
            among = {"id": {"$in": list(astray)}}
            for stored in self.shelf.view(View(among, {"site": 1}, limit=-1)):
                if stored["site"] != (site := astray[stored["id"]].site):
                    raise self._sites.unknown(site)

    def withdraw(  # noqa: PLR0913, each is a filter
        self,
        pipeline: str | Sequence[str],
        *,
        event: int | Sequence[int] | None = None,
        site: str | None = None,
        priority: int | None = None,
        user: str | None = None,
        tags: str | Sequence[str] | None = None,
        parent: str | Sequence[str] | None = None,
        lease: float | None = None,
    ) -> Work | None:
        """Take the queued work of the highest priority, of these the oldest; it is `running` then.

        Parameters
        ----------
        pipeline
            Name of a bucket, or several.
        event, tags, parent
            Only works that have one of these.
        site, priority, user
            Only works of these.
        lease
            After this time without a heartbeat the work counts as lost [s]; None: after its own timeout.

        Returns
        -------
        Work or None
            None where there is none. Results, products, plots, error and log of earlier attempts are gone.

        Notes
        -----
        A work that was damaged in its store fails for good, and the next one is taken.
        """
        wanted = Wanted(
            tuple(_names(pipeline)),
            _text("site", site),
            _text("user", user),
            tuple(_each("event", event, int)),
            tuple(_each("tags", tags, str)),
            tuple(_each("parent", parent, str)),
            _priority(priority),
        )
        lasting, holder = None if lease is None else _checked(lease), f"{this_host()}:{os.getpid()}"
        while (found := self.shelf.withdraw(wanted, lease=lasting, holder=holder)) is not None:
            try:
                return Work.from_stored(found)
            except WorkInvalid as error:
                fail_unfit(self.shelf, found, error)
        return None

    def update(self, works: Work | Iterable[Work]) -> None:
        """Write works anew, all of them or none.

        Raises
        ------
        WorkLost
            Another agent has taken one meanwhile, or it was deleted: what was made of it is not written.
        WorkLocked
            One is locked, and is not being performed.
        WorkInvalid
            One was never deposited, or its status cannot follow on the one that it has.
        SiteUnknown
            One is given a site that nobody has configured.

        Notes
        -----
        A work that is ended without a `stop` is given that of the buckets' clock.
        """
        given: list[Work] = _several(works)
        for work in given:
            if not isinstance(work, Work) or work.id is None:
                raise WorkInvalid("What was never deposited as a Work cannot be updated. Deposit it.")
        if given:
            self._check_moved(given)
            self.shelf.update([work.payload for work in given])

    def heartbeat(self, work: Work, lease: float) -> None:
        """Hold a work for longer [s].

        Raises
        ------
        WorkLost
            It is no longer ours.
        """
        self.shelf.heartbeat(_id(work), work.attempt, _checked(lease))

    def give_back(self, work: Work) -> None:
        """Queue a work that is held again; the attempt does not count against its `retries`.

        Raises
        ------
        WorkLost
            It is no longer ours.
        """
        self.shelf.give_back(_id(work), work.attempt)

    def delete(self, works: Work | str | Iterable[Work | str]) -> int:
        """Delete works, by themselves or by their ids; returns how many were there.

        Raises
        ------
        WorkLocked
            One is locked; none is deleted.

        Notes
        -----
        An agent that holds one hears of it at its next heartbeat, and kills what it does.
        """
        return self.shelf.delete(_ids(works))

    def view(
        self,
        query: Query | None = None,
        *,
        projection: Mapping[str, Any] | None = None,
        sort: Sequence[tuple[str, int]] | Mapping[str, int] = (),
        skip: int = 0,
        limit: int = 100,
    ) -> list[Any]:
        """Look at works.

        Parameters
        ----------
        query
            Which: `{"event": 42, "results.dm": {"$gt": 300}}`; all where there is none.
        projection
            Which of their fields, `{"results.dm": 1}`, or which not, `{"log": 0}`.
        sort
            By which fields, `{"results.dm": -1}` for the largest first; without it those deposited last come first.
        skip, limit
            A part of them; a limit of -1 is none.

        Returns
        -------
        list of Work, or of dict where there is a projection
            A work that was damaged in its store is left out, with a warning in the log; a projection shows it.

        Raises
        ------
        WorkInvalid
            The query, the projection or the order is none.
        """
        order = tuple(sort.items() if isinstance(sort, Mapping) else _several(sort))
        view = check_view(View(query or {}, projection or {}, order, skip, limit))
        found = self.shelf.view(view)
        return found if projection else [work for each in found if (work := _readable(each)) is not None]

    def get(self, id: str) -> Work | None:
        """The work of that id, or None.

        Raises
        ------
        WorkInvalid
            It was damaged in its store.
        """
        found = self.shelf.view(check_view(View({"id": id}, limit=1)))
        return Work.from_stored(found[0]) if found else None

    def count(self, query: Query | None = None) -> int:
        """How many works a query means.

        Raises
        ------
        WorkInvalid
            It is none.
        """
        return self.shelf.count(check_query(query or {}))

    def status(self, pipeline: str | None = None) -> dict[str, int]:
        """How many works have each status, of one bucket or of all, and in `total`."""
        counted = self.shelf.status(None if pipeline is None else _names(pipeline)[0]).values()
        names = ("queued", "running", "success", "failure")
        sums = {name: sum(each.get(name, 0) for each in counted) for name in names}
        return {"total": sum(sums.values()), **sums}

    def statuses(self) -> dict[str, dict[str, int]]:
        """How many works of each bucket have each status."""
        return self.shelf.status(None)

    def pipelines(self) -> list[str]:
        """Names of the buckets that hold works."""
        return sorted(self.shelf.status(None))

    def audit(self, stale: float | None = _WEEK) -> dict[str, int]:
        """Put in order what was left.

        Parameters
        ----------
        stale
            Works that wait for longer [s] fail for good; None: none do.

        Returns
        -------
        dict
            In this order: `failed`: so many had failed, with attempts left, and are queued again; `expired`: so many
            were held for longer than they may, and failed; `stale`: so many waited for too long.
        """
        return self.shelf.audit(stale)

    def lock(self, works: Work | str | Iterable[Work | str]) -> int:
        """Let nobody change or delete works; returns how many were there."""
        return self.shelf.lock(_ids(works), True)

    def unlock(self, works: Work | str | Iterable[Work | str]) -> int:
        """Undo `lock`; returns how many were there."""
        return self.shelf.lock(_ids(works), False)

    def close(self) -> None:
        """Give connections back; what is asked next opens them again."""
        self.shelf.close()


def fail_unfit(shelf: Shelf, work: Payload, error: WorkInvalid) -> None:
    """Let a withdrawn work fail for good that cannot be read, so that nobody withdraws it again."""
    _log.warning("The work %s cannot be performed: %s", work.get("id"), error)
    try:
        shelf.fail(work, f"The work cannot be read: {error}")
    except (WorkLost, WorkInvalid) as hindrance:
        # It stays as it is until its lease is over, and in no one's way so long.
        _log.warning("The work %s is not written: %s", work.get("id"), hindrance)


def _readable(payload: Payload) -> Work | None:
    try:
        return Work.from_stored(payload)
    except WorkInvalid as error:
        _log.warning("The work %s is left out: %s Look at it with a projection.", payload.get("id"), error)
        return None


def _checked(lease: float) -> float:
    if isinstance(lease, bool) or not isinstance(lease, int | float) or not 0 < lease <= _LONGEST:
        raise WorkInvalid(f"{lease!r:.100} is no time of a lease: it is above 0 s, and at most {_LONGEST:.0f} s.")
    return lease


def _id(work: Work) -> str:
    if not isinstance(work, Work) or work.id is None:
        raise WorkInvalid("The work was never deposited.")
    return work.id


def _several(given: Any) -> list[Any]:
    return list(given) if isinstance(given, Iterable) and not isinstance(given, str | Work | Mapping) else [given]


def _ids(works: Work | str | Iterable[Work | str]) -> list[str]:
    return [each if isinstance(each, str) else _id(each) for each in _several(works)]


def _names(pipeline: str | Sequence[str]) -> list[str]:
    try:
        if type(pipeline) is str and pipeline:
            return [bucket_name(pipeline)]
        names = list(dict.fromkeys(bucket_name(name) for name in _each("pipeline", pipeline, str)))
    except ValueError as error:
        raise WorkInvalid(f"pipeline: {error}.") from None
    if not all(names) or not names:
        raise WorkInvalid("Name a pipeline whose works are to be withdrawn.")
    return names


def _each(name: str, given: Any, kind: type) -> list[Any]:
    """The values of a filter, as JSON holds them."""
    if given is None:
        return []
    values = [given] if isinstance(given, str | int) or not isinstance(given, Iterable) else list(given)
    if any(not isinstance(value, kind) or isinstance(value, bool) for value in values):
        raise WorkInvalid(f"{name}: {given!r:.100} is no {'number' if kind is int else 'text'}, and no list of them.")
    try:
        plain: list[Any] = json_ready(values, where=name)
    except ValueError as error:
        raise WorkInvalid(f"{error}.") from None
    return plain


def _text(name: str, given: str | None) -> str:
    if type(given) is str and given.isascii() and given.isprintable():
        return given
    values = _each(name, given, str)
    if len(values) > 1:
        raise WorkInvalid(f"{name}: {given!r:.100} is not one text.")
    return str(values[0]) if values else ""


def _priority(given: int | None) -> int | None:
    if given is not None and (type(given) is not int or not 1 <= given <= 5):
        raise WorkInvalid(f"priority: {given!r:.100} is no number from 1 to 5.")
    return given
