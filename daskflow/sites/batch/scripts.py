"""Heads of job scripts, made by dask-jobqueue's own classes."""

from __future__ import annotations

import math
import re
import signal
from collections.abc import Collection, Iterable
from importlib import import_module
from typing import Any

from daskflow.sites.batch.system import Ask
from daskflow.sites.importing import LOCK

_SECTION = "daskflow"
"""Section of dask's configuration that the classes read instead of the user's: what is in the head was asked for."""
_DEFAULTS: dict[str, Any] = {
    "account": None,
    "cancel-command-extra": [],
    "death-timeout": 60,
    "disk": None,
    "env-extra": None,
    "extra": None,
    "header-skip": None,
    "interface": None,
    "job-cpu": None,
    "job-directives-skip": [],
    "job-extra": None,
    "job-extra-directives": [],
    "job-mem": None,
    "job-script-prologue": [],
    "local-directory": None,
    "log-directory": None,
    "lsf-units": "mb",
    "mem": None,
    "memory-per-core-property-name": "not_applicable",
    "name": None,
    "ncpus": None,
    "processes": 1,
    "project": None,
    "python": None,
    "queue": None,
    "resource-spec": None,
    "shebang": "#!/usr/bin/env bash",
    "submit-command-extra": [],
    "use-stdin": True,
    "walltime": None,
    "worker-command": "distributed.cli.dask_worker",
    "worker-extra-args": [],
}
_CLASSES = {
    "slurm": "SLURMJob",
    "pbs": "PBSJob",
    "sge": "SGEJob",
    "lsf": "LSFJob",
    "oar": "OARJob",
    "htcondor": "HTCondorJob",
}


def import_early() -> None:
    """Import dask-jobqueue, and with it distributed, unless that was done.

    Notes
    -----
    Two threads that import distributed at a time may find it half imported: whoever opens a site calls this first.
    dask-jobqueue takes SIGINT when it is imported in the main thread, and gives up where it is not the main thread:
    the handlers of this process stay as they are.
    """
    with LOCK:
        real = signal.signal
        # `dask_jobqueue.runner` replaces the handler of SIGINT at import, which fails in all threads but the main one.
        signal.signal = lambda signalnum, handler: signal.getsignal(signalnum)
        try:
            import dask_jobqueue.runner  # noqa: F401
        finally:
            signal.signal = real
        import dask

        if _SECTION not in dask.config.get("jobqueue"):
            dask.config.set({f"jobqueue.{_SECTION}": _DEFAULTS})


def header(kind: str, ask: Ask, *, skip: Iterable[str] = (), **options: Any) -> list[str]:
    """Lines of the head of a job script, as dask-jobqueue writes them, without those for logs.

    Parameters
    ----------
    kind
        The batch system: `slurm`.
    skip
        Lines that contain one of these texts are left out.
    options
        What the class of this system takes beside name, cores and memory.
    """
    text: str = made(kind, ask, skip=skip, **options).job_header
    return text.splitlines()


def made(kind: str, ask: Ask, *, skip: Iterable[str] = (), **options: Any) -> Any:
    """The job of dask-jobqueue for what a batch job asks for."""
    import_early()
    job = getattr(import_module(f"dask_jobqueue.{kind}"), _CLASSES[kind])
    given = {name: value for name, value in options.items() if value not in ("", None)}
    return job(
        scheduler="",
        name=ask.name,
        job_name=ask.name,
        config_name=_SECTION,
        cores=ask.cores,
        memory=str(ask.memory),
        processes=1,
        python="python",
        job_directives_skip=list(skip),
        **given,
    )


def mebibytes(memory: int) -> int:
    """Memory in whole MiB, not less than was asked for; in GiB a job would ask for more than a node may have.

    Examples
    --------
    >>> mebibytes(2**30 + 1)
    1025
    """
    return max(1, math.ceil(memory / 2**20))


def clock(seconds: float) -> str:
    """A walltime as hours, minutes and seconds, which all batch systems read.

    Examples
    --------
    >>> clock(90000.5)
    '25:00:01'
    """
    whole = max(1, math.ceil(seconds))
    return f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}"


def plain_name(name: str, *, allowed: str = r"A-Za-z0-9._+=/-", longest: int = 200) -> str:
    """The name of a job as a batch system takes it.

    Examples
    --------
    >>> plain_name("my run/clean:3", allowed="A-Za-z0-9_.-")
    'my-run-clean-3'
    """
    plain = re.sub(f"[^{allowed}]+", "-", name)[:longest]
    return plain if plain[:1].isalpha() else f"j{plain}"[:longest]


def joined(head: Iterable[str], body: Iterable[str]) -> str:
    """A job script from the lines of its head and of its body."""
    return "\n".join(["#!/usr/bin/env bash", *head, "", *body, ""])


def directives(prefix: str, lines: Collection[str]) -> list[str]:
    """Further lines of the head, with their prefix, which people may have written already."""
    return [f"{prefix} {line.removeprefix(prefix).strip()}" for line in lines]


def warner(ask: Ask) -> list[str]:
    """Lines that send SIGUSR1 to the script before its walltime, where the batch system cannot."""
    if not ask.warn:
        return []
    pause = max(0, math.floor(ask.walltime - ask.warn))
    # After its end the id of the script may be that of another process: who has no parent any more kills nobody.
    there = '[ "$(ps -o ppid= -p $me | tr -d " ")" = $$ ]'
    return [f"( me=$BASHPID; sleep {pause}; {there} && kill -USR1 $$ ) < /dev/null > /dev/null 2>&1 &"]
