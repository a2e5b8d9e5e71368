"""The job script of a pilot: what its batch job asks for, and the lines of shell that start a worker."""

from __future__ import annotations

import math
import shlex
from typing import NamedTuple

from daskflow.sites.batch.system import Ask, BatchSystem
from daskflow.sites.pilots.plan import SitePlan
from daskflow.sites.pilots.starts import Notes
from daskflow.sites.pools import Pool

BY_HAND = "by-hand"
"""Instead of the token of a driver, in a script that a person submits."""
WORKER = "daskflow.sites.pilots.main"
"""The module that is a worker."""

_WAIT = (
    "daskflow_code=127",
    "daskflow_heard=1",
    # Each signal ends `wait`, which is asked again then, also where the worker is gone by now: how it ended is still to
    # be had. 127 is what it says when that was had already.
    'while [ "$daskflow_heard" = 1 ]; do',
    '  daskflow_heard=""',
    '  wait "$daskflow_worker"; daskflow_last=$?',
    '  [ "$daskflow_last" -eq 127 ] || daskflow_code=$daskflow_last',
    "done",
)
"""Lines of shell that wait for the worker."""


class Meeting(NamedTuple):
    """Where pilots meet their driver."""

    site: str
    scheduler: str
    """Address of dask's scheduler."""
    tls: str = ""
    """Directory of the certificates; empty: no TLS."""
    token: str = BY_HAND
    """What tells the drivers apart."""


def pilot_script(
    plan: SitePlan, pool: Pool, system: BatchSystem, *, scheduler: str, site: str, tls: str
) -> tuple[Ask, list[str]]:
    """What a pilot of a pool asks for, and the lines of its script below the head.

    Parameters
    ----------
    scheduler
        Address of dask's scheduler.
    tls
        Directory of the certificates; empty: no TLS.

    Notes
    -----
    The prologue stands among the lines, hence not in the head. `system.script(ask, lines)` gives the whole script.
    """
    meeting = Meeting(site, scheduler, tls)
    return pilot_ask(plan, pool, meeting), pilot_body(plan, pool, system, meeting)


def pilot_ask(plan: SitePlan, pool: Pool, meeting: Meeting, *, serial: int = 0, count: int = 1) -> Ask:
    """What pilots of a pool ask for.

    Parameters
    ----------
    serial
        Number of the submission, which tells the logs apart.
    count
        So many of them.
    """
    return Ask(
        f"daskflow-{meeting.site}-{pool.name}-{meeting.token}",
        pool.cores,
        pool.memory,
        pool.walltime,
        Notes(plan.home, meeting.token).log(serial, count),
        gpus=pool.gpus,
        count=count,
        queue=pool.queue._replace(prologue=()),
    )


def pilot_body(plan: SitePlan, pool: Pool, system: BatchSystem, meeting: Meeting) -> list[str]:
    """Lines of shell that start a worker, and tell when they begin and end."""
    began, ended = Notes(plan.home, meeting.token).shell(system.own_id, system.own_node, pool.name)
    python = shlex.quote(plan.python)
    return [
        f"daskflow_ends=$(( $(date +%s) + {math.floor(pool.walltime)} ))",
        *began,
        'daskflow_part=""',
        "daskflow_end() {",
        '  [ "$daskflow_part" = "" ] || echo "daskflow: the prologue of the pool '
        f"{pool.name} failed on $daskflow_node with exit code $1${{2:+, at: $2}}; "
        'mend \\`prologue\\` of the site" >&2',
        *[f"  {line}" for line in ended],
        "}",
        "trap 'daskflow_end $? \"${BASH_COMMAND:-}\"' EXIT",
        # The batch system's warning would end the script, and the worker before it is ready to hear it.
        "trap '' USR1 USR2",
        "# A line that fails ends the script here; what may fail is followed by `|| true`.",
        "daskflow_part=prologue",
        "set -e",
        *pool.queue.prologue,
        "set +e",
        'daskflow_part=""',
        *[f"export {name}={shlex.quote(value)}" for name, value in plan.environment.items()],
        f'command -v {python} >/dev/null || {{ echo "daskflow: there is no" {python} "on $daskflow_node: let '
        '\\`python\\` of the site name an interpreter that all its nodes have" >&2; exit 127; }',
        f"{python} -m {WORKER} {_options(plan, pool, system, meeting)} &",
        "daskflow_worker=$!",
        # A shell looks at its traps only when what it waits for is over, unless it waits by `wait`.
        "trap 'daskflow_heard=1; kill -TERM $daskflow_worker 2>/dev/null' TERM INT",
        "trap 'daskflow_heard=1; kill -USR1 $daskflow_worker 2>/dev/null' USR1 USR2",
        *_WAIT,
        "exit $daskflow_code",
    ]


def _options(plan: SitePlan, pool: Pool, system: BatchSystem, meeting: Meeting) -> str:
    given = {
        "--site": meeting.site,
        "--pool": pool.name,
        "--scheduler": meeting.scheduler,
        "--cores": str(pool.cores),
        "--memory": str(pool.memory),
        "--gpus": str(pool.gpus),
        "--notice": f"{plan.noticed(pool.walltime):g}",
        "--home": plan.home,
        "--system": system.name,
        "--tls": meeting.tls,
        "--interface": plan.worker_interface,
        "--scratch": plan.scratch,
    }
    words = [f"{option} {shlex.quote(value)}" for option, value in given.items() if value]
    return " ".join([*words, '--batch-id "$daskflow_id"', '--node "$daskflow_node"', '--ends "$daskflow_ends"'])
