"""Looks at a batch system: its commands, whether it answers, and what its queues allow."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Sequence

from daskflow.errors import BatchRefused
from daskflow.execution.doctor.findings import Finding, bad, flat, good, odd
from daskflow.execution.doctor.patient import Patient
from daskflow.model.quantities import as_bytes, as_seconds
from daskflow.sites.batch.system import Ask, Examined, Limits
from daskflow.sites.pools import Pool

_PERHAPS_LATER = re.compile(
    r"configuration is not available|nodes? (are|is) (busy|down|drained|reserved|required)", re.I
)
"""What Slurm says where a job would have to wait for nodes to come back, or for ever."""


def commands(system: Examined) -> Finding:
    """Whether the programs of the batch system are here."""
    paths = {name: shutil.which(name) for name in system.commands}
    missing = [name for name, path in paths.items() if path is None]
    if missing:
        return bad(
            f"there is no {', no '.join(missing)} in the PATH",
            f"Run daskflow where batch jobs are submitted (a login node of {system.name}), or load the module that "
            "brings its commands.",
        )
    return good(f"{', '.join(system.commands)} are here" if system.commands else "none are needed")


def answers(system: Examined) -> Finding:
    """Whether the batch system answers."""
    system.alive()
    return good(f"{system.name} answers")


def pool_fits(pool: Pool, limits: Sequence[Limits]) -> list[Finding]:
    """Whether the queue of a pool is there, is up, and has nodes that hold a pilot."""
    queue = _queue_of(pool, limits)
    if queue is None:
        known = ", ".join(sorted(one.queue for one in limits))
        if pool.queue.queue:
            return [bad(f"there is no queue {pool.queue.queue!r}", f"Name one of these by `queue`: {known}.")]
        return [odd("no queue is named, and none is the default", f"Name one of these by `queue`: {known}.")]
    if not queue.up:
        return [bad(f"the queue {queue.queue!r} is down", "Wait until it is up again, or name another one by `queue`.")]
    over = list(_over(pool, queue))
    if over:
        return over
    return [good(f"{_told(pool)} fit into the queue {queue.queue!r} ({_allowed(queue)})")]


def _queue_of(pool: Pool, limits: Sequence[Limits]) -> Limits | None:
    if pool.queue.queue:
        return next((one for one in limits if one.queue == pool.queue.queue), None)
    return next((one for one in limits if one.default), None)


def _over(pool: Pool, queue: Limits) -> Iterator[Finding]:
    name = f"the queue {queue.queue!r}"
    if queue.walltime is not None and pool.walltime > queue.walltime:
        yield bad(
            f"a walltime of {as_seconds(pool.walltime)} is over the limit of {name}, {as_seconds(queue.walltime)}",
            f"Set `walltime` to at most {as_seconds(queue.walltime)}, or name another queue.",
        )
    if queue.cores is not None and pool.cores > queue.cores:
        yield bad(
            f"no node of {name} has {pool.cores} cores; the largest has {queue.cores}",
            f"Set `cores` to at most {queue.cores}, or name another queue.",
        )
    if queue.memory is not None and pool.memory > queue.memory:
        yield bad(
            f"no node of {name} has {as_bytes(pool.memory)} of memory; the largest has {as_bytes(queue.memory)}",
            f"Set `memory` to at most {queue.memory // 2**20} MiB, or name another queue.",
        )
    if pool.gpus and queue.gpus is not None and pool.gpus > queue.gpus:
        yield bad(
            f"no node of {name} has {pool.gpus} gpus; the most is {queue.gpus}",
            f"Set `gpus` to at most {queue.gpus}, or name another queue.",
        )
    said = pool.nodes != Pool._field_defaults["nodes"]
    if said and queue.nodes is not None and pool.nodes > queue.nodes:
        yield bad(
            f"{name} has {queue.nodes} nodes, not {pool.nodes}",
            f"Set `nodes` to at most {queue.nodes}, or name another queue.",
        )


def _told(pool: Pool) -> str:
    gpus = f", {pool.gpus} gpus" if pool.gpus else ""
    return f"{pool.cores} cores, {as_bytes(pool.memory)}{gpus} for {as_seconds(pool.walltime)}"


def _allowed(queue: Limits) -> str:
    parts = [] if queue.cores is None else [f"{queue.cores} cores"]
    parts += [] if queue.memory is None else [as_bytes(queue.memory)]
    parts += [] if queue.gpus is None or not queue.gpus else [f"{queue.gpus} gpus"]
    parts += ["no limit of time" if queue.walltime is None else f"at most {as_seconds(queue.walltime)}"]
    return ", ".join(parts)


def rehearsal(system: Examined, patient: Patient, pool: Pool) -> Finding:
    """Whether the batch system would take a pilot of this pool; nothing is submitted."""
    ask = Ask(
        f"{patient.name}-{pool.name}",
        pool.cores,
        pool.memory,
        pool.walltime,
        log="/dev/null",
        gpus=pool.gpus,
        queue=pool.queue,
    )
    try:
        system.rehearse(system.script(ask, ["true"]))
    except BatchRefused as error:
        text = flat(str(error))
        if _PERHAPS_LATER.search(text):
            return odd(
                f"nothing would start now: {text}",
                "Nodes may be down, drained or reserved now, or `directives` ask for what no node has.",
            )
        return bad(text, "Look at `queue`, `account`, `walltime`, sizes and `directives` of the pool.")
    account = f" with the account {pool.queue.account!r}" if pool.queue.account else ""
    return good(f"a pilot would be taken{account}")
