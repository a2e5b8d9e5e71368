"""Grid Engine: Son of Grid Engine, Open Grid Scheduler, Univa and Altair."""

from __future__ import annotations

import os
import pwd
import re
import signal
import time
from collections.abc import Iterable, Mapping, Sequence
from xml.etree import ElementTree

from daskflow.errors import BatchRefused
from daskflow.model.quantities import memory
from daskflow.sites.batch.grid import Grid, as_duration, as_epoch, in_portions, log_path, quoted
from daskflow.sites.batch.scripts import clock, directives, header, joined, mebibytes, plain_name, warner
from daskflow.sites.batch.system import Ask, Certificate, Limits, Phase, Standing, slots_of

_GONE = re.compile(
    r"not found|do(es)? not exist|already in deletion|Following jobs|^\s*$|^exit code"
    # Nothing ended yet, or nobody may read the accounts.
    r"|/accounting: (No such file|Permission denied)"
)
_KILLED = 128
_AFTERWARDS = 100
"""Grid Engine's word for what was killed while it ran."""
_STAMP = re.compile(r"^\S+ \S+ \[\d+:\d+\]:\s*")


class Sge(Grid):
    """The batch system Grid Engine.

    Parameters
    ----------
    parallel
        Parallel environment that gives several cores of one node.
    spanning
        Parallel environment that gives cores of several nodes.
    memory
        Resource by which memory is asked for, counted for each core: `h_vmem`, `mem_free`; empty: memory is not asked
        for, as every site has its own word for it.

    References
    ----------
    https://manpages.debian.org/bookworm/gridengine-client/index.html
    """

    name = "sge"
    commands: tuple[str, ...] = ("qsub", "qstat", "qdel", "qacct")
    own_id = "$JOB_ID$(test ${SGE_TASK_ID:-undefined} = undefined || echo .$SGE_TASK_ID)"
    own_node = "$(hostname)"

    def __init__(
        self, *, parallel: str = "smp", spanning: str = "mpi", memory: str = "", timeout: float = 60.0
    ) -> None:
        super().__init__(timeout, parallel, spanning, memory)
        self._parallel = parallel
        self._spanning = spanning
        self._memory = memory

    def script(self, ask: Ask, body: Sequence[str]) -> str:
        """The job script: its head, and lines of shell."""
        named = ask._replace(name=plain_name(ask.name, allowed="A-Za-z0-9._+-"))
        share = f"{self._memory}={-(-mebibytes(ask.memory) // ask.cores)}M" if self._memory else ""
        head = header(
            "sge",
            named,
            queue=ask.queue.queue,
            project=ask.queue.account,
            resource_spec=share,
            walltime=clock(ask.walltime),
        )
        log = quoted(log_path(ask, "$TASK_ID"))
        head += ["#$ -S /bin/bash", f"#$ -o {log}", f"#$ -r {'y' if ask.requeue else 'n'}"]
        if ask.nodes > 1:
            # A slot is a core; how many ranks there are is said to mpirun.
            head.append(f"#$ -pe {self._spanning} {slots_of(ask)}")
        elif ask.cores > 1:
            head.append(f"#$ -pe {self._parallel} {ask.cores}")
        head += [f"#$ -t 1-{ask.count}"] if ask.count > 1 else []
        head += [f"#$ -l gpu={ask.gpus}"] if ask.gpus else []
        head += [f"#$ -l h=!({'|'.join(ask.avoid)})"] if ask.avoid else []
        return joined([*head, *directives("#$", ask.queue.directives)], [*warner(ask), *body])

    def submit(self, script: str, ask: Ask) -> list[str]:
        """Submit `ask.count` jobs by one call; their ids."""
        answer = self._qsub(script, "-terse")
        number = answer.splitlines()[-1].partition(".")[0] if answer else ""
        if not number.isdigit():
            raise BatchRefused(f"qsub gave no id of a job, but {answer!r}. Look at queue and limits of the site.")
        return [number] if ask.count == 1 else [f"{number}.{index}" for index in range(1, ask.count + 1)]

    def standings(self, ids: Iterable[str]) -> Mapping[str, Standing]:
        """How jobs stand, by one call for all; ended ones are not told of."""
        wanted = set(ids)
        if not wanted:
            return {}
        # `-g d`: each job of an array that waits has an entry of its own.
        answer = self._call("qstat", "-u", _user(), "-g", "d", "-xml")
        found = {standing.id: standing for standing in listed(answer) if standing.id in wanted}
        bad = [standing for standing in found.values() if standing.hopeless]
        if bad:
            reasons = error_reasons(self._call("qstat", "-j", ",".join(_numbers(bad)), pardon=_GONE))
            found |= {
                standing.id: standing._replace(reason=reasons.get(standing.id.partition(".")[0], standing.reason))
                for standing in bad
            }
        return found

    def certificates(self, ids: Iterable[str]) -> Mapping[str, Certificate]:
        """How jobs ended, from the accounting; a call for each submission."""
        wanted = set(ids)
        found: dict[str, Certificate] = {}
        for number in sorted({id.partition(".")[0] for id in wanted}):
            found |= accounted(self._call("qacct", "-j", number, pardon=_GONE))
        return {id: certificate for id, certificate in found.items() if id in wanted}

    def cancel(self, ids: Iterable[str]) -> None:
        """Cancel jobs; those of an array by their index."""
        whole = [id for id in ids if "." not in id]
        parts = [id for id in ids if "." in id]
        for some in in_portions(whole):
            self._call("qdel", *some, pardon=_GONE)
        for some in in_portions(parts):
            self._call("qdel", *some, pardon=_GONE)

    def limits(self) -> Sequence[Limits]:
        """The queues, with what the largest node has."""
        hosts = [line.split() for line in self._call("qhost").splitlines()[2:]]
        sizes = [(host[2], host[-4]) for host in hosts if len(host) >= 7 and host[2].isdigit()]
        cores = max((int(count) for count, _ in sizes), default=0)
        size = max((memory(total) for _, total in sizes if total[:1].isdigit()), default=0)
        found = []
        for block in re.split(r"^qname\s+", self._call("qconf", "-sq", "*"), flags=re.MULTILINE)[1:]:
            fields = dict(re.findall(r"^(\w+)\s+(\S+)", block, flags=re.MULTILINE))
            found.append(
                Limits(
                    block.split(maxsplit=1)[0],
                    as_duration(fields.get("h_rt", "-")),
                    len(sizes) or None,
                    cores or None,
                    size or None,
                )
            )
        return found

    def alive(self) -> None:
        """See whether the master answers."""
        self._call("qstat")

    def rehearse(self, script: str) -> None:
        """Ask whether the job could ever be performed, as Grid Engine verifies it; nothing is submitted."""
        with_verdict = self._qsub(script, "-w", "v")
        if "no suitable queues" in with_verdict:
            raise BatchRefused(f"qsub: {with_verdict}")


def _user() -> str:
    # Not `getpass.getuser`: what variables say need not be who submits.
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def listed(text: str) -> list[Standing]:
    """How jobs stand, from what `qstat -xml` says.

    References
    ----------
    https://manpages.debian.org/bookworm/gridengine-common/sge_status.5.en.html
    """
    found = []
    for entry in ElementTree.fromstring(text).iter("job_list"):
        field = {child.tag: (child.text or "").strip() for child in entry}
        number, task, state = field["JB_job_number"], field.get("tasks", ""), field.get("state", "")
        running = "q" not in state and any(letter in state for letter in "rtsSTdR")
        start = _iso(field.get("JAT_start_time", ""))
        found.append(
            Standing(
                f"{number}.{task}" if task else number,
                Phase.running if running else Phase.pending,
                state,
                "it is in the state of error" if "E" in state else "",
                field.get("queue_name", "").rpartition("@")[2] if running else "",
                field.get("JB_name", ""),
                start if running else None,
                hopeless="E" in state,
            )
        )
    return found


def error_reasons(text: str) -> dict[str, str]:
    """Why jobs are in the state of error, from what `qstat -j` says; by the number of the job."""
    found: dict[str, str] = {}
    number = ""
    for line in text.splitlines():
        name, _, value = line.partition(":")
        if name == "job_number":
            number = value.strip()
        elif name.startswith("error reason"):
            found.setdefault(number, _STAMP.sub("", value.strip()))
    return found


def accounted(text: str) -> dict[str, Certificate]:
    """How jobs ended, from what `qacct -j` says.

    References
    ----------
    https://manpages.debian.org/bookworm/gridengine-common/sge_accounting.5.en.html
    """
    found = {}
    for block in re.split(r"^=+\s*$", text, flags=re.MULTILINE)[1:]:
        field = {name: value.strip() for name, value in re.findall(r"^(\w+)[ \t]+(.*)$", block, flags=re.MULTILINE)}
        task = field.get("taskid", "undefined")
        id = field["jobnumber"] if task == "undefined" else f"{field['jobnumber']}.{task}"
        failed, _, why = field.get("failed", "0").partition(":")
        code = int(field.get("exit_status", "0").split()[0])
        found[id] = Certificate(
            id,
            _error(field, int(failed), code),
            "failed" if int(failed) or code else "done",
            code if code <= _KILLED else None,
            code - _KILLED if code > _KILLED else None,
            field.get("hostname", ""),
            as_epoch(field.get("start_time", "")) or _iso(field.get("start_time", "")),
            as_epoch(field.get("end_time", "")) or _iso(field.get("end_time", "")),
            # `ru_maxrss` has a wrong unit in some versions.
            _bytes(field.get("maxvmem", "")) or None,
            why.strip(),
        )
    return found


def _error(field: Mapping[str, str], failed: int, code: int) -> str:
    if not failed and not code:
        return ""
    asked = dict(re.findall(r"(\w+)=([^,\s]+)", field.get("category", "")))
    limit = as_duration(asked.get("h_rt", "-"))
    used = float(re.match(r"[\d.]*", field.get("ru_wallclock", "0")).group() or 0)  # type: ignore[union-attr]
    if limit is not None and used >= limit:
        return "WalltimeExceeded"
    slots = int(field.get("slots", "1"))
    most = _bytes(asked.get("h_vmem", "")) * slots
    if most and _bytes(field.get("maxvmem", "")) >= most:
        return "OutOfMemory"
    if field.get("deleted_by", "NONE") not in ("NONE", ""):
        return "Cancelled"
    # Nothing but qdel kills the shell of a script so.
    return "Cancelled" if failed == _AFTERWARDS and code == _KILLED + signal.SIGKILL else "WorkerLost"


def _bytes(text: str) -> int:
    """Memory such as `4.512M`, `4620` (of KiB) or `2G` [bytes]."""
    plain = text.strip()
    if not plain[:1].isdigit():
        return 0
    return int(float(plain) * 1024) if plain[-1].isdigit() else memory(plain)


def _iso(text: str) -> float | None:
    try:
        return time.mktime(time.strptime(text.partition(".")[0], "%Y-%m-%dT%H:%M:%S"))
    except ValueError:
        return None


def _numbers(standings: Iterable[Standing]) -> list[str]:
    return sorted({standing.id.partition(".")[0] for standing in standings})
