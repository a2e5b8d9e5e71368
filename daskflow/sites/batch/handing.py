"""What a batch job is handed, and what it asks the batch system for."""

from __future__ import annotations

import os
import pickle
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from daskflow.model.needs import Needs
from daskflow.sites.allocation import Allocation
from daskflow.sites.batch.folder import ErrandFolder
from daskflow.sites.batch.system import Ask, BatchSystem
from daskflow.sites.packages import Package
from daskflow.sites.pools import Pool
from daskflow.sites.site import Node, Perform

_MAIN = "daskflow.sites.batch.main"
_NAME = 60
"""Longer names are shortened: some batch systems refuse them."""


class Plan(Protocol):
    """What batch jobs have to know of how their site is run: a part of a `SitePlan`."""

    @property
    def pools(self) -> tuple[Pool, ...]:
        """In the order in which jobs choose them."""

    @property
    def home(self) -> str:
        """Directory that driver and nodes share."""

    @property
    def python(self) -> str:
        """The interpreter on the nodes."""

    @property
    def environment(self) -> Mapping[str, str]:
        """Variables of batch jobs."""

    @property
    def margin(self) -> float:
        """So long before its end nothing is performed [s]."""

    def noticed(self, walltime: float) -> float:
        """So long before the end what is performed in so much time is told to stop [s]."""

    @property
    def poll(self) -> float:
        """The batch system is asked how jobs stand at most so often [s]."""

    @property
    def max_jobs(self) -> int | None:
        """Not more batch jobs at a time; None: no limit."""


class Handed(NamedTuple):
    """What a batch job finds in its folder."""

    paths: tuple[str, ...]
    """Where the driver imports from."""
    directory: str
    """Where the driver runs; paths may be relative to it."""
    packages: tuple[Package, ...]
    """What is imported from where it is unpacked."""
    place: Allocation
    """What the job has, but for its id, its node, and when it ends."""
    variables: Mapping[str, str]
    """What commands find in their environment."""
    deed: bytes
    """A pickled `Deed`; of classes perhaps that only then can be imported."""


class Deed(NamedTuple):
    """What is performed."""

    key: str
    perform: Perform
    package: bytes
    upstream: tuple[str, ...]
    foreign: dict[str, Any]
    """Tasks of dask collections that it takes the values of."""


def ranks(needs: Needs, cores: int) -> int:
    """With how many ranks an MPI program is started, over all nodes."""
    return needs.tasks if needs.tasks is not None else needs.nodes * cores


def threads(needs: Needs, cores: int) -> int | None:
    """How many threads each rank of an MPI program has; None where nobody asked for ranks or nodes."""
    if needs.nodes == 1 and needs.tasks is None:
        return None
    return max(1, needs.nodes * cores // ranks(needs, cores))


def per_node(needs: Needs) -> Needs:
    """What is needed of one of the nodes: a core for each of its ranks at least."""
    share = -(-(needs.tasks or 1) // needs.nodes)
    return needs._replace(nodes=1, cores=max(needs.cores, share))


def lacks(pool: Pool, needs: Needs) -> list[str]:
    """What batch jobs of a pool lack to hold a node with these needs; nothing where they hold one."""
    found = pool.lacks(per_node(needs))
    if needs.nodes > pool.nodes:
        found.insert(0, f"{needs.nodes} nodes (it has {pool.nodes})")
    return found


def pool_for(pools: Sequence[Pool], needs: Needs) -> Pool | None:
    """The first pool whose batch jobs hold a node with these needs."""
    return next((pool for pool in pools if not lacks(pool, needs)), None)


def misfit(site: str, pools: Sequence[Pool], needs: Needs) -> str:
    """Why no batch job of a site holds a node with these needs, and which comes nearest; empty where one does."""
    if pool_for(pools, needs) is not None:
        return ""
    nearest = min(pools, key=lambda pool: (len(lacks(pool, needs)), pool.excess(per_node(needs))))
    return (
        f"No batch job of the site {site!r} holds it. The nearest pool is {nearest.name!r}, which lacks "
        f"{', '.join(lacks(nearest, needs))}. Ask for less by Resources(...), or let the pool have more: `nodes` says "
        "how many of its nodes a batch job may span."
    )


def ask_for(node: Node, pool: Pool, plan: Plan, log: str) -> Ask:
    """What a batch job of a node asks for.

    Notes
    -----
    Where somebody said how long the job takes, it gets a margin beyond that: it has to start, and to store its result.
    """
    needs = node.needs
    one = per_node(needs)
    declared = needs.seconds if needs.declared and needs.seconds is not None else None
    return Ask(
        name=f"{node.run}-{node.name or node.key}"[:_NAME].rstrip("-"),
        cores=one.cores,
        memory=pool.share(one),
        walltime=pool.walltime if declared is None else min(pool.walltime, declared + plan.margin + _START),
        log=log,
        gpus=needs.gpus,
        nodes=needs.nodes,
        tasks=ranks(needs, one.cores),
        queue=pool.queue,
    )


_START = 60.0
"""What a batch job takes to start, and to store its results, at most [s]."""


def hand(deed: Deed, ask: Ask, place: Allocation, variables: Mapping[str, str], packages: Iterable[Package]) -> bytes:
    """What a batch job is handed: a pickled `Handed`.

    Parameters
    ----------
    place
        What it has, as far as the site knows it.
    variables
        For commands, beside those that say how large it is.
    """
    import cloudpickle

    size = {"DASKFLOW_NODES": str(ask.nodes), "DASKFLOW_TASKS": str(ask.tasks)}
    paths = tuple([os.path.abspath(path) for path in sys.path])
    packed = cloudpickle.dumps(deed, protocol=pickle.HIGHEST_PROTOCOL)
    handed = Handed(paths, os.getcwd(), tuple(packages), place, {**size, **variables}, packed)
    return pickle.dumps(handed, protocol=pickle.HIGHEST_PROTOCOL)


def body(folder: ErrandFolder, system: BatchSystem, plan: Plan, ask: Ask) -> list[str]:
    """The lines of a job script below its head.

    Notes
    -----
    The id is written by the job itself as well: where the answer of the batch system got lost, nobody else knows it.
    What the batch system sends to the script is passed on, and the script outlives what it started, to tell how that
    ended; not so where another batch job, whose submission got no answer, has its place.
    """
    exports = [f"export {name}={shlex.quote(value)}" for name, value in plan.environment.items()]
    command = f'{shlex.quote(plan.python)} -m {_MAIN} {shlex.quote(str(folder.path))} "$daskflow_id"'
    return [
        "umask 077",
        f'daskflow_id="{system.own_id}"',
        f'printf %s "$daskflow_id" > {shlex.quote(folder.id_note)}',
        f"daskflow_ended={shlex.quote(folder.end_note)}",
        f'daskflow_end() {{ {folder.not_own} || echo "$daskflow_code" > "$daskflow_ended"; }}',
        *_prologue(ask.queue.prologue),
        *exports,
        # SECONDS counts from the start of the shell, before any prologue.
        f"daskflow_ends=$(( $(date +%s) - ${{SECONDS:-0}} + {int(ask.walltime)} ))",
        f'{command} "{system.own_node}" "$daskflow_ends" &',
        "daskflow_child=$!",
        "trap 'daskflow_rang=1; kill -TERM \"$daskflow_child\" 2> /dev/null' TERM INT USR1 USR2 XCPU",
        # A signal ends the waiting, not what is waited for.
        "while daskflow_rang=; do",
        '    wait "$daskflow_child" 2> /dev/null',
        "    daskflow_code=$?",
        '    [ -n "$daskflow_rang" ] || break',
        "done",
        "daskflow_end",
        'exit "$daskflow_code"',
    ]


def _prologue(lines: Sequence[str]) -> list[str]:
    """The lines before anything else; the first one that fails ends the script."""
    if not lines:
        return []
    said = "daskflow: a line of the prologue failed, with exit code $daskflow_code"
    return [
        f"trap 'daskflow_code=$?; echo \"{said}\" >&2; daskflow_end' EXIT",
        "set -e",
        *lines,
        "set +e",
        "trap - EXIT",
    ]
