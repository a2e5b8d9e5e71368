"""Submits the driver of a recorded run as a batch job."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from daskflow.errors import BatchSilent, FitsNowhere, UsageError
from daskflow.execution.insight.recorded import continuation
from daskflow.execution.project import Project
from daskflow.execution.submitting.driver import ANNOUNCED, SUBMITTED, Driver, Shape, driver_of, steps
from daskflow.execution.submitting.folder import DriverFolder
from daskflow.execution.submitting.script import Call, driver_lines, renewed
from daskflow.model.needs import Needs
from daskflow.model.records import RunRecord
from daskflow.model.states import RunState
from daskflow.sites.batch.system import Ask, BatchSystem
from daskflow.sites.pilots.plan import SitePlan
from daskflow.sites.pools import Pool
from daskflow.stores.liveness import this_host

_CORES = 1
_MEMORY = 4 << 30
"""What a driver gets that computes nothing itself [bytes]."""
_PAUSE = 10.0
"""A batch system that did not answer a driver is asked again after this time [s]."""


class Queue(NamedTuple):
    """The batch system of one site, for submitting drivers to it."""

    site: str
    system: BatchSystem
    plan: SitePlan


class Wish(NamedTuple):
    """What was said of the batch job of a driver; None: as is usual."""

    pool: str | None = None
    walltime: float | None = None
    """[s]"""
    cores: int | None = None
    memory: int | None = None
    """[bytes]"""


def shape_of(wish: Wish, queue: Queue) -> Shape:
    """How large the batch job of a driver will be.

    Raises
    ------
    UsageError
        The site has no such pool.
    FitsNowhere
        The pool has less than is wished for.
    """
    pools = queue.plan.pools
    pool = _pool(wish.pool, queue)
    given = Needs(cores=wish.cores or 1, memory=wish.memory, seconds=wish.walltime, declared=wish.walltime is not None)
    if wish.pool is None:
        pool = next((other for other in pools if not other.lacks(given)), pool)
    if lacks := pool.lacks(given):
        raise FitsNowhere(
            f"The driver does not fit into the pool {pool.name!r} of the site {queue.site!r}, which lacks "
            f"{', '.join(lacks)}. Ask for less by --cores, --memory and --walltime, or name another by --pool."
        )
    memory = min(_MEMORY, pool.memory) if wish.memory is None else wish.memory
    return Shape(pool.name, wish.cores or _CORES, memory, wish.walltime or pool.walltime)


def _pool(name: str | None, queue: Queue) -> Pool:
    pools = queue.plan.pools
    found = next((pool for pool in pools if name in (None, pool.name)), None)
    if found is None:
        raise UsageError(
            f"The site {queue.site!r} has no pool {name!r}; it has {', '.join(pool.name for pool in pools)}."
        )
    return found


def submit_driver(project: Project, record: RunRecord, queue: Queue, shape: Shape, call: Call) -> Driver:
    """Submit the driver of a run that nobody performs.

    Parameters
    ----------
    call
        What its script runs; the prologue and the environment of the site are added.

    Raises
    ------
    BatchError
        The batch system does not take it, or does not answer. The run stays recorded.
    UsageError
        Its directory cannot be written.
    """
    pool = _pool(shape.pool, queue)
    folder = DriverFolder(queue.plan.home, record.id)
    token = uuid.uuid4().hex
    call = call._replace(
        prologue=pool.queue.prologue, environment={**queue.plan.environment, **call.environment}, token=token
    )
    ask = _ask(record, pool, shape, folder)
    body = driver_lines(call, queue.system.name, queue.system.own_id, shape.walltime)
    sending = _Sending(queue.system.script(ask, body), ask, shape, token)
    try:
        folder.make()
        folder.keep_script(sending.script)
    except OSError as error:
        raise UsageError(
            f"The script of the driver cannot be written to {folder.path}: {error.strerror}. "
            f"The option `shared` of the site {queue.site!r} names a directory that driver and nodes share."
        ) from None
    return _send(project, record, queue, sending)


def submit_again(project: Project, record: RunRecord, driver: Driver, queue: Queue) -> Driver:
    """Submit the script of a driver once more, where its batch system puts no job into the queue again.

    Raises
    ------
    BatchError
        The batch system does not take it, or does not answer for as long as the driver stops before its walltime.
    """
    token = uuid.uuid4().hex
    script = renewed(driver.script.read_text(), token)
    driver.folder.keep_script(script)
    ask = _ask(record, _pool(driver.shape.pool, queue), driver.shape, driver.folder)
    return _send(project, record, queue, _Sending(script, ask, driver.shape, token, again=True))


def _ask(record: RunRecord, pool: Pool, shape: Shape, folder: DriverFolder) -> Ask:
    return Ask(
        name=record.id,
        cores=shape.cores,
        memory=shape.memory,
        walltime=shape.walltime,
        log=str(folder.log),
        queue=pool.queue,
        warn=shape.notice,
        requeue=True,
    )


class _Sending(NamedTuple):
    """One submission of a driver."""

    script: str
    ask: Ask
    shape: Shape
    token: str
    again: bool = False
    """Whether a driver submits what follows it."""


def _send(project: Project, record: RunRecord, queue: Queue, sending: _Sending) -> Driver:
    told = {
        "site": queue.site,
        "system": queue.system.name,
        "home": queue.plan.home,
        "steps": steps(project.journal, record.id),
        "again": sending.again,
        "token": sending.token,
        **sending.shape._asdict(),
    }
    project.event(record.id, ANNOUNCED, batch="", **told)
    project.writer.flush()
    batch = _submit(queue.system, sending)
    project.event(record.id, SUBMITTED, batch=batch, **told)
    project.writer.flush()
    driver = driver_of(project.journal, project.journal.run(record.id))
    assert driver is not None
    return driver


def _submit(system: BatchSystem, sending: _Sending) -> str:
    """The id of the batch job; a driver has time to try it several times, a person tries it anew."""
    until = time.monotonic() + (sending.shape.notice if sending.again else 0.0)
    while True:
        try:
            (id,) = system.submit(sending.script, sending.ask)
        except BatchSilent:
            if time.monotonic() + _PAUSE >= until:
                raise
            time.sleep(_PAUSE)
        else:
            return id


def call_of(run: str, plan: SitePlan, config: Path | None, variables: Mapping[str, str]) -> Call:
    """What the script of a driver runs: in this directory, by this configuration."""
    file = "" if config is None else str(config.expanduser().absolute())
    return Call(run, plan.python, os.getcwd(), file, environment=variables)


def prepare_again(project: Project, run: str) -> RunRecord:
    """Take hold of a recorded run for a driver that is about to be submitted.

    Raises
    ------
    NotFound
        No such run.
    RunBusy
        Its driver lives.
    UsageError
        It cannot be begun anew from what is recorded.
    """
    record = continuation(project, run).record
    # Of two that do so at once one is refused; what had ended is to go on.
    project.journal.claim_run(record.id, time=time.time(), host=this_host(), pid=os.getpid(), seen=record)
    return project.journal.update_run(record.id, state=RunState.interrupted)
