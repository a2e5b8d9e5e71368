"""Reads what Slurm says of jobs and partitions."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable

from daskflow.model.quantities import memory
from daskflow.sites.batch.system import Certificate, Limits, Phase, Standing

_PENDING = {"PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "SPECIAL_EXIT", "RESV_DEL_HOLD"}
_RUNNING = {"RUNNING", "COMPLETING", "SUSPENDED", "STOPPED", "SIGNALING", "RESIZING", "STAGE_OUT"}
# see https://slurm.schedmd.com/squeue.html#SECTION_JOB-STATE-CODES
_ERRORS = {
    "COMPLETED": "",
    "TIMEOUT": "WalltimeExceeded",
    "DEADLINE": "WalltimeExceeded",
    "OUT_OF_MEMORY": "OutOfMemory",
    "NODE_FAIL": "NodeFailure",
    "BOOT_FAIL": "NodeFailure",
    "PREEMPTED": "Preempted",
    "CANCELLED": "Cancelled",
}
# see https://slurm.schedmd.com/job_reason_codes.html: a limit of the association may make room, one for each job never.
# Not so `PartitionNodeLimit`, which squeue also says of nodes that are down or drained.
_HOPELESS = re.compile(
    r"Partition(TimeLimit|Config)$|(QOS|Assoc)Max\w+Per(Job|Node)(Limit)?$|QOSMin\w+$|MaxMemPerLimit$"
    r"|BadConstraints|Invalid(Account|QOS)|AccountNotAllowed|QOSNotAllowed|DependencyNeverSatisfied"
    r"|launch failed requeued held|user env retrieval failed"
)
_MEMORY = re.compile(r"exceeded memory limit|oom[-_ ]?kill|Out Of Memory", re.IGNORECASE)
_TAIL = 2**16
"""So much of the end of a log is searched [bytes]."""
_FIELD = re.compile(r"(?:^|\s)([A-Za-z][\w/:.]*)=")


def stood(line: str) -> Standing:
    """How a job stands, from a line of squeue: id, state, nodes, start, end, reason and name, apart by `|`."""
    id, state, node, start, end, reason, name = line.split("|", 6)
    phase = Phase.pending if state in _PENDING else Phase.running if state in _RUNNING else Phase.ended
    return Standing(
        id,
        phase,
        state,
        "" if reason == "None" else reason,
        node,
        name,
        _time(start),
        _time(end),
        phase is Phase.pending and bool(_HOPELESS.match(reason)),
    )


def controlled(text: str) -> dict[str, Certificate | None]:
    """How jobs ended, from lines of `scontrol --oneliner show job`; None: not yet."""
    found: dict[str, Certificate | None] = {}
    for line in text.splitlines():
        fields = _fields(line)
        if "JobId" not in fields:
            continue
        id = f"{fields['ArrayJobId']}_{fields['ArrayTaskId']}" if "ArrayTaskId" in fields else fields["JobId"]
        made = _certificate(id, fields["JobState"], fields.get("ExitCode", ""), fields.get("Reason", ""))
        if made is not None and made.error == "WorkerLost" and _starved(made, fields):
            made = made._replace(error="OutOfMemory", reason="exceeded its memory limit")
        found[id] = made and made._replace(
            node=_plain(fields.get("NodeList", "")),
            start=_time(fields.get("StartTime", "")),
            stop=_time(fields.get("EndTime", "")),
        )
    return found


def accounted(text: str) -> dict[str, Certificate | None]:
    """How jobs ended, from lines of sacct; None: not yet. The peak of memory stands in the lines of their steps."""
    found: dict[str, Certificate | None] = {}
    peaks: dict[str, int] = {}
    limits: dict[str, int] = {}
    starved = set()
    for line in text.splitlines():
        if line.count("|") < 8:
            continue
        step, state, exit_code, node, start, end, peak, asked, reason = line.split("|", 8)
        id, _, part = step.partition(".")
        if part:
            peaks[id] = max(peaks.get(id, 0), _amount(peak))
            starved |= {id} if state == "OUT_OF_MEMORY" else set()
            continue
        word, _, by = state.partition(" by ")
        made = _certificate(id, word.partition(" ")[0], exit_code, f"by user {by}" if by else reason)
        found[id] = made and made._replace(node=_plain(node), start=_time(start), stop=_time(end))
        limits[id] = _amount(asked)
    for id, made in found.items():
        if made is None:
            continue
        beyond = made.signal == 9 and peaks.get(id, 0) > limits[id] > 0
        short = made.error == "WorkerLost" and (id in starved or beyond)
        found[id] = made._replace(memory=peaks.get(id) or None, error="OutOfMemory" if short else made.error)
    return found


def queues(text: str) -> list[Limits]:
    """The partitions, from lines of sinfo: name, up or not, time, cores, memory, gres, nodes of a job, nodes."""
    found: dict[str, Limits] = {}
    for line in text.splitlines():
        if line.count("|") < 7:
            continue
        name, up, walltime, cores, size, gres, span, nodes = (part.strip() for part in line.split("|", 7))
        queue = name.rstrip("*")
        before = found.get(queue, Limits(queue, nodes=0))
        most = span.rpartition("-")[2]
        total = (before.nodes or 0) + int(nodes)
        found[queue] = Limits(
            queue,
            _duration(walltime),
            min(total, int(most)) if most.isdigit() else total,
            max(before.cores or 0, int(cores.rstrip("+"))),
            max(before.memory or 0, int(size.rstrip("+")) * 2**20),
            max(before.gpus or 0, _gpus(gres)),
            up == "up",
            name.endswith("*"),
        )
    return list(found.values())


def _certificate(id: str, state: str, exit_code: str, reason: str) -> Certificate | None:
    if state in _PENDING | _RUNNING:
        return None
    code, _, number = exit_code.partition(":")
    return Certificate(
        id,
        _ERRORS.get(state, "WorkerLost"),
        state,
        int(code) if code.isdigit() else None,
        int(number) if number.isdigit() and number != "0" else None,
        reason="" if reason in ("None", "NonZeroExitCode") else reason,
    )


def _starved(made: Certificate, fields: dict[str, str]) -> bool:
    """Whether a job was killed for its memory: where Slurm has no cgroups, only the log tells."""
    if made.signal != 9 and made.exit_code not in (125, 137):
        return False
    paths = {fields.get("StdErr", ""), fields.get("StdOut", "")} - {""}
    return any("slurmstepd" in line and _MEMORY.search(line) for line in _ends(paths))


def _ends(paths: Iterable[str]) -> Iterable[str]:
    for path in paths:
        try:
            with open(path, "rb") as file:
                file.seek(max(0, os.fstat(file.fileno()).st_size - _TAIL))
                yield from file.read(_TAIL).decode(errors="replace").splitlines()
        except OSError:
            continue


def _fields(line: str) -> dict[str, str]:
    """The fields `Name=value` of a line; values may hold spaces."""
    marks = list(_FIELD.finditer(line))
    ends = [mark.start() for mark in marks[1:]] + [len(line)]
    return {mark.group(1): line[mark.end() : end].strip() for mark, end in zip(marks, ends, strict=False)}


def _time(text: str) -> float | None:
    return float(text) if text.isdigit() else None


def _amount(text: str) -> int:
    """Memory such as `4528K`, or `200Mn` as old versions write what was asked for on each node [bytes].

    What is not known yet may be written as `16?`, beyond all units.
    """
    found = re.fullmatch(r"([\d.]+[KMGT]?)[nc]?", text)
    return memory(found.group(1)) if found else 0


def _plain(node: str) -> str:
    return "" if node in ("(null)", "None assigned", "None") else node


def _duration(text: str) -> float | None:
    """A time limit such as `1-00:00:00` or `30:00` [s]; None: there is none."""
    days, _, clock = text.rpartition("-")
    parts = clock.split(":")
    if not all(part.isdigit() for part in parts):
        return None
    seconds = 0.0
    for part in parts:
        seconds = seconds * 60 + int(part)
    return seconds + 86400 * int(days or 0)


def _gpus(gres: str) -> int:
    """Gpus of a node, from its generic resources: `gpu:a100:4(S:0-1),nvme:1`."""
    return sum(int(found) for found in re.findall(r"(?:^|,)gpu(?::[^,:(]+)?:(\d+)", gres))
