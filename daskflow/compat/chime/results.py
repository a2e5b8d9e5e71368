"""The client of results: works that have ended, in the same buckets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Self

import daskflow
from daskflow.compat.chime.buckets import Buckets, Payload, Works, agreed, as_work, hyphenated, listed
from daskflow.errors import WorkInvalid

_ENDS = ("success", "failure")


class Results:
    """A client of the results.

    Takes the same parameters as `Buckets`, or such to use.

    Notes
    -----
    Results are the works that have ended. They stay where they are: nothing has to move them, they are found by
    `Buckets.view` as well, and what is deleted here is deleted there.
    """

    def __init__(self, base_url: Any = None, **options: Any) -> None:
        self.client = base_url if isinstance(base_url, Buckets) else Buckets(base_url, **options)
        """The buckets that hold them."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give connections back; what is asked next opens them again."""
        self.client.close()

    def deposit(self, works: Works) -> dict[str, int]:
        """Keep works that have ended; how many, by their pipelines.

        A work of these buckets is written anew, any other one is added as it is, with a new id. No agent performs it.

        Raises
        ------
        WorkInvalid
            One has not ended. None is kept.
        """
        given = [as_work(payload) for payload in listed(works)]
        for work in given:
            if work.status not in _ENDS:
                raise WorkInvalid(f"A result is a work with the status success or failure, not {work.status}.")
        buckets, ids = self.client.buckets, [work.id for work in given if work.id is not None]
        here = {each["id"] for each in buckets.view({"id": {"$in": ids}}, projection={"id": 1}, limit=-1)}
        buckets.update([work for work in given if work.id in here])
        elsewhere = [work for work in given if work.id not in here]
        buckets.deposit([daskflow.Work.from_dict({**work.payload, "id": None}) for work in elsewhere])
        return dict(Counter(work.pipeline for work in given))

    def update(self, works: Works) -> bool:
        """Write results anew, all or none of them.

        Raises
        ------
        WorkLost
            One is not there.
        WorkLocked
            One is locked.
        """
        return self.client.update(works)

    def delete_ids(self, pipeline: str, ids: str | Sequence[str]) -> bool:
        """Delete results of one pipeline; whether any was there.

        Raises
        ------
        WorkLocked
            One is locked; none is deleted.
        """
        found = self._ids(pipeline, ids)
        return self.client.delete_ids(found) if found else False

    def view(
        self,
        pipeline: str | None = None,
        query: Mapping[str, Any] | None = None,
        projection: Mapping[str, Any] | None = None,
        skip: int = 0,
        limit: int = 100,
    ) -> list[Payload]:
        """Look at results of one pipeline or of all, as `Buckets.view` does."""
        return self.client.view(_among(pipeline, query), projection, skip, limit)

    def count(self, pipeline: str | None = None, query: Mapping[str, Any] | None = None) -> int:
        """How many results of one pipeline or of all a query means."""
        return self.client.buckets.count(_among(pipeline, query))

    def status(self) -> dict[str, int]:
        """How many results there are of each pipeline."""
        found = {name: self.count(name) for name in self.client.pipelines()}
        return {name: number for name, number in found.items() if number}

    def get_by_count(self, pipeline: str, count: int = 10) -> list[Payload]:
        """The results of a pipeline that were deposited last."""
        return self.view(pipeline, limit=count)

    def get_by_id(self, pipeline: str, id: str) -> Payload | None:
        """The result of that id, or None."""
        return next(iter(self.view(pipeline, {"id": id}, limit=1)), None)

    def get_by_event(self, pipeline: str, event: int | Sequence[int]) -> list[Payload]:
        """All results of a pipeline that are about one of these events."""
        events = [event] if isinstance(event, int) else list(event)
        return self.view(pipeline, {"event": {"$in": events}}, limit=-1)

    def lock(self, pipeline: str, ids: str | Sequence[str]) -> bool:
        """Let nobody change or delete results; whether any was there."""
        return self.client.buckets.lock(self._ids(pipeline, ids)) > 0

    def unlock(self, pipeline: str, ids: str | Sequence[str], force: bool = False) -> bool:
        """Undo `lock`; asks before, unless that is forced. Whether any was unlocked."""
        found = self._ids(pipeline, ids)
        if not found or not (force or agreed(f"Unlock {len(found)} results of {pipeline}?")):
            return False
        return self.client.buckets.unlock(found) > 0

    def get_locked(self, pipeline: str | None = None, skip: int = 0, limit: int = 100) -> list[Payload]:
        """Results of one pipeline or of all that are locked."""
        return self.view(pipeline, {"locked": True}, None, skip, limit)

    def get_locked_count(self, pipeline: str | None = None) -> int:
        """How many results of one pipeline or of all are locked."""
        return self.count(pipeline, {"locked": True})

    def info(self) -> dict[str, str]:
        """Versions of the client, and of what it speaks to."""
        return self.client.info()

    def _ids(self, pipeline: str, ids: str | Sequence[str]) -> list[str]:
        """Those ids that are results of a pipeline."""
        wanted = [ids] if isinstance(ids, str) else list(ids)
        return [each["id"] for each in self.view(pipeline, {"id": {"$in": wanted}}, {"id": 1}, limit=-1)]


def _among(pipeline: str | None, query: Mapping[str, Any] | None) -> dict[str, Any]:
    """A query for results only, whatever the query of a user says of the status."""
    own: dict[str, Any] = {"status": {"$in": list(_ENDS)}}
    if pipeline is not None:
        own["pipeline"] = hyphenated(pipeline)
    return {"$and": [own, dict(query)]} if query else own
