"""All that a server works with."""

from __future__ import annotations

import functools
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from daskflow.execution.gateway.bell import Bell
from daskflow.execution.gateway.desk import WorkDesk
from daskflow.execution.gateway.door import Door
from daskflow.execution.gateway.objects import ObjectDesk
from daskflow.execution.gateway.rates import Rates
from daskflow.execution.gateway.recorded import RunDesk

P = ParamSpec("P")
R = TypeVar("R")

_THREADS = 8
"""So many requests ask the store at a time; each has a connection of its own."""
_CARRIERS = 4
"""So many blocks of files are moved at a time."""


class Gateway:
    """What the routes of a server use.

    Parameters
    ----------
    desk
        Works.
    runs
        Runs and their questions.
    objects
        Artifacts.
    door
        Who may enter.
    bell
        Tells that works may have been queued.
    rates
        How often one may ask.
    """

    def __init__(  # noqa: PLR0913, each is a part of a server
        self,
        desk: WorkDesk,
        runs: RunDesk,
        objects: ObjectDesk,
        *,
        door: Door,
        bell: Bell,
        rates: Rates,
        request_limit: int,
    ) -> None:
        self.desk = desk
        self.runs = runs
        self.objects = objects
        self.door = door
        self.bell = bell
        self.rates = rates
        self.request_limit = request_limit
        """Largest request that is read, but for files [bytes]."""
        self._pool = ThreadPoolExecutor(_THREADS, "daskflow-gateway")
        self._readers = ThreadPoolExecutor(1, "daskflow-reader")
        self._carriers = ThreadPoolExecutor(_CARRIERS, "daskflow-carrier")

    async def call(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Call what asks the store, in a thread of its own."""
        return await _within(self._pool, functools.partial(function, *args, **kwargs))

    async def read(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Call what reads large requests, one after the other: what it makes takes many times their room."""
        return await _within(self._readers, functools.partial(function, *args, **kwargs))

    async def carry(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Call what moves bytes, in a thread of its own: who asks for works does not wait for it."""
        return await _within(self._carriers, functools.partial(function, *args, **kwargs))

    def close(self) -> None:
        """Close everything."""
        self.bell.close()
        self._pool.shutdown()
        self._carriers.shutdown()
        self._readers.shutdown()
        self.objects.uploads.close()
        self.bell.join()
        self.desk.shelf.close()
        self.runs.close()


async def _within(pool: Executor, function: Callable[[], R]) -> R:
    import asyncio

    return await asyncio.get_running_loop().run_in_executor(pool, function)
