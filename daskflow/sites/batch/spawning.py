"""Submits services: writes them down under their names, then has the batch system take them, all or none."""

from __future__ import annotations

import os
import re
import shlex
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Protocol

from daskflow.errors import ArgumentsInvalid, BatchError, BatchSilent, FitsNowhere
from daskflow.model.needs import Needs
from daskflow.sites.batch.processes import Processes
from daskflow.sites.batch.service import NAME, ServiceOrder, ServiceRecord
from daskflow.sites.batch.servicefolder import ServiceFolder
from daskflow.sites.batch.standings import Standings
from daskflow.sites.batch.system import Ask, BatchSystem, Phase
from daskflow.sites.pools import Pool, misfit

_AT_ONCE = 4
"""So many submissions at a time."""
_PATIENCE, _LOOK = 30.0, 0.02
"""So long, and so often, it is waited for what is ending [s]."""
_KEEPING = 96 << 20
"""Memory of the program that keeps a service [bytes]."""

Enclose = Callable[[str], tuple[str, bytes]]
"""Checks the name of an image; gives it as all nodes know it, and what a node needs to run it."""


class Terms(Protocol):
    """What services need to know of their site; a `SitePlan` is such."""

    @property
    def pools(self) -> tuple[Pool, ...]:
        """In the order in which they are chosen."""

    @property
    def home(self) -> str:
        """Directory that driver and nodes share."""

    @property
    def python(self) -> str:
        """The interpreter on the nodes."""

    @property
    def environment(self) -> Mapping[str, str]:
        """Variables for batch jobs."""

    @property
    def poll(self) -> float:
        """The batch system is asked how jobs stand at most so often [s]."""


class Spawner:
    """Submits the services of one site.

    Parameters
    ----------
    site
        Name of the site.
    system
        Its batch system.
    terms
        How batch jobs are submitted there.
    keeper
        The module that runs on the node.
    enclose
        Checks images; None: there are none.
    standings
        Tells whether who has a name lives.
    """

    def __init__(
        self,
        site: str,
        system: BatchSystem,
        terms: Terms,
        keeper: str,
        enclose: Enclose | None,
        standings: Standings,
    ) -> None:
        self._site = site
        self._system = system
        self._terms = terms
        self._home = os.path.abspath(terms.home)
        self._keeper = keeper
        self._enclose = enclose
        self._standings = standings

    def spawn(
        self, command: str | Iterable[str], name: str | None, count: int | None, options: Mapping[str, Any]
    ) -> list[str]:
        """Submit equal services; their names."""
        order, station = self._order(command, options)
        pool = self._pool(order)
        first = f"{_program(order.command)}-{uuid.uuid4().hex[:6]}" if name is None else name
        if count is not None and count < 1:
            raise ArgumentsInvalid(f"The 'count' of services is {count}; there is at least one.")
        names = [first] if count is None else [f"{first}-{place}" for place in range(count)]
        for one in names:
            if not re.fullmatch(NAME, one):
                raise ArgumentsInvalid(
                    f"{one!r} is no name of a service. Use letters, digits, '_', '.' and '-', up to 100 of them."
                )
        records = [self._record(one, order, pool, place) for place, one in enumerate(names)]
        self._claim(records, station)
        self._submit(records, pool)
        return names

    def _order(self, command: str | Iterable[str], options: Mapping[str, Any]) -> tuple[ServiceOrder, bytes]:
        order = ServiceOrder.of(command, options)
        changes: dict[str, Any] = {"workdir": os.path.abspath(os.path.expanduser(order.workdir or os.getcwd()))}
        station = b""
        if order.image:
            if self._enclose is None:
                raise ArgumentsInvalid(f"The site {self._site!r} runs no images. Leave the image out.")
            changes["image"], station = self._enclose(order.image)
        return order.model_copy(update=changes), station

    def _pool(self, order: ServiceOrder) -> Pool:
        """The pool that a service goes to, in the shape that it has there."""
        pools = [pool for pool in self._terms.pools if order.pool in (None, pool.name)]
        if not pools:
            known = ", ".join(repr(pool.name) for pool in self._terms.pools)
            raise ArgumentsInvalid(f"The site {self._site!r} has no pool {order.pool!r}; it has {known}.")
        needs = Needs(
            cores=order.cores,
            memory=_reserved(order),
            gpus=order.gpus,
            seconds=order.walltime,
            declared=order.walltime is not None,
        )
        if order.queue is not None:
            # What another queue offers is not known here; the batch system says no where it must.
            return pools[0]._replace(queue=pools[0].queue._replace(queue=order.queue))
        wide = [pool for pool in pools if pool.nodes >= order.nodes]
        if not wide:
            most = max(pool.nodes for pool in pools)
            raise FitsNowhere(
                f"A service of {order.nodes} nodes fits into no pool of the site {self._site!r}, whose batch jobs span "
                f"{most} at most. Ask for fewer, or set `nodes` of a pool in the configuration."
            )
        if reason := misfit(self._site, wide, needs):
            raise FitsNowhere(reason)
        return next(pool for pool in wide if not pool.lacks(needs))

    def _record(self, name: str, order: ServiceOrder, pool: Pool, index: int) -> ServiceRecord:
        shape = Needs(cores=order.cores, memory=_reserved(order))
        return ServiceRecord(
            name=name,
            token=uuid.uuid4().hex,
            order=order,
            pool=pool.name,
            memory=pool.share(shape),
            walltime=order.walltime or pool.walltime,
            created=time.time(),
            index=index,
        )

    def _claim(self, records: Sequence[ServiceRecord], station: bytes) -> None:
        """Write services down under their names, all or none."""
        made: list[ServiceRecord] = []
        try:
            for record in records:
                folder = ServiceFolder(self._home, record.name)
                before = self._standings.look([folder])
                if before and not before[0].living:
                    forget(self._system, folder)
                if not folder.make(record, station):
                    raise ArgumentsInvalid(
                        f"A service named {record.name!r} waits or runs on the site {self._site!r} already. Choose "
                        f"another name, or kill it first: daskflow batch kill {record.name} --site {self._site}"
                    )
                made.append(record)
        except BaseException:
            for record in made:
                ServiceFolder(self._home, record.name).remove(record.token)
            raise

    def _submit(self, records: Sequence[ServiceRecord], pool: Pool) -> None:
        """Submit services that are written down, all or none."""
        try:
            if len(records) == 1:
                self._submit_one(records[0], pool)
                return
            with ThreadPoolExecutor(_AT_ONCE, "daskflow-services") as threads:
                going = [threads.submit(self._submit_one, record, pool) for record in records]
                try:
                    for one in going:
                        one.result()
                finally:
                    for one in going:
                        one.cancel()
        except BaseException as error:
            folders = [ServiceFolder(self._home, record.name) for record in records]
            for folder in folders:
                # What the batch system took without saying so ends as soon as it sees this.
                with suppress(OSError):
                    folder.note_killed()
            cancel(self._system, folders)
            if not isinstance(error, BatchSilent):
                for folder, record in zip(folders, records, strict=True):
                    folder.remove(record.token)
            raise

    def _submit_one(self, record: ServiceRecord, pool: Pool) -> None:
        folder, order = ServiceFolder(self._home, record.name), record.order
        ask = Ask(
            record.name,
            order.cores,
            max(record.memory, min(record.memory + _KEEPING, pool.memory)),
            record.walltime,
            str(folder.log),
            gpus=order.gpus,
            nodes=order.nodes,
            tasks=order.tasks,
            queue=pool.queue,
        )
        # A prologue that fails ends the job with its line in the log.
        body = ["set -e", *pool.queue.prologue, "set +e"] if pool.queue.prologue else []
        body += [f"export {name}={shlex.quote(value)}" for name, value in self._terms.environment.items()]
        # Not the modules of the working directory, which may have the names of others.
        call = [self._terms.python, "-P", "-m", self._keeper, self._home, record.name, record.token]
        # In place of the shell, so that it gets the signals of the batch system.
        body.append(f'exec {shlex.join(call)} "{self._system.own_id}" "{self._system.own_node}"')
        script = self._system.script(ask, body)
        try:
            ids = self._system.submit(script, ask)
        except BatchSilent:
            # Its answer may have got lost: a batch job that has begun meanwhile says so.
            folder.refresh()
            if folder.id():
                return
            # Where it takes the script twice, the batch job that begins first runs alone.
            ids = self._system.submit(script, ask)
        folder.note_id(ids[0])


def cancel(system: BatchSystem, folders: Iterable[ServiceFolder]) -> BatchError | None:
    """Have the batch jobs of services cancelled; why that cannot be done."""
    if not (ids := [id for folder in folders if (id := folder.id())]):
        return None
    try:
        system.cancel(ids)
    except BatchError as error:
        return error
    return None


def forget(system: BatchSystem, folder: ServiceFolder) -> bool:
    """Remove the folder of a service that has ended; whether it was there."""
    record, id = folder.record(), folder.id()
    if record is None or not folder.remove(record.token):
        return False
    if id and isinstance(system, Processes):
        _forget_process(system, id)
    return True


def _forget_process(system: Processes, id: str) -> None:
    """Remove what the batch system of this machine keeps of a job: nobody else removes it."""
    deadline = time.monotonic() + _PATIENCE
    # The service says that it has ended while it still does.
    while (found := system.standings([id]).get(id)) is not None:
        if found.phase is Phase.ended:
            system.forget([id])
            return
        if time.monotonic() > deadline:
            return
        time.sleep(_LOOK)


def _reserved(order: ServiceOrder) -> int | None:
    """Memory that the batch system is asked for [bytes]."""
    given = [amount for amount in (order.memory, order.memory_limit) if amount is not None]
    return max(given, default=None)


def _program(command: str | tuple[str, ...]) -> str:
    """A name for what runs a command."""
    word = command.split(maxsplit=1)[0] if isinstance(command, str) and command.strip() else command[0]
    return re.sub(r"[^A-Za-z0-9]+", "-", os.path.basename(word)).strip("-")[:40] or "service"
