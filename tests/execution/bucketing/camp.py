"""Buckets, a site that deposits in them, and an agent that performs what it is told to, for tests."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from daskflow.artifacts.owners import OWNERS
from daskflow.artifacts.store import ObjectStore
from daskflow.artifacts.values import Values
from daskflow.execution.bucketing.means import Means
from daskflow.execution.bucketing.parcel import PERFORM
from daskflow.execution.bucketing.performing import perform
from daskflow.execution.bucketing.site import BucketSite
from daskflow.model.needs import Needs
from daskflow.model.work import Work, WorkStatus
from daskflow.sites.site import Node
from daskflow.stores import Database
from daskflow.stores.buckets.buckets import Buckets
from daskflow.stores.buckets.table import WorkTable
from tests.sites.deeds import Deeds
from tests.sites.deeds import Ear as Listener

KEY = bytes(range(32))


def add(a: int, b: int) -> int:
    return a + b


class Ear(Listener):
    """A listener that keeps events too."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[tuple[str, dict[str, Any]]] = []

    def tell(self, kind: str, data: str) -> None:
        self.events.append((kind, json.loads(data)))

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [data for found, data in self.events if found == kind]


class Camp:
    """A driver's side, with a store of artifacts of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.store = ObjectStore(directory / "artifacts")
        self.store.write_note(f"{OWNERS}/a-project", b"{}")
        self.values = Values(self.store, key=KEY)
        self.deeds = Deeds(directory)
        self.ear = Ear()
        self.buckets = self.open()
        self.sites: list[BucketSite] = []
        self.site = self.another()

    def open(self) -> Buckets:
        return Buckets(WorkTable(Database(str(self.directory / "works.db"))))

    def means(self, pipeline: str = "", buckets: Callable[[], Buckets] | None = None) -> Means:
        return Means("camp", "ada", pipeline, buckets or self.open, self.values, self.directory / "logs")

    def another(self, **means: Any) -> BucketSite:
        """A site as another driver would open it."""
        site = BucketSite("camp:bucket", self.means(**means))
        self.sites.append(site)
        return site

    def node(self, name: str, function: Callable[..., Any], *arguments: Any, mark: str = "1", **limits: Any) -> Node:
        made = self.deeds.node(name, function, *arguments, **limits)
        return made._replace(key=f"{name}-{mark}", name=name, run="a-run", needs=Needs(kind="Some_Work"))

    def withdraw(self, lease: float = 60.0) -> Work | None:
        """A work, as an agent gets it."""
        return self.buckets.withdraw("some-work", site="camp", lease=lease)

    def perform(self, work: Work) -> None:
        """What an agent does with a work."""
        assert work.function == PERFORM
        try:
            work.results = perform(**(work.parameters or {}))
            work.status = WorkStatus.success
        except Exception as error:
            work.status, work.error, work.host = WorkStatus.failure, f"{type(error).__name__}: {error}", "a-host"
        self.buckets.update(work)

    def next(self) -> Work:
        """Wait for a work, as an agent does."""
        pause = threading.Event()
        for _ in range(6000):
            work = self.withdraw()
            if work is not None:
                return work
            pause.wait(0.01)
        raise AssertionError("waited in vain")

    def serve(self, count: int = 1) -> Sequence[Work]:
        """Perform so many works, which come or are there."""
        works = [self.next() for _ in range(count)]
        for work in works:
            self.perform(work)
        return works

    def close(self) -> None:
        for site in self.sites:
            site.close()
        self.buckets.close()
