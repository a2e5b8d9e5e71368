"""The nodes of the batch job that this process runs in, as a batch system: each batch job is a step of it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from daskflow.errors import BatchMissing, BatchRefused
from daskflow.sites.batch.calls import call
from daskflow.sites.batch.scripts import joined, mebibytes, plain_name
from daskflow.sites.batch.system import Ask, Certificate, Limits, Phase, Standing, log_of

_SCALES = {"K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
_OWN = "ALLOCATION_STEP"
"""The variable that tells a step its id."""
_CLOSING = 30.0
"""A step that does not end in this time after it was told to is killed [s]."""


class Ground(NamedTuple):
    """What this process has of a batch system."""

    job: str
    """Id of its batch job."""
    nodes: int
    cores: int
    """Of each node; of the smallest, where they differ."""
    memory: int | None
    """Of each node [bytes]; None: the batch system does not share memory out."""
    ends: float | None
    """When its walltime is over; seconds since the epoch [s]. None: nobody knows."""


def ground(variables: Mapping[str, str] = os.environ) -> Ground | None:
    """What this process has of Slurm; None where it runs in no job of Slurm.

    References
    ----------
    https://slurm.schedmd.com/sbatch.html#SECTION_OUTPUT-ENVIRONMENT-VARIABLES
    """
    job = variables.get("SLURM_JOB_ID", "")
    if not job:
        return None
    # `4(x2),2`: two nodes of 4, one of 2.
    shares = re.findall(r"(\d+)(?:\(x\d+\))?", variables.get("SLURM_JOB_CPUS_PER_NODE", ""))
    cores = min((int(share) for share in shares), default=1)
    memory = int(variables.get("SLURM_MEM_PER_NODE") or 0)
    each = int(variables.get("SLURM_MEM_PER_CPU") or 0)
    ends = variables.get("SLURM_JOB_END_TIME", "")
    return Ground(
        job,
        int(variables.get("SLURM_JOB_NUM_NODES") or variables.get("SLURM_NNODES") or 1),
        cores,
        (memory or each * cores) << 20 or None,
        float(ends) if ends.isdigit() else None,
    )


def completed(found: Ground) -> Ground:
    """With what older versions of Slurm do not tell in variables: Slurm is asked, once.

    Raises
    ------
    BatchError
        It does not answer.
    """
    if found.ends is not None and found.memory is not None:
        return found
    text = call(["scontrol", "--oneliner", "show", "job", found.job], env={**os.environ, "SLURM_TIME_FORMAT": "%s"})
    ends = re.search(r"EndTime=(\d+)", text)
    memory = re.search(r"MinMemory(Node|CPU)=(\d+)([KMGT])", text)
    size = None
    if memory:
        size = int(memory[2]) * _SCALES[memory[3]] * (found.cores if memory[1] == "CPU" else 1)
    return found._replace(
        ends=found.ends if found.ends is not None else float(ends[1]) if ends else None,
        memory=found.memory if found.memory is not None else size,
    )


class _Step(NamedTuple):
    process: subprocess.Popen[bytes]
    ask: Ask
    since: float
    script: Path


class Steps:
    """Batch jobs as steps of the job of Slurm that this process runs in, each on one node.

    Notes
    -----
    Steps end with this process, and with its batch job. Slurm gives each what it asks for, and lets one wait for which
    nothing is free.
    """

    name = "allocation"
    commands: tuple[str, ...] = ("srun", "scontrol")
    own_id = f"${_OWN}"
    own_node = "${SLURMD_NODENAME:-$(hostname)}"
    launch = "mpirun"

    def __init__(self) -> None:
        self._steps: dict[str, _Step] = {}
        self._ended: dict[str, float] = {}
        self._cancelled: set[str] = set()
        self._lock = threading.Lock()
        self._count = 0

    def script(self, ask: Ask, body: Sequence[str]) -> str:
        """The job script: its head, and lines of shell."""
        return joined([f"# {plain_name(ask.name)}"], body)

    def submit(self, script: str, ask: Ask) -> list[str]:
        """Start `ask.count` steps; their ids."""
        self.alive()
        with self._lock:
            self._count += 1
            # Digits alone, as with other systems: what tells the jobs of an array apart comes after them.
            first = f"{os.environ['SLURM_JOB_ID']}{self._count:03d}"
        ids = [first] if ask.count == 1 else [f"{first}_{index}" for index in range(ask.count)]
        for id in ids:
            step = self._start(id, script, ask)
            with self._lock:
                self._steps[id] = step
        return ids

    def _start(self, id: str, script: str, ask: Ask) -> _Step:
        place = Path(log_of(ask, id))
        place.parent.mkdir(parents=True, exist_ok=True)
        # Beside the log, which is where the nodes see it.
        descriptor, name = tempfile.mkstemp(prefix=".step-", suffix=".sh", dir=place.parent)
        with os.fdopen(descriptor, "w") as file:
            file.write(script)
        with place.open("ab") as log:
            process = subprocess.Popen(
                [*_srun(ask), "bash", name],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={**os.environ, _OWN: id},
            )
        return _Step(process, ask, time.time(), Path(name))

    def _poll(self, id: str, step: _Step) -> int | None:
        code = step.process.poll()
        if code is not None and id not in self._ended:
            self._ended[id] = time.time()
            step.script.unlink(missing_ok=True)
        return code

    def standings(self, ids: Iterable[str]) -> Mapping[str, Standing]:
        """How steps stand: one that waits for room counts as running."""
        found = {}
        with self._lock:
            for id in set(ids) & self._steps.keys():
                step = self._steps[id]
                code = self._poll(id, step)
                phase, state = (Phase.running, "RUNNING") if code is None else (Phase.ended, _state(code))
                found[id] = Standing(id, phase, state, name=step.ask.name, start=step.since, end=self._ended.get(id))
        return found

    def certificates(self, ids: Iterable[str]) -> Mapping[str, Certificate]:
        """How steps ended, as far as their exit codes tell it."""
        found = {}
        with self._lock:
            for id in set(ids) & self._steps.keys():
                step = self._steps[id]
                code = self._poll(id, step)
                if code is None:
                    continue
                error = "" if code == 0 else "Cancelled" if id in self._cancelled else "WorkerLost"
                number = -code if code < 0 else code - 128 if code > 128 else None
                found[id] = Certificate(
                    id, error, _state(code), max(code, 0), number, start=step.since, stop=self._ended[id]
                )
        return found

    def cancel(self, ids: Iterable[str]) -> None:
        """End steps: srun hands the signal on to their nodes."""
        with self._lock:
            some = [(id, self._steps[id]) for id in set(ids) & self._steps.keys()]
            self._cancelled.update(id for id, step in some if step.process.poll() is None)
        for _, step in some:
            if step.process.poll() is None:
                step.process.terminate()
        deadline = time.monotonic() + _CLOSING
        for _, step in some:
            try:
                step.process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                step.process.kill()

    def limits(self) -> Sequence[Limits]:
        """The nodes of the batch job, as one queue."""
        found = ground()
        if found is None:
            return []
        left = None if found.ends is None else max(0.0, found.ends - time.time())
        return [Limits("", left, found.nodes, found.cores, found.memory, default=True)]

    def alive(self) -> None:
        """See whether there is a batch job around this process, and srun.

        Raises
        ------
        BatchRefused
            There is none.
        BatchMissing
            srun is not installed.
        """
        if ground() is None:
            raise BatchRefused(
                "This process runs in no job of Slurm. Start it by `sbatch` or `salloc` with the nodes that it needs, "
                "or use a site of the kind `slurm`."
            )
        if shutil.which("srun") is None:
            raise BatchMissing("srun is not installed here: a site of the kind `allocation` starts its workers by it.")

    def rehearse(self, script: str) -> None:
        """Nothing: what there is was given already."""


def _srun(ask: Ask) -> list[str]:
    gpus = [f"--gres=gpu:{ask.gpus}"] if ask.gpus else []
    avoid = [f"--exclude={','.join(ask.avoid)}"] if ask.avoid else []
    return [
        "srun",
        "--nodes=1",
        "--ntasks=1",
        # Whoever started the driver may have said something else of these to Slurm.
        f"--cpus-per-task={ask.cores}",
        f"--mem={mebibytes(ask.memory)}M",
        # No two steps get the same cores; the driver itself is no step.
        "--exact",
        f"--job-name={plain_name(ask.name)}",
        "--input=none",
        "--unbuffered",
        "--mpi=none",
        "--kill-on-bad-exit=1",
        *gpus,
        *avoid,
    ]


def _state(code: int) -> str:
    return "COMPLETED" if code == 0 else "FAILED"
