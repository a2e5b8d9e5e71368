"""Slurm: sbatch, squeue, scontrol, sacct and scancel."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
import uuid
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from daskflow.errors import BatchMissing, BatchRefused, BatchSilent
from daskflow.sites.batch.calls import call, chunks
from daskflow.sites.batch.scripts import clock, directives, header, joined, mebibytes, plain_name
from daskflow.sites.batch.slurmrecords import accounted, controlled, queues, stood
from daskflow.sites.batch.system import Ask, Certificate, Limits, Standing

_FEW = 5
"""Of so many jobs each is asked for by a call of its own; of more, by one call for all jobs of the cluster."""
_MANY = 200
"""Ids in one command line."""
_OWN = re.compile(r"SLURM_(?!CONF|JWT|TIME_FORMAT)")
_KEPT = (
    "SBATCH_ACCOUNT",
    "SBATCH_CONSTRAINT",
    "SBATCH_PARTITION",
    "SBATCH_QOS",
    "SBATCH_RESERVATION",
)
"""What a user may preset for all batch jobs; sbatch lets its variables win over the head of a script."""
_NAMED = re.compile(r"(?:--clusters?[=\s]|-M)\s*(\S+)")
"""A directive that names the cluster."""
_GONE = re.compile(r"Invalid job id|already completing or completed|Job/step already", re.IGNORECASE)


class Slurm:
    """The batch system Slurm.

    Parameters
    ----------
    cluster
        Which of several clusters all commands are for; empty: what `SBATCH_CLUSTERS` or `SLURM_CLUSTERS` says, or else
        the one that is the default here.

    Notes
    -----
    Of several clusters it has one: jobs of two may have the same id.

    An answer of sbatch may get lost after the job was made. Each submission has a file of its own name, by which
    squeue finds it again: who submits the same script once more after `BatchSilent` gets the ids of what is there.

    References
    ----------
    https://slurm.schedmd.com/man_index.html
    """

    name = "slurm"
    commands: tuple[str, ...] = ("sbatch", "squeue", "scontrol", "scancel", "sinfo")
    own_id = "${SLURM_ARRAY_JOB_ID:+${SLURM_ARRAY_JOB_ID}_}${SLURM_ARRAY_TASK_ID:-$SLURM_JOB_ID}"
    own_node = "${SLURMD_NODENAME:-$(hostname)}"
    launch = "srun"

    def __init__(self, *, cluster: str = "", timeout: float = 60.0) -> None:
        self._cluster = cluster or os.environ.get("SBATCH_CLUSTERS") or os.environ.get("SLURM_CLUSTERS", "")
        self._timeout = timeout
        self._identity = (self._cluster, timeout, os.environ.get("SLURM_CONF", ""))
        self._accounting = True
        self._unsure: dict[str, str] = {}

    def __eq__(self, other: object) -> bool:
        """Whether both are the same cluster, so that one query serves both."""
        return isinstance(other, Slurm) and self._identity == other._identity

    def __hash__(self) -> int:
        return hash(self._identity)

    def script(self, ask: Ask, body: Sequence[str]) -> str:
        """The job script: its head, and lines of shell.

        Raises
        ------
        BatchRefused
            A directive names another cluster than that of all commands.
        """
        self._see_cluster(ask.queue.directives)
        several = ask.nodes > 1 or ask.tasks is not None
        named = ask._replace(name=plain_name(ask.name))
        head = header(
            "slurm",
            named,
            skip=["-n 1", "--cpus-per-task"] if several else (),
            queue=ask.queue.queue,
            account=ask.queue.account,
            walltime=clock(ask.walltime),
            job_mem=f"{mebibytes(ask.memory)}M",
        )
        head.append(f"#SBATCH --nodes={ask.nodes}")
        if several:
            tasks = ask.tasks if ask.tasks is not None else ask.nodes * ask.cores
            share = max(1, ask.nodes * ask.cores // tasks)
            head += [f"#SBATCH --ntasks={tasks}", f"#SBATCH --cpus-per-task={share}"]
        head += [f"#SBATCH --gres=gpu:{ask.gpus}"] if ask.gpus else []
        head += [f"#SBATCH --array=0-{ask.count - 1}"] if ask.count > 1 else []
        log = ask.log.replace("%", "%%").replace("%%s", "%a" if ask.count > 1 else "0")
        head += [f'#SBATCH --output="{log}"', "#SBATCH --open-mode=append"]
        # Without `B:` only steps hear of it, not the script.
        head += [f"#SBATCH --signal=B:USR1@{round(ask.warn)}"] if ask.warn else []
        head += [f"#SBATCH --exclude={','.join(ask.avoid)}"] if ask.avoid else []
        head.append("#SBATCH --requeue" if ask.requeue else "#SBATCH --no-requeue")
        return joined([*head, *directives("#SBATCH", ask.queue.directives)], body)

    def _see_cluster(self, lines: Sequence[str]) -> None:
        for line in lines:
            found = _NAMED.match(line.removeprefix("#SBATCH").strip())
            if found and found.group(1) != self._cluster:
                raise BatchRefused(
                    f"The directive {line!r} names a cluster at which nothing else would look: jobs there would be "
                    f"taken for lost. Say it for the whole site: `system: {{cluster: {found.group(1)}}}`."
                )

    def submit(self, script: str, ask: Ask) -> list[str]:
        """Submit `ask.count` jobs by one call; their ids."""
        text = hashlib.sha256(script.encode()).hexdigest()
        lost = self._unsure.get(text)
        if lost is not None:
            found = self._submitted(lost)
            del self._unsure[text]
            if found:
                return found
        token = f"daskflow-{uuid.uuid4().hex}.sh"
        with tempfile.TemporaryDirectory(prefix="daskflow-sbatch-") as directory:
            path = Path(directory, token)
            path.write_text(script)
            try:
                answer = self._call("sbatch", "--parsable", str(path), env=_environment(ask))
            except BatchSilent:
                self._unsure[text] = token
                raise
        # After `;` stands the cluster, where there are several.
        number = answer.strip().splitlines()[-1].partition(";")[0] if answer.strip() else ""
        if not number.isdigit():
            self._unsure[text] = token
            raise BatchSilent(f"sbatch gave no id of a job, but {answer.strip()!r}. Try again.")
        return [number] if ask.count == 1 else [f"{number}_{index}" for index in range(ask.count)]

    def _submitted(self, token: str) -> list[str]:
        """Ids of the jobs of one submission that are there."""
        lines = self._squeue("%i|%o").splitlines()
        found = [id for id, _, command in (line.partition("|") for line in lines) if command.endswith(f"/{token}")]
        return sorted(found, key=lambda id: [int(part) for part in id.split("_")])

    def standings(self, ids: Iterable[str]) -> Mapping[str, Standing]:
        """How jobs stand, by one call for all."""
        wanted = set(ids)
        if not wanted:
            return {}
        # By user and not by ids: squeue fails altogether for an id that it has forgotten.
        lines = self._squeue("%i|%T|%N|%S|%e|%r|%j").splitlines()
        found = (stood(line) for line in lines if line.count("|") >= 6)
        return {standing.id: standing for standing in found if standing.id in wanted}

    def _squeue(self, columns: str) -> str:
        return self._call(
            "squeue",
            "--noheader",
            # Partitions may be hidden also from those whose jobs are in them.
            "--all",
            "--array",
            "--states=all",
            f"--user={os.getuid()}",
            f"--format={columns}",
        )

    def certificates(self, ids: Iterable[str]) -> Mapping[str, Certificate]:
        """How jobs ended: from the controller, and what it has forgotten from accounting, where there is any."""
        wanted = list(dict.fromkeys(ids))
        found = controlled("\n".join(self._records(wanted)))
        known = {id: certificate for id, certificate in found.items() if id in wanted}
        missing = [id for id in wanted if id not in known]
        if missing and self._accounting:
            known |= {id: record for id, record in self._accounts(missing).items() if id in missing}
        return {id: certificate for id, certificate in known.items() if certificate is not None}

    def _records(self, ids: Sequence[str]) -> Iterable[str]:
        """What the controller knows of jobs, a line for each."""
        if len(ids) > _FEW:
            yield self._call("scontrol", "--all", "--oneliner", "show", "jobs")
            return
        for id in ids:
            yield self._call("scontrol", "--all", "--oneliner", "show", "job", id, pardon=_GONE)

    def _accounts(self, ids: Sequence[str]) -> dict[str, Certificate | None]:
        columns = "JobID,State,ExitCode,NodeList,Start,End,MaxRSS,ReqMem,Reason"
        found: dict[str, Certificate | None] = {}
        for some in chunks(ids, _MANY):
            try:
                answer = self._call(
                    "sacct",
                    "--noheader",
                    "--parsable2",
                    "--delimiter=|",
                    f"--jobs={','.join(some)}",
                    f"--format={columns}",
                )
            except (BatchMissing, BatchRefused):
                # This cluster keeps no accounts, or not for us: there is nothing to ask for, now and later.
                self._accounting = False
                return found
            found |= accounted(answer)
        return found

    def cancel(self, ids: Iterable[str]) -> None:
        """Cancel jobs."""
        for some in chunks(list(dict.fromkeys(ids)), _MANY):
            self._call("scancel", *some, pardon=_GONE)

    def limits(self) -> Sequence[Limits]:
        """The partitions."""
        return queues(self._call("sinfo", "--noheader", "--exact", "--format=%P|%a|%l|%c|%m|%G|%s|%D"))

    def alive(self) -> None:
        """See whether the controller answers."""
        answer = self._call("scontrol", "ping")
        if " is UP" not in answer:
            raise BatchSilent(f"The controller of Slurm does not answer: {answer.strip()}. Ask who runs the cluster.")

    def rehearse(self, script: str) -> None:
        """Ask whether Slurm would take a job script; nothing is submitted."""
        self._call("sbatch", "--test-only", input=script, env=_environment(None))

    def _call(
        self,
        *argv: str,
        input: str | None = None,
        env: Mapping[str, str] | None = None,
        pardon: re.Pattern[str] | None = None,
    ) -> str:
        if "," in self._cluster or self._cluster == "all":
            raise BatchRefused(
                f"{self._cluster!r} are several clusters, and a site has one. "
                "Name it by `system: {cluster: NAME}`, or by the variable SLURM_CLUSTERS."
            )
        # By an option, since sacct heeds no variable; and then no job inherits what was meant for this machine.
        cluster = [f"--clusters={self._cluster}"] if self._cluster else []
        around = {**(os.environ if env is None else env), "SLURM_TIME_FORMAT": "%s"}
        return call([argv[0], *cluster, *argv[1:]], input=input, timeout=self._timeout, env=around, pardon=pardon)


def _environment(ask: Ask | None) -> dict[str, str]:
    """The environment for sbatch: nothing of the job that this process may run in, and nothing that wins over us."""
    kept = {name: text for name, text in os.environ.items() if not _OWN.match(name)}
    for name in [name for name in kept if name.startswith("SBATCH_")]:
        if name not in _KEPT or (ask is not None and _overrules(name, ask)):
            del kept[name]
    return kept


def _overrules(name: str, ask: Ask) -> bool:
    option = "--" + name.removeprefix("SBATCH_").lower()
    said = {"SBATCH_PARTITION": ask.queue.queue, "SBATCH_ACCOUNT": ask.queue.account}.get(name, "")
    return bool(said) or any(line.strip().startswith(option) for line in ask.queue.directives)
