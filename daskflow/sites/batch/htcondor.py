"""HTCondor."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from daskflow.errors import BatchRefused, BatchSilent
from daskflow.sites.batch.calls import call
from daskflow.sites.batch.grid import in_portions, log_path, script_file
from daskflow.sites.batch.scripts import directives, joined, made, mebibytes, plain_name, warner
from daskflow.sites.batch.system import Ask, Certificate, Limits, Phase, Standing

_PREFIX = "#CONDOR"
# see https://htcondor.readthedocs.io/en/latest/classad-attributes/job-classad-attributes.html, JobStatus
_STATES = {1: "IDLE", 2: "RUNNING", 3: "REMOVED", 4: "COMPLETED", 5: "HELD", 6: "TRANSFERRING_OUTPUT", 7: "SUSPENDED"}
_RUNNING = (2, 6, 7)
_ENDED = (3, 4)
_HELD = 5
# The same page, HoldReasonCode: 34 memory, 46 and 47 time of the job.
_HOLDS = {34: "OutOfMemory", 46: "WalltimeExceeded", 47: "WalltimeExceeded"}
_HOLD_PATIENCE = 120
"""Nobody releases the jobs of a program: held ones are removed after this time [s]."""
_ATTRIBUTES = (
    "ClusterId,ProcId,JobStatus,JobBatchName,RemoteHost,LastRemoteHost,JobCurrentStartDate,CompletionDate,"
    "EnteredCurrentStatus,ExitCode,ExitBySignal,ExitSignal,RemoveReason,HoldReason,HoldReasonCode,LastHoldReason,"
    "LastHoldReasonCode,MemoryUsage,DaskflowWalltime"
)
_GONE = re.compile(r"not found|Couldn't find|could not find|No result|already|^exit code|All jobs", re.IGNORECASE)
_SUBMITTED = re.compile(r"^(\d+)\.(\d+) - \1\.(\d+)$", re.MULTILINE)


class Htcondor:
    """The batch system HTCondor, version 8.8 or later.

    Parameters
    ----------
    disk
        Asked for by each job [bytes].

    Notes
    -----
    HTCondor submits descriptions, not scripts. The description stands in the head of the script, behind `#CONDOR`.

    References
    ----------
    https://htcondor.readthedocs.io/en/latest/man-pages/condor_submit.html
    """

    name = "htcondor"
    commands: tuple[str, ...] = ("condor_submit", "condor_q", "condor_history", "condor_rm")
    own_id = "$DASKFLOW_BATCH_ID"
    own_node = "$(hostname)"
    launch = "mpirun"

    def __init__(self, *, disk: int = 2**30, timeout: float = 60.0) -> None:
        self._disk = disk
        self._timeout = timeout

    def __eq__(self, other: object) -> bool:
        """Whether one query serves both."""
        return isinstance(other, Htcondor) and (self._disk, self._timeout) == (other._disk, other._timeout)

    def __hash__(self) -> int:
        return hash((Htcondor, self._disk, self._timeout))

    def script(self, ask: Ask, body: Sequence[str]) -> str:
        """The job script: its head, and lines of shell."""
        if ask.nodes > 1:
            raise BatchRefused(f"The batch job {ask.name!r} asks for {ask.nodes} nodes; of HTCondor a job gets one.")
        job = made("htcondor", ask._replace(name=plain_name(ask.name)), disk=str(self._disk))
        head: dict[str, Any] = dict(job.job_header_dict)
        log = log_path(ask, "$(ProcId)")
        limit = f"(JobStatus == 2 && time() - EnteredCurrentStatus > {round(ask.walltime)})"
        head |= {
            "MY.DaskWorkerMemory": mebibytes(ask.memory) * 2**20,
            "MY.DaskflowWalltime": round(ask.walltime),
            "environment": '"DASKFLOW_BATCH_ID=$(ClusterId).$(ProcId)"',
            "getenv": "True",
            "output": log,
            "error": log,
            "stream_output": "True",
            "stream_error": "True",
            "periodic_remove": f"{limit} || (JobStatus == 5 && time() - EnteredCurrentStatus > {_HOLD_PATIENCE})",
        }
        head |= {"request_gpus": ask.gpus} if ask.gpus else {}
        head |= {"accounting_group": ask.queue.account} if ask.queue.account else {}
        refused = [f'(Machine != "{node}")' for node in ask.avoid]
        refused += [f"({ask.queue.queue})"] if ask.queue.queue else []
        head |= {"requirements": " && ".join(refused)} if refused else {}
        lines = [f"{_PREFIX} {name} = {value}" for name, value in head.items()]
        lines += directives(_PREFIX, ask.queue.directives)
        return joined(lines, [*warner(ask), *body])

    def submit(self, script: str, ask: Ask) -> list[str]:
        """Submit `ask.count` jobs by one call; their ids."""
        lines = [line.removeprefix(_PREFIX).strip() for line in script.splitlines() if line.startswith(_PREFIX)]
        with script_file(script) as path:
            # The script is copied at once: its file is gone when the job begins.
            lines += [f"executable = {path}", "copy_to_spool = True", f"queue {ask.count}", ""]
            description = Path(path).with_suffix(".sub")
            description.write_text("\n".join(lines))
            answer = self._call("condor_submit", "-terse", str(description))
        found = _SUBMITTED.search(answer)
        if not found:
            raise BatchRefused(f"condor_submit gave no id of a job, but {answer!r}. Look at what the site asks for.")
        return [f"{found.group(1)}.{process}" for process in range(int(found.group(2)), int(found.group(3)) + 1)]

    def standings(self, ids: Iterable[str]) -> Mapping[str, Standing]:
        """How jobs stand; those that ended leave the queue."""
        found: dict[str, Standing] = {}
        for some in in_portions(ids):
            answer = self._call("condor_q", "-json", "-attributes", _ATTRIBUTES, *some, pardon=_GONE)
            found |= {id: stood(id, fields) for id, fields in read_json(answer).items() if id in some}
        return found

    def certificates(self, ids: Iterable[str]) -> Mapping[str, Certificate]:
        """How jobs ended, by HTCondor's history."""
        found: dict[str, Certificate] = {}
        for some in in_portions(ids):
            answer = self._call(
                "condor_history", "-json", "-limit", str(len(some)), "-attributes", _ATTRIBUTES, *some, pardon=_GONE
            )
            found |= {id: certified(id, fields) for id, fields in read_json(answer).items() if id in some}
        return found

    def cancel(self, ids: Iterable[str]) -> None:
        """Cancel jobs."""
        for some in in_portions(ids):
            self._call("condor_rm", *some, pardon=_GONE)

    def limits(self) -> Sequence[Limits]:
        """Nothing: HTCondor has no queues."""
        return []

    def alive(self) -> None:
        """See whether the scheduler answers."""
        self._call("condor_q", "-totals")

    def rehearse(self, script: str) -> None:
        """HTCondor tells only of what is submitted."""
        self.alive()

    def _call(self, *argv: str, pardon: re.Pattern[str] | None = None) -> str:
        return call(argv, timeout=self._timeout, pardon=pardon)


def read_json(text: str) -> dict[str, dict[str, Any]]:
    """What condor_q or condor_history tells of jobs, by their ids; they say nothing at all where there are none."""
    if not text.strip():
        return {}
    try:
        jobs = json.loads(text)
    except ValueError as error:
        raise BatchSilent(f"The answer of HTCondor cannot be read: {error}. It is asked again later.") from error
    return {f"{job['ClusterId']}.{job['ProcId']}": job for job in jobs}


def stood(id: str, fields: Mapping[str, Any]) -> Standing:
    """How a job stands, from its attributes."""
    status = fields["JobStatus"]
    phase = Phase.running if status in _RUNNING else Phase.ended if status in _ENDED else Phase.pending
    start = float(fields["JobCurrentStartDate"]) if "JobCurrentStartDate" in fields else None
    limit = fields.get("DaskflowWalltime")
    running = phase is Phase.running
    return Standing(
        id,
        phase,
        _STATES.get(status, str(status)),
        str(fields.get("HoldReason", "")),
        _host(fields) if running else "",
        str(fields.get("JobBatchName", "")),
        start if running else None,
        start + limit if running and start and limit else None,
        status == _HELD,
    )


def certified(id: str, fields: Mapping[str, Any]) -> Certificate:
    """How a job ended, from its attributes."""
    reason = str(fields.get("RemoveReason", "") or fields.get("LastHoldReason", "") or fields.get("HoldReason", ""))
    stop = fields.get("CompletionDate") or fields.get("EnteredCurrentStatus")
    size = fields.get("MemoryUsage")
    return Certificate(
        id,
        _error(fields),
        _STATES.get(fields["JobStatus"], str(fields["JobStatus"])),
        fields.get("ExitCode"),
        fields.get("ExitSignal"),
        _host(fields),
        float(fields["JobCurrentStartDate"]) if "JobCurrentStartDate" in fields else None,
        float(stop) if stop else None,
        # Whole MiB.
        int(size * 2**20) if isinstance(size, int | float) else None,
        reason,
    )


def _error(fields: Mapping[str, Any]) -> str:
    if fields["JobStatus"] == 4:
        return "WorkerLost" if fields.get("ExitBySignal") or fields.get("ExitCode") else ""
    held = fields.get("HoldReasonCode", fields.get("LastHoldReasonCode"))
    removed = str(fields.get("RemoveReason", ""))
    if held in _HOLDS:
        return _HOLDS[held]
    if "PeriodicRemove" in removed:
        return "WorkerLost" if "HELD" in removed or held else "WalltimeExceeded"
    return "Cancelled" if "condor_rm" in removed else "WorkerLost"


def _host(fields: Mapping[str, Any]) -> str:
    """The node of a job, which HTCondor writes as `slot1_1@n1`."""
    return str(fields.get("RemoteHost", fields.get("LastRemoteHost", ""))).rpartition("@")[2]
