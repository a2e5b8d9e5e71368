"""What keeps works must offer; a database and a server do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol, TypeAlias

Payload: TypeAlias = dict[str, Any]
"""A work as JSON can hold it: the fields of `Work` but the token."""
Query: TypeAlias = Mapping[str, Any]
"""Which works are meant: `{"results.dm": {"$gt": 300}, "event": 42}`."""


_NONE: Mapping[str, Any] = MappingProxyType({})


class Wanted(NamedTuple):
    """Which works an agent takes; an empty field takes all."""

    pipelines: tuple[str, ...]
    """Names of buckets; at least one."""
    site: str = ""
    user: str = ""
    events: tuple[int, ...] = ()
    """At least one of these."""
    tags: tuple[str, ...] = ()
    """At least one of these."""
    parents: tuple[str, ...] = ()
    """Deposited by one of these runs of pipelines."""
    priority: int | None = None
    """Only works of this priority."""

    @property
    def query(self) -> dict[str, Any]:
        """The query for these works, whatever their status.

        Examples
        --------
        >>> Wanted(("fit",), "cedar", tags=("night",)).query
        {'pipeline': {'$in': ['fit']}, 'tags': {'$in': ['night']}, 'site': 'cedar'}
        """
        several = {
            "pipeline": self.pipelines,
            "event": self.events,
            "tags": self.tags,
            "config.parent": self.parents,
        }
        single = {"site": self.site, "user": self.user, "priority": self.priority}
        return {name: {"$in": list(values)} for name, values in several.items() if values} | {
            name: value for name, value in single.items() if value
        }


class View(NamedTuple):
    """Which works are looked at, and what is shown of them."""

    query: Query = _NONE
    projection: Mapping[str, Any] = _NONE
    """Fields that are shown, `{"results.dm": 1}`, or left out, `{"log": 0}`; empty: all are shown."""
    sort: tuple[tuple[str, int], ...] = ()
    """Fields, with 1 for the smallest first and -1 for the largest; empty: the works that were deposited last first."""
    skip: int = 0
    limit: int = 100
    """How many at most; -1: all."""


class Shelf(Protocol):
    """Keeps works; any number of threads, processes and machines may use one.

    Notes
    -----
    All times are those of the shelf's own clock. A work is held by an agent from `withdraw` until `update` or
    `give_back`, or until another one has withdrawn it after its lease had expired: with the number of the attempt an
    agent proves that it is the one. Each withdrawal has a new number, that of a work which was given back as well.
    """

    def deposit(self, works: Sequence[Payload]) -> list[str]:
        """Queue works, all or none of them; their new ids in the same order.

        Works that have ended, with the status `success` or `failure`, are kept as they are: with what came out, and
        with their attempt and times. Such a failure is `final`. They are never queued, so no agent takes them.
        """

    def withdraw(self, wanted: Wanted, *, lease: float | None, holder: str) -> Payload | None:
        """Take the queued work that comes first: of the highest priority, of these the oldest; None if there is none.

        Parameters
        ----------
        lease
            After this time without a heartbeat the work is taken for lost [s]; None: after its timeout.
        holder
            Who takes it, for people.
        """

    def update(self, works: Sequence[Payload]) -> None:
        """Write works anew, all or none of them; one that is ended without a `stop` is given that of this moment.

        Raises
        ------
        WorkLost
            Of one of them there is a later attempt, or it is not there any more.
        WorkLocked
            One of them is locked, and not running: who holds a work may end it in any case.
        WorkInvalid
            The status of one cannot follow on the one that it has: see `WORK_TRANSITIONS`. Nor is a work `running`
            by that, but by `withdraw`, or queued again that is held, but by `give_back`.
        """

    def heartbeat(self, id: str, attempt: int, lease: float) -> None:
        """Hold a work for longer [s].

        One whose lease seemed over is taken back, as long as nobody else has it: clocks jump.

        Raises
        ------
        WorkLost
        """

    def give_back(self, id: str, attempt: int) -> None:
        """Queue a work again; the attempt does not count against its retries.

        Raises
        ------
        WorkLost
        """

    def fail(self, work: Payload, why: str) -> None:
        """Let a work that is held fail for good, whatever else is in it.

        Raises
        ------
        WorkLost
        """

    def delete(self, ids: Sequence[str]) -> int:
        """Delete works; how many of them were there.

        Raises
        ------
        WorkLocked
            One of them is locked; none is deleted.
        """

    def view(self, view: View) -> list[Payload]:
        """Look at works; where there is a projection, at parts of them."""

    def count(self, query: Query) -> int:
        """How many works are meant."""

    def status(self, pipeline: str | None) -> dict[str, dict[str, int]]:
        """How many works of each bucket, or of one, have each status."""

    def audit(self, stale: float | None) -> dict[str, int]:
        """Put in order what was left: how many works `failed`, `expired` and were `stale`, in this order.

        Works that failed and have attempts left are queued again. Those whose lease is over fail, and are queued again
        by the next audit if they have attempts left. Those that wait for longer than `stale` [s] fail for good; None:
        none do.
        """

    def lock(self, ids: Sequence[str], locked: bool) -> int:
        """Lock or unlock works; how many of them were there."""

    def await_deposit(self, pipelines: Sequence[str], timeout: float) -> bool:
        """Return as soon as something may have been deposited there, at the latest after some time [s].

        False only if it is known that nothing was: until then there is nothing to be asked.
        """

    def close(self) -> None:
        """Give connections back; what is asked next opens them again."""
