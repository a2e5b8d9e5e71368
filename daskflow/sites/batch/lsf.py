"""IBM Spectrum LSF."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Iterable, Mapping, Sequence

from daskflow.errors import BatchRefused
from daskflow.model.quantities import memory
from daskflow.sites.batch.calls import call
from daskflow.sites.batch.grid import in_portions, log_path, quoted
from daskflow.sites.batch.scripts import directives, header, joined, mebibytes, plain_name
from daskflow.sites.batch.system import Ask, Certificate, Limits, Phase, Standing, slots_of

# see https://www.ibm.com/docs/en/SSWRJV_10.1.0/lsf_admin/terms.html
_PENDING = ("PEND", "PSUSP", "WAIT", "PROV", "FWD_PEND")
_ENDED = ("DONE", "EXIT", "ZOMBI")
# see https://www.ibm.com/docs/SSWRJV_10.1.0/lsf_admin/termination_reasons_lsf.html
_ERRORS = {
    "TERM_RUNLIMIT": "WalltimeExceeded",
    "TERM_DEADLINE": "WalltimeExceeded",
    "TERM_CPULIMIT": "WalltimeExceeded",
    "TERM_MEMLIMIT": "OutOfMemory",
    "TERM_SWAP": "OutOfMemory",
    "TERM_PREEMPT": "Preempted",
    "TERM_OWNER": "Cancelled",
    "TERM_ADMIN": "Cancelled",
    "TERM_FORCE_OWNER": "Cancelled",
    "TERM_FORCE_ADMIN": "Cancelled",
    "TERM_ZOMBIE": "NodeFailure",
    "TERM_REMOVE_HUNG_JOB": "NodeFailure",
}
_COLUMNS = "jobid jobindex stat exec_host run_time run_limit max_mem exit_code exit_reason pend_reason job_name"
_WIDTH = 10
_GONE = re.compile(r"is not found|already finished|being terminated|No (unfinished )?job found|^exit code")
_SUBMITTED = re.compile(r"Job <(\d+)> is submitted")


class Lsf:
    """The batch system LSF, version 10.1 or later.

    References
    ----------
    https://www.ibm.com/docs/en/spectrum-lsf/10.1.0?topic=reference-command
    """

    name = "lsf"
    commands: tuple[str, ...] = ("bsub", "bjobs", "bkill")
    own_id = "$LSB_JOBID$(test ${LSB_JOBINDEX:-0} = 0 || printf '[%s]' $LSB_JOBINDEX)"
    own_node = "$(hostname)"
    launch = "mpirun"

    def __init__(self, *, timeout: float = 60.0) -> None:
        self._timeout = timeout

    def __eq__(self, other: object) -> bool:
        """Whether one query serves both."""
        return isinstance(other, Lsf) and other._timeout == self._timeout

    def __hash__(self) -> int:
        return hash((Lsf, self._timeout))

    def script(self, ask: Ask, body: Sequence[str]) -> str:
        """The job script: its head, and lines of shell."""
        name = plain_name(ask.name, allowed="A-Za-z0-9._+/-")
        # A slot is a core; how many ranks there are is said to mpirun.
        total = slots_of(ask)
        minutes = max(1, math.ceil(ask.walltime / 60))
        head = header(
            "lsf",
            ask._replace(name=name),
            # LSF counts memory in the unit that a site has chosen, unless it is told; the lines follow below.
            skip=["-M ", "span[", "-J "],
            queue=ask.queue.queue,
            project=ask.queue.account,
            ncpus=total,
            walltime=f"{minutes // 60}:{minutes % 60:02d}",
        )
        array = f"[1-{ask.count}]" if ask.count > 1 else ""
        size = mebibytes(ask.memory)
        span = f"span[ptile={-(-total // ask.nodes)}]" if ask.nodes > 1 else "span[hosts=1]"
        head += [f'#BSUB -J "{name}{array}"', f"#BSUB -M {size}MB", f'#BSUB -R "rusage[mem={size}MB]"']
        head += [f'#BSUB -R "{span}"', f"#BSUB -o {quoted(log_path(ask, '%I'))}"]
        head += [f'#BSUB -gpu "num={ask.gpus}"'] if ask.gpus else []
        head += [f'#BSUB -R "select[{" && ".join(f"hname!={node}" for node in ask.avoid)}]"'] if ask.avoid else []
        head += [f"#BSUB -wa USR1 -wt {max(1, math.ceil(ask.warn / 60))}"] if ask.warn else []
        head.append("#BSUB -r" if ask.requeue else "#BSUB -rn")
        return joined([*head, *directives("#BSUB", ask.queue.directives)], body)

    def submit(self, script: str, ask: Ask) -> list[str]:
        """Submit `ask.count` jobs by one call; their ids."""
        answer = self._call("bsub", input=script)
        found = _SUBMITTED.search(answer)
        if not found:
            raise BatchRefused(f"bsub gave no id of a job, but {answer!r}. Look at queue and limits of the site.")
        number = found.group(1)
        return [number] if ask.count == 1 else [f"{number}[{index}]" for index in range(1, ask.count + 1)]

    def standings(self, ids: Iterable[str]) -> Mapping[str, Standing]:
        """How jobs stand."""
        return {id: stood(id, fields) for id, fields in self._jobs(ids).items()}

    def certificates(self, ids: Iterable[str]) -> Mapping[str, Certificate]:
        """How jobs ended, as far as LSF remembers them."""
        jobs = self._jobs(ids)
        return {id: certified(id, fields) for id, fields in jobs.items() if fields["stat"] in _ENDED}

    def _jobs(self, ids: Iterable[str]) -> dict[str, dict[str, str]]:
        found: dict[str, dict[str, str]] = {}
        for some in in_portions(ids):
            columns = f"{_COLUMNS} delimiter='|'"
            found |= listed(self._call("bjobs", "-a", "-noheader", "-o", columns, *some, pardon=_GONE))
        return found

    def cancel(self, ids: Iterable[str]) -> None:
        """Cancel jobs."""
        for some in in_portions(ids):
            self._call("bkill", *some, pardon=_GONE)

    def limits(self) -> Sequence[Limits]:
        """Nothing: LSF tells them for people only."""
        return []

    def alive(self) -> None:
        """See whether the master answers."""
        self._call("lsid")

    def rehearse(self, script: str) -> None:
        """LSF tells only of what is submitted."""
        self.alive()

    def _call(self, *argv: str, input: str | None = None, pardon: re.Pattern[str] | None = None) -> str:
        return call(argv, input=input, timeout=self._timeout, pardon=pardon)


def listed(text: str) -> dict[str, dict[str, str]]:
    """What bjobs tells of jobs, by their ids."""
    found = {}
    names = _COLUMNS.split()
    for line in text.splitlines():
        if line.count("|") < _WIDTH:
            continue
        parts = (part.strip() for part in line.split("|", _WIDTH))
        fields = {name: "" if part == "-" else part for name, part in zip(names, parts, strict=True)}
        index = fields["jobindex"]
        found[fields["jobid"] + (f"[{index}]" if index not in ("", "0") else "")] = fields
    return found


def stood(id: str, fields: Mapping[str, str]) -> Standing:
    """How a job stands, from what bjobs tells of it."""
    state = fields["stat"]
    phase = Phase.pending if state in _PENDING else Phase.ended if state in _ENDED else Phase.running
    start = end = None
    if phase is Phase.running and (used := _leading(fields["run_time"])) is not None:
        start = time.time() - used
        limit = _leading(fields["run_limit"])
        end = start + limit * 60 if limit is not None else None
    return Standing(
        id, phase, state, fields["pend_reason"], _hosts(fields["exec_host"]), fields["job_name"], start, end
    )


def certified(id: str, fields: Mapping[str, str]) -> Certificate:
    """How a job ended, from what bjobs tells of it."""
    code = int(fields["exit_code"]) if fields["exit_code"].isdigit() else None
    word = re.match(r"TERM_\w+", fields["exit_reason"])
    error = "" if fields["stat"] == "DONE" else _ERRORS.get(word.group() if word else "", "WorkerLost")
    number = code - 128 if code is not None and code > 128 else None
    peak = re.match(r"([\d.]+)\s*([KMGT])", fields["max_mem"])
    return Certificate(
        id,
        error,
        fields["stat"],
        code if number is None else None,
        number,
        _hosts(fields["exec_host"]),
        memory=memory("".join(peak.groups())) if peak else None,
        reason=fields["exit_reason"],
    )


def _hosts(text: str) -> str:
    """Nodes of a job, which LSF writes as `4*n1:4*n2`."""
    return ",".join(dict.fromkeys(part.rpartition("*")[2] for part in text.split(":") if part))


def _leading(text: str) -> float | None:
    found = re.match(r"[\d.]+", text)
    return float(found.group()) if found else None
