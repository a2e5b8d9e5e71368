"""The job script of a driver."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from typing import NamedTuple

AGAIN = 75
"""Exit code of a driver that wants to be put into the queue again; by custom that of a failure that passes."""

TOKEN = "DRIVER_TOKEN"
"""The variable that tells a driver of which submission it is. Not `DASKFLOW_...`: those set options."""

_REQUEUE: Mapping[str, Sequence[str]] = {
    # Slurm kills the script as soon as its job is in the queue again, where it waits for two minutes at least: as long
    # as the credential of the former start is valid. Its controller may be busy, or start anew just now.
    "slurm": (
        "for try in 1 2 3 4 5 6; do",
        '  scontrol requeue "$SLURM_JOB_ID" && sleep 60 && break',
        "  sleep 5",
        "done",
    ),
}
"""How a running job is put into the queue again under its own id, by those systems that can.

References
----------
https://slurm.schedmd.com/scontrol.html
"""


def requeues(system: str) -> bool:
    """Whether the script itself puts its job into the queue again; else its driver has to submit it anew."""
    return system in _REQUEUE


def renewed(script: str, token: str) -> str:
    """The same script for another submission."""
    return re.sub(rf"(?m)^{TOKEN}=\w*", f"{TOKEN}={token}", script)


class Call(NamedTuple):
    """What the script of a driver runs."""

    run: str
    python: str
    directory: str
    """The working directory of the project."""
    config: str = ""
    """The configuration file, where one was named."""
    prologue: Sequence[str] = ()
    """Lines of shell before anything else."""
    environment: Mapping[str, str] = {}
    token: str = ""
    """What tells this submission of the driver from others of the same run."""


def driver_lines(call: Call, system: str, own_id: str, walltime: float) -> list[str]:
    """The lines of the script below its head.

    Parameters
    ----------
    system
        Kind of the batch system.
    own_id
        Shell text that gives the id of the batch job.
    walltime
        Of the batch job [s].

    Notes
    -----
    The driver runs in the background, so that the shell hears signals while it waits. `SIGUSR1`, the warning that the
    walltime is near, is handed on, and ignored until the driver listens to it: it knows by itself when it has to end.
    """
    exports = [f"export {name}={shlex.quote(value)}" for name, value in call.environment.items()]
    config = ["--config", shlex.quote(call.config)] if call.config else []
    command = [shlex.quote(call.python), "-m", "daskflow.views.driving", shlex.quote(call.run), *config]
    command += ["--batch", f'"{own_id}"', "--ends", '"$ends"']
    prologue = ["set -e", *call.prologue, "set +e"] if call.prologue else []
    return [
        f"ends=$(( $(date +%s) + {int(walltime)} ))",
        *exports,
        *prologue,
        f"cd {shlex.quote(call.directory)} || exit 1",
        "trap '' USR1",
        f"{TOKEN}={call.token} {' '.join(command)} &",
        "driver=$!",
        "trap 'kill -USR1 \"$driver\" 2>/dev/null' USR1",
        "trap 'kill -TERM \"$driver\" 2>/dev/null' TERM INT",
        "# A signal ends the waiting, and not the driver.",
        "while true; do",
        '  wait "$driver"; code=$?',
        '  [ "$code" -gt 128 ] || break',
        '  kill -0 "$driver" 2>/dev/null && continue',
        '  wait "$driver"; last=$?',
        '  [ "$last" -eq 127 ] || code=$last',
        "  break",
        "done",
        *_again(system),
        'exit "$code"',
    ]


def _again(system: str) -> list[str]:
    lines = _REQUEUE.get(system, ())
    if not lines:
        return []
    return [f'if [ "$code" -eq {AGAIN} ]; then', "  trap '' TERM INT USR1", *[f"  {line}" for line in lines], "fi"]
