"""Kills what the workers of a dask cluster perform: the node where it can be killed, else its whole worker process."""

from __future__ import annotations

import time
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, NamedTuple

from daskflow.sites.grip import PATIENCE, condemn, kill_here, pardon
from daskflow.sites.processes import ProcessTree
from daskflow.sites.relay import NAME

_ASK = PATIENCE + 0.5
"""A worker that does not answer in this time cannot: its job holds the GIL [s]."""
_NANNY = 10.0
"""A nanny that does not answer in this time is gone [s]."""


_ARRIVAL = 5.0
"""A graph that did not arrive at the scheduler in this time is lost [s]."""


class Forgotten(NamedTuple):
    """What became of dask tasks that were to be forgotten."""

    places: dict[str, list[str]]
    """Those that workers may be performing, by the address of the worker."""
    lost: list[str]
    """Those that depend on them, which are forgotten too."""
    needed: list[str]
    """Those that they depend on and nobody else, which are not forgotten: what they give is wanted in itself."""


async def forget(keys: Collection[str], client: str, graphs: int, dask_scheduler: Any) -> Forgotten:
    """Have a scheduler forget dask tasks, so that none of them starts any more. Runs on the scheduler.

    Parameters
    ----------
    client
        Id of the client that sent them; it goes on wanting what they depend on.
    graphs
        How many graphs it has sent: what is still on its way could not be forgotten.
    """
    import asyncio

    relay, deadline = dask_scheduler.plugins[NAME], time.monotonic() + _ARRIVAL
    while relay.graphs[client] < graphs and time.monotonic() < deadline:
        await asyncio.sleep(0.005)
    asked = [dask_scheduler.tasks[key] for key in keys if key in dask_scheduler.tasks]
    dead = dict.fromkeys(asked)
    stack = list(asked)
    while stack:
        for task in stack.pop().dependents:
            if task not in dead and task.state not in ("memory", "erred"):
                dead[task] = None
                stack.append(task)
    places: dict[str, list[str]] = {}
    for task in dead:
        if task.processing_on is not None:
            places.setdefault(task.processing_on.address, []).append(str(task.key))
    upstream = {up for task in dead for up in task.dependencies if up not in dead}
    needed = [str(up.key) for up in upstream if up.state not in ("memory", "erred") and not up.who_wants]
    lost = [str(task.key) for task in dead if task.key not in keys]
    dask_scheduler.client_desires_keys(needed, client)
    wanted: dict[str, list[Any]] = {}
    for task in dead:
        for owner in task.who_wants or ():
            wanted.setdefault(owner.client_key, []).append(task.key)
    for owner, owned in wanted.items():
        dask_scheduler.client_releases_keys(owned, owner)
    return Forgotten(places, lost, needed)


def doom(address: str, dask_scheduler: Any) -> None:
    """Have nobody suspected for the end of a worker. Runs on the scheduler."""
    dask_scheduler.plugins[NAME].doom(address)


def processing(dask_scheduler: Any) -> dict[str, list[str]]:
    """The dask tasks that each worker has to perform, by its address. Runs on the scheduler."""
    return {address: [str(task.key) for task in ws.processing] for address, ws in dask_scheduler.workers.items()}


def keep_upstream(keys: Collection[str], client: str, dask_scheduler: Any) -> list[str]:
    """What nodes that are to be released depend on, and nobody else wants: it goes on. Runs on the scheduler.

    Parameters
    ----------
    client
        Id of the client that sent them; it goes on wanting what they depend on.
    """
    released = [dask_scheduler.tasks[key] for key in keys if key in dask_scheduler.tasks]
    upstream = {up for task in released for up in task.dependencies if str(up.key) not in keys}
    needed = [str(up.key) for up in upstream if up.state not in ("memory", "erred") and not up.who_wants]
    dask_scheduler.client_desires_keys(needed, client)
    return needed


_AHEAD = ("waiting", "ready", "constrained", "fetch", "flight", "missing", "released", "forgotten")
"""States of a worker's dask tasks that are not performed yet; they leave these only in the worker's own event loop."""


def recall_at_worker(keys: list[str], dask_worker: Any) -> set[str]:
    """See that nodes do not begin any more; those that have. Runs in the event loop of the worker."""
    tasks = dask_worker.state.tasks
    begun = {key for key in keys if key in tasks and tasks[key].state not in _AHEAD}
    condemn([key for key in keys if key not in begun])
    return begun


def recall_nodes(client: Any, keys: Collection[str]) -> set[str]:
    """See that nodes do not begin on any worker any more; those that have begun."""
    places = client.run_on_scheduler(processing)
    if not places:
        return set()
    with ThreadPoolExecutor(len(places), thread_name_prefix="daskflow-recall") as pool:
        found = pool.map(lambda place: _recall_at(client, place[0], place[1], list(keys)), places.items())
        begun: set[str] = set().union(*found)
        # What has begun at one of them may have to be performed by another, when its worker is lost.
        list(pool.map(lambda address: _pardon_at(client, address, begun), places if begun else ()))
    return begun


def _recall_at(client: Any, address: str, all_there: list[str], keys: list[str]) -> set[str]:
    try:
        answer = client.run(recall_at_worker, keys, workers=[address], on_error="return", callback_timeout=_ASK)
        begun = answer.get(address)
    except TimeoutError:
        begun = None
    # A worker that does not answer performs something, and nobody can say what.
    return begun if isinstance(begun, set) else set(all_there)


def pardon_at_worker(keys: set[str]) -> None:
    """Nodes may begin here after all. Runs on the worker."""
    pardon(keys)


def _pardon_at(client: Any, address: str, keys: set[str]) -> None:
    with suppress(TimeoutError):
        client.run(pardon_at_worker, keys, workers=[address], on_error="return", callback_timeout=_ASK)


async def kill_at_worker(keys: list[str]) -> set[str]:
    """Kill nodes that a worker performs; those that are alive all the same. Runs on the worker."""
    import asyncio

    return await asyncio.get_running_loop().run_in_executor(None, kill_here, keys)


async def kill_worker(dask_worker: Any) -> bool:
    """Kill the process of a worker with all its descendants; returns whether all are gone. Runs on its nanny."""
    import asyncio

    pid = dask_worker.pid
    if pid is None:
        return True
    return await asyncio.get_running_loop().run_in_executor(None, ProcessTree(pid).kill, 0.0)


def kill_nodes(client: Any, places: dict[str, list[str]]) -> set[str]:
    """Kill nodes on their workers; those that are alive all the same.

    Parameters
    ----------
    client
        A dask client.
    places
        Keys of the nodes, by the address of the worker.
    """
    if not places:
        return set()
    with ThreadPoolExecutor(len(places), thread_name_prefix="daskflow-kill") as pool:
        alive = pool.map(lambda place: _kill_at(client, *place), places.items())
        return set().union(*alive)


def _kill_at(client: Any, address: str, keys: list[str]) -> set[str]:
    try:
        answer = client.run(kill_at_worker, keys, workers=[address], on_error="return", callback_timeout=_ASK)
        alive = answer.get(address)
    except TimeoutError:
        alive = None
    if isinstance(alive, set) and not alive:
        return alive
    return set() if _kill_worker(client, address) else set(alive if isinstance(alive, set) else keys)


def _kill_worker(client: Any, address: str) -> bool:
    """Kill a whole worker, where it has a nanny to do so; returns whether it is gone."""
    client.run_on_scheduler(doom, address)
    try:
        answer = client.run(kill_worker, workers=[address], nanny=True, on_error="return", callback_timeout=_NANNY)
    except TimeoutError:
        return False
    return answer.get(address) is True
