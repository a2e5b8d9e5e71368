"""Calls the programs of a batch system, and tells what went wrong with them."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress

from daskflow.errors import BatchMissing, BatchRefused, BatchSilent

_SAID = 1000
"""Not more of what a program said is told [characters]."""

_MUNGE = re.compile(r"munge|authentication", re.IGNORECASE)
_SILENT = re.compile(
    "|".join(
        [
            # Slurm: https://slurm.schedmd.com/troubleshoot.html
            r"Unable to contact slurm controller",
            r"Unable to establish control(ler)? connection",
            r"Socket timed out|Socket communication error",
            r"Zero Bytes were transmitted|Unexpected message received|Message receive failure",
            r"Slurm(ctld)? (backup|is) .*(not responding|standby)",
            r"slurmctld.* (is )?DOWN",
            r"munge_?(encode|decode)?\s*(failed|error)|Munge (encode|decode) failed|Failed to access .*munge",
            r"Invalid authentication credential|Protocol authentication error|authentication plugin",
            r"Slow down|Slurm temporarily unable to accept job",
            r"(mysql|slurmdbd|slurm_persist_conn).*(Connection refused|Unable to connect|open failed)",
            # PBS and Torque
            r"cannot connect to server",
            r"pbs_iff: |Communication failure|Batch protocol error|Could not connect to|trqauthd",
            # Grid Engine
            r"commlib error|unable to (send|contact|receive) .*(qmaster|using port)|connect to qmaster|got no qmaster",
            r"failed receiving gdi (request|response)",
            # LSF, OAR, HTCondor
            r"LSF is down|LIM is down|Cannot connect to LSF|batch daemon not responding|mbatchd.*not respon",
            r"Failed to (connect|fetch ads)|Can't (connect to|find address of|locate) .*schedd",
            r"Can not connect to database|DBI connect",
            # any
            r"Connection (refused|reset|timed out)|Transport endpoint is not connected",
            r"Name or service not known|Temporary failure in name resolution|No route to host|Network is unreachable",
        ]
    ),
    re.IGNORECASE,
)


def call(
    argv: Sequence[str],
    *,
    input: str | None = None,
    timeout: float = 60.0,
    env: Mapping[str, str] | None = None,
    pardon: re.Pattern[str] | None = None,
) -> str:
    """What one program of a batch system says.

    Parameters
    ----------
    argv
        The program and its arguments.
    input
        What it reads from its standard input.
    timeout
        Longer it may not take [s].
    env
        Its environment; None: that of this process.
    pardon
        Complaints in whose every line this is found are none: of several jobs some may be forgotten already. A program
        that ends with another exit code than 0 and says nothing complains of `exit code N`.

    Raises
    ------
    BatchMissing
        There is no such program.
    BatchSilent
        It did not end in time, or says that nobody answers it.
    BatchRefused
        It ended with another exit code than 0.

    Notes
    -----
    Ctrl-C does not reach it: what was being submitted is submitted.
    """
    around = dict(os.environ if env is None else env) | {"LC_ALL": "C"}
    program = shutil.which(argv[0], path=around.get("PATH"))
    if program is None:
        raise BatchMissing(
            f"There is no program {argv[0]!r} here. Run daskflow where batch jobs are submitted, or load the module of "
            "the batch system."
        )
    with subprocess.Popen(
        [program, *argv[1:]],
        stdin=subprocess.DEVNULL if input is None else subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=around,
        start_new_session=True,
        text=True,
        errors="replace",
    ) as process:
        try:
            said, complaint = process.communicate(input, timeout)
        except BaseException as error:
            _kill(process)
            if isinstance(error, subprocess.TimeoutExpired):
                raise BatchSilent(
                    f"{argv[0]} did not answer within {timeout:g} s. What runs goes on; it is asked again later."
                ) from None
            raise
    if process.returncode == 0:
        return said
    lines = complaint.strip().splitlines() or [f"exit code {process.returncode}"]
    if pardon is not None and all(pardon.search(line) for line in lines):
        return said
    raise failure(argv[0], process.returncode, complaint.strip() or said.strip())


def failure(program: str, code: int, complaint: str) -> BatchSilent | BatchRefused:
    """The error for a program that ended with another exit code than 0, from what it said."""
    told = complaint[-_SAID:] or f"it ended with exit code {code} and said nothing"
    if _SILENT.search(complaint):
        cure = (
            "Its munge daemon does not run here, or has another key: ask who runs the cluster."
            if _MUNGE.search(complaint)
            else "What runs goes on; it is asked again later."
        )
        return BatchSilent(f"The batch system does not answer {program}: {told}. {cure}")
    return BatchRefused(f"{program}: {told}")


def _kill(process: subprocess.Popen[str]) -> None:
    """Kill a program with what it started, which may hold its output open."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.kill()


def chunks(items: Sequence[str], size: int) -> list[Sequence[str]]:
    """Items in portions: command lines are not endless.

    Examples
    --------
    >>> chunks(["a", "b", "c"], 2)
    [['a', 'b'], ['c']]
    """
    return [items[start : start + size] for start in range(0, len(items), size)]
