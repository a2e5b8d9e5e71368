"""Submits the driver of a recorded run as a batch job."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from daskflow.errors import FitsNowhere, UsageError
from daskflow.execution.insight.recorded import continuation
from daskflow.execution.project import Project
from daskflow.execution.submitting.driver import SUBMITTED, Driver, Shape, driver_of, finished
from daskflow.execution.submitting.folder import DriverFolder
from daskflow.execution.submitting.script import Call, driver_lines
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
    ask = _ask(record, pool, shape, folder)
    call = call._replace(prologue=pool.queue.prologue, environment={**queue.plan.environment, **call.environment})
    body = driver_lines(call, queue.system.name, queue.system.own_id, shape.walltime)
    script = queue.system.script(ask, body)
    try:
        folder.make()
        folder.keep_script(script)
    except OSError as error:
        raise UsageError(
            f"The script of the driver cannot be written to {folder.path}: {error.strerror}. "
            f"The option `shared` of the site {queue.site!r} names a directory that driver and nodes share."
        ) from None
    return _sent(project, record, queue, shape, queue.system.submit(script, ask)[0])


def submit_again(project: Project, record: RunRecord, driver: Driver, queue: Queue) -> Driver:
    """Submit the script of a driver once more, where its batch system puts no job into the queue again."""
    ask = _ask(record, _pool(driver.shape.pool, queue), driver.shape, driver.folder)
    (id,) = queue.system.submit(driver.script.read_text(), ask)
    return _sent(project, record, queue, driver.shape, id, again=True)


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


def _sent(
    project: Project, record: RunRecord, queue: Queue, shape: Shape, batch: str, *, again: bool = False
) -> Driver:
    project.event(
        record.id,
        SUBMITTED,
        batch=batch,
        site=queue.site,
        system=queue.system.name,
        home=queue.plan.home,
        finished=finished(project.journal, record.id),
        again=again,
        **shape._asdict(),
    )
    project.writer.flush()
    driver = driver_of(project.journal, project.journal.run(record.id))
    assert driver is not None
    return driver


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
    project.journal.claim_run(record.id, time=time.time(), host=this_host(), pid=os.getpid())
    return project.journal.update_run(record.id, state=RunState.interrupted)
