"""PBS: OpenPBS and PBS Professional, Torque, and what has Torque's commands."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from daskflow.errors import BatchMissing, BatchRefused, BatchSilent
from daskflow.model.quantities import memory
from daskflow.sites.batch.grid import Grid, as_duration, as_epoch, blocks, in_portions, log_path, quoted
from daskflow.sites.batch.scripts import clock, directives, header, joined, mebibytes, plain_name, warner
from daskflow.sites.batch.system import Ask, Certificate, Limits, Phase, Standing

# see https://help.altair.com/2022.1.0/PBS%20Professional/PBSReferenceGuide2022.1.pdf, "Job States", and
# https://linux.die.net/man/1/qstat-torque (C: completed)
_ENDED = "CFX"
_RUNNING = "RESUB"
_GONE = re.compile(r"Unknown Job Id|Job has finished|invalid state|^exit code (1|153)$|Unknown queue")
# The same guide, "Job Exit Status Codes"; Torque has its own, in its `pbs_error.h` and `resmom.h`.
_PRO_CODES = {"-26": "OutOfMemory", "-27": "OutOfMemory", "-28": "WalltimeExceeded", "-29": "WalltimeExceeded"}
_TORQUE_CODES = {"-10": "OutOfMemory", "-11": "WalltimeExceeded", "-12": "WalltimeExceeded"}
_NO_HISTORY = re.compile(r"not configured to maintain job history", re.IGNORECASE)
_TERMINATED = 15


class Pbs(Grid):
    """The batch system PBS.

    Parameters
    ----------
    torque
        Whether its commands are those of Torque; None: ask qstat.

    Notes
    -----
    The plain text of `qstat -f` is read, which all of them have; the JSON of some is not valid where a job's
    variables hold certain characters. Torque's arrays are not used: its wrappers for other systems do not tell the
    index.
    """

    name = "pbs"
    commands: tuple[str, ...] = ("qsub", "qstat", "qdel")
    # Torque's commands over Slurm leave jobs with the variables of Slurm.
    own_id = "${PBS_JOBID:-$SLURM_JOB_ID}"
    own_node = "$(hostname)"

    def __init__(self, *, torque: bool | None = None, timeout: float = 60.0) -> None:
        super().__init__(timeout, torque)
        self._torque = torque
        self._history = True

    def _is_torque(self) -> bool:
        if self._torque is None:
            try:
                self._torque = "pbs_version" not in self._call("qstat", "--version")
            except BatchRefused:
                self._torque = True
            except (BatchMissing, BatchSilent):
                return False
        return self._torque

    def script(self, ask: Ask, body: Sequence[str]) -> str:
        """The job script: its head, and lines of shell."""
        named = ask._replace(name=plain_name(ask.name, allowed="A-Za-z0-9._+-", longest=200))
        head = header(
            "pbs",
            named,
            queue=ask.queue.queue,
            account=ask.queue.account,
            resource_spec=self._torque_spec(ask) if self._is_torque() else _spec(ask),
            walltime=clock(ask.walltime),
        )
        head += [f"#PBS -J 0-{ask.count - 1}"] if self._arrays(ask) else []
        log = log_path(ask, "0" if self._is_torque() else "^array_index^")
        head += [f"#PBS -o {quoted(log)}", "#PBS -j oe", f"#PBS -r {'y' if ask.requeue else 'n'}"]
        # PBS starts scripts by the user's login shell, whatever their first line says.
        head += [] if self._is_torque() else ["#PBS -S /bin/bash"]
        head += directives("#PBS", ask.queue.directives)
        return joined(head, [*warner(ask), *body])

    def _arrays(self, ask: Ask) -> bool:
        return ask.count > 1 and not self._is_torque()

    def _torque_spec(self, ask: Ask) -> str:
        gpus = f":gpus={ask.gpus}" if ask.gpus else ""
        return f"nodes={ask.nodes}:ppn={ask.cores}{gpus},mem={mebibytes(ask.memory) * ask.nodes}mb"

    def submit(self, script: str, ask: Ask) -> list[str]:
        """Submit `ask.count` jobs; their ids."""
        if not self._is_torque():
            id = _first(self._qsub(script))
            return [id.replace("[]", f"[{index}]", 1) for index in range(ask.count)] if ask.count > 1 else [id]
        # Wrappers of Torque's qsub heed the path of the log only among the arguments. One by one, each has its own.
        return [_first(self._qsub(script, "-o", log_path(ask, str(index)), "-j", "oe")) for index in range(ask.count)]

    def standings(self, ids: Iterable[str]) -> Mapping[str, Standing]:
        """How jobs stand."""
        return {id: stood(id, fields) for id, fields in self._jobs(ids).items()}

    def _jobs(self, ids: Iterable[str]) -> dict[str, dict[str, str]]:
        """What qstat tells of jobs, ended ones included as far as the server keeps them."""
        found: dict[str, dict[str, str]] = {}
        for some in in_portions(ids):
            answer = blocks(self._qstat(some), "Job Id:")
            # The server may write its own name longer or shorter than qsub did.
            short = {_short(id): fields for id, fields in answer.items()}
            found |= {id: short[_short(id)] for id in some if _short(id) in short}
        return found

    def _qstat(self, ids: Sequence[str]) -> str:
        if self._is_torque():
            return self._call("qstat", "-f", *ids, pardon=_GONE)
        if self._history:
            try:
                return self._call("qstat", "-x", "-t", "-f", *ids, pardon=_GONE)
            except BatchRefused as error:
                if not _NO_HISTORY.search(str(error)):
                    raise
                # So it is unless a site has switched it on: of what ended nothing is known, now and later.
                self._history = False
        return self._call("qstat", "-t", "-f", *ids, pardon=_GONE)

    def certificates(self, ids: Iterable[str]) -> Mapping[str, Certificate]:
        """How jobs ended, as far as the server keeps ended ones."""
        codes = _TORQUE_CODES if self._is_torque() else _PRO_CODES
        made = {id: certified(id, fields, codes) for id, fields in self._jobs(ids).items()}
        return {id: certificate for id, certificate in made.items() if certificate is not None}

    def cancel(self, ids: Iterable[str]) -> None:
        """Cancel jobs."""
        for some in in_portions(ids):
            self._call("qdel", *some, pardon=_GONE)

    def limits(self) -> Sequence[Limits]:
        """The queues, with what the largest node has."""
        nodes = blocks(self._call("pbsnodes", "-a"), "").values()
        cores = max((int(_of(node, "resources_available.ncpus", "np") or 0) for node in nodes), default=0)
        size = max((_bytes(_of(node, "resources_available.mem")) for node in nodes), default=0)
        gpus = max((int(_of(node, "resources_available.ngpus", "gpus") or 0) for node in nodes), default=0)
        found = []
        for name, fields in blocks(self._call("qstat", "-Q", "-f"), "Queue:").items():
            most = _bytes(fields.get("resources_max.mem", ""))
            spans = fields.get("resources_max.nodect", "")
            found.append(
                Limits(
                    name,
                    as_duration(fields.get("resources_max.walltime", "-")),
                    int(spans) if spans.isdigit() else len(nodes) or None,
                    cores or None,
                    min(most or size, size or most) or None,
                    gpus or None,
                    fields.get("enabled", "True").lower() in _YES and fields.get("started", "True").lower() in _YES,
                )
            )
        return found

    def alive(self) -> None:
        """See whether the server answers."""
        self._call("qstat", "-Q")

    def rehearse(self, script: str) -> None:
        """PBS tells only of what is submitted."""
        self.alive()


_YES = ("true", "yes", "1")


def _spec(ask: Ask) -> str:
    tasks = ask.tasks if ask.tasks is not None else ask.nodes * ask.cores
    ranks = f":mpiprocs={max(1, tasks // ask.nodes)}" if ask.nodes > 1 or ask.tasks is not None else ""
    gpus = f":ngpus={ask.gpus}" if ask.gpus else ""
    return f"select={ask.nodes}:ncpus={ask.cores}{ranks}{gpus}:mem={mebibytes(ask.memory)}mb"


def stood(id: str, fields: Mapping[str, str]) -> Standing:
    """How a job stands, from what `qstat -f` tells of it."""
    state, reason = fields.get("job_state", ""), fields.get("comment", "")
    phase = Phase.ended if state in _ENDED else Phase.running if state in _RUNNING else Phase.pending
    start, stop = _span(fields)
    if phase is Phase.running and start is not None:
        limit = as_duration(fields.get("Resource_List.walltime", "-"))
        stop = start + limit if limit is not None else None
    return Standing(
        id,
        phase,
        state,
        reason,
        _node(fields),
        fields.get("Job_Name", ""),
        start if phase is not Phase.pending else None,
        stop if phase is not Phase.pending else None,
        phase is Phase.pending and "can never run" in reason.lower(),
    )


def certified(id: str, fields: Mapping[str, str], codes: Mapping[str, str]) -> Certificate | None:
    """How a job ended, from what `qstat -f` tells of it; None: not yet.

    Parameters
    ----------
    codes
        What the negative codes mean by which the system ends jobs.
    """
    state = fields.get("job_state", "")
    if state not in _ENDED:
        return None
    told = _of(fields, "Exit_status", "exit_status")
    number = int(told) if told.lstrip("-").isdigit() else None
    signal = number - 256 if number is not None and number > 256 else number - 128 if number and number > 128 else None
    start, stop = _span(fields)
    certificate = Certificate(
        id,
        _error(fields, told, signal, codes),
        state,
        number if signal is None else None,
        signal,
        _node(fields),
        start,
        stop,
        _bytes(fields.get("resources_used.mem", "")) or None,
        fields.get("comment", ""),
    )
    return certificate if told else certificate._replace(reason=certificate.reason or "its exit code is not known")


def _error(fields: Mapping[str, str], told: str, signal: int | None, codes: Mapping[str, str]) -> str:
    if told == "0":
        return ""
    if told in codes:
        return codes[told]
    limit = as_duration(fields.get("Resource_List.walltime", "-"))
    start, stop = _span(fields)
    used = as_duration(fields.get("resources_used.walltime", "-"))
    if used is None and start is not None and stop is not None:
        used = stop - start
    if limit is not None and used is not None and used >= limit:
        return "WalltimeExceeded"
    most, peak = _bytes(fields.get("Resource_List.mem", "")), _bytes(fields.get("resources_used.mem", ""))
    if most and peak > most:
        return "OutOfMemory"
    return "Cancelled" if signal == _TERMINATED else "WorkerLost"


def _span(fields: Mapping[str, str]) -> tuple[float | None, float | None]:
    """When a job began and ended; wrappers of other systems have it in the times of modification and creation."""
    start = as_epoch(_of(fields, "start_time", "stime"))
    if start is not None or "obittime" in fields or "comp_time" in fields:
        return start, as_epoch(_of(fields, "comp_time", "obittime"))
    start, stop = as_epoch(fields.get("mtime", "")), as_epoch(fields.get("ctime", ""))
    return (start, stop) if start is not None and stop is not None and stop >= start else (start, None)


def _node(fields: Mapping[str, str]) -> str:
    hosts = re.findall(r"(?:^|\+)\(?([^/:+()]+)", _of(fields, "exec_host", "exec_vnode"))
    return ",".join(dict.fromkeys(hosts))


def _of(fields: Mapping[str, str], *names: str) -> str:
    return next((fields[name] for name in names if name in fields), "")


def _bytes(text: str) -> int:
    """Memory such as `1048576kb` [bytes]: PBS counts in powers of two."""
    return memory(re.sub(r"([kmgt])b$", r"\1", text.strip().lower())) if text[:1].isdigit() else 0


def _first(answer: str) -> str:
    """The id in the answer of qsub: its last line."""
    lines = answer.splitlines()
    if not lines or not lines[-1][:1].isdigit():
        raise BatchRefused(f"qsub gave no id of a job, but {answer!r}. Look at queue, account and limits of the site.")
    return lines[-1].strip()


def _short(id: str) -> str:
    return id.partition(".")[0]
