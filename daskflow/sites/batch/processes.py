"""The batch system of a machine that has none: jobs are processes that outlive the one which submitted them."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from daskflow.errors import BatchMissing, BatchRefused, BatchSilent
from daskflow.sites.batch.jobfolder import End, JobFolder, Keeper, Kept
from daskflow.sites.batch.scripts import joined, plain_name
from daskflow.sites.batch.system import Ask, Certificate, Limits, Phase, Standing, log_of

_START = 60.0
"""A keeper that has not begun in this time never will [s]."""
_KEEPER = "import sys; sys.path.insert(0, sys.argv.pop()); from daskflow.sites.batch.keeper import main; main()"
_ERRORS = {
    "COMPLETED": "",
    "TIMEOUT": "WalltimeExceeded",
    "OUT_OF_MEMORY": "OutOfMemory",
    "CANCELLED": "Cancelled",
    "REBOOTED": "NodeFailure",
}


class Processes:
    """Batch jobs as processes of this machine.

    Each job has a keeper, a small process that starts its script, enforces walltime and memory, kills all that the
    script leaves behind, and writes down how it ended.

    Parameters
    ----------
    home
        Directory for a folder of each job.

    Notes
    -----
    Jobs start at once: nothing waits for free cores. Any process of the user that knows the directory can ask for the
    jobs and cancel them. After a start of the machine the jobs from before are told as lost with it.
    """

    name = "local"
    commands: tuple[str, ...] = ("bash",)
    own_id = "$DASKFLOW_BATCH_ID"
    own_node = "$(hostname)"
    launch = "mpirun"

    def __init__(self, home: str) -> None:
        self._home = Path(home).absolute()

    def __eq__(self, other: object) -> bool:
        """Whether both look after the same jobs."""
        return isinstance(other, Processes) and self._home == other._home

    def __hash__(self) -> int:
        return hash(self._home)

    def script(self, ask: Ask, body: Sequence[str]) -> str:
        """The job script: its head, and lines of shell."""
        return joined([f"# {plain_name(ask.name)}"], body)

    def submit(self, script: str, ask: Ask) -> list[str]:
        """Start `ask.count` jobs; their ids."""
        if ask.nodes > 1:
            raise BatchRefused(f"The batch job {ask.name!r} asks for {ask.nodes} nodes. This machine is one node.")
        self.alive()
        # Digits first, as with other systems: what tells the jobs of an array apart comes after them.
        first = str(10**9 + secrets.randbelow(9 * 10**9))
        ids = [first] if ask.count == 1 else [f"{first}_{index}" for index in range(ask.count)]
        started = [(id, self._start(id, script, ask)) for id in ids]
        for id, launcher in started:
            self._see_started(id, launcher)
        return ids

    def _start(self, id: str, script: str, ask: Ask) -> subprocess.Popen[bytes]:
        folder = self._folder(id)
        log = str(Path(log_of(ask, id)).absolute())
        kept = Kept(ask.name, log, os.getcwd(), ask.memory, ask.walltime, ask.warn or 0.0, time.time())
        try:
            folder.make(script, kept)
            Path(log).parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BatchRefused(f"The batch job {ask.name!r} cannot be written to {folder.path}: {error}.") from error
        with open(folder.complaints, "wb") as complaints:
            return subprocess.Popen(
                # The daskflow that runs here, wherever it was found, and nothing from the working directory.
                [sys.executable, "-P", "-c", _KEEPER, str(folder.path), str(Path(__file__).parents[3])],
                stdin=subprocess.DEVNULL,
                stdout=complaints,
                stderr=complaints,
                start_new_session=True,
                env={**os.environ, "DASKFLOW_BATCH_ID": id, folder.MARK: str(folder.path)},
            )

    def _see_started(self, id: str, launcher: subprocess.Popen[bytes]) -> None:
        """Wait until the keeper runs on its own, so that nothing of it is a child of this process."""
        folder = self._folder(id)
        try:
            launcher.wait(_START)
        except subprocess.TimeoutExpired:
            launcher.kill()
            launcher.wait()
        if folder.keeper() is None:
            # Should it begin after all, it ends at once: the job may have been submitted again.
            folder.ask_to_stop()
            said = folder.complaints.read_text(errors="replace").strip()[-1000:]
            raise BatchSilent(f"The keeper of the batch job {id} did not start: {said or 'it said nothing'}.")

    def standings(self, ids: Iterable[str]) -> Mapping[str, Standing]:
        """How jobs stand."""
        found = ((id, self._standing(id)) for id in ids)
        return {id: standing for id, standing in found if standing is not None}

    def _standing(self, id: str) -> Standing | None:
        folder = self._folder(id)
        kept = folder.kept()
        if kept is None:
            return None
        keeper, end = self._look(folder)
        if end is not None:
            node = keeper.node if keeper else ""
            return Standing(id, Phase.ended, end.state, end.reason, node, kept.name, end.start, end.stop)
        if keeper is None:
            return Standing(id, Phase.pending, "PENDING", name=kept.name)
        return Standing(
            id, Phase.running, "RUNNING", "", keeper.node, kept.name, keeper.start, keeper.start + kept.walltime
        )

    def _look(self, folder: JobFolder) -> tuple[Keeper | None, End | None]:
        """The keeper of a job, and how the job ended; of a keeper that is gone without a word the job ends here."""
        keeper, end = folder.keeper(), folder.end()
        if keeper is None and end is None:
            kept = folder.kept()
            if kept is not None and time.time() - kept.submitted > 2 * _START:
                # Who submitted it was killed meanwhile.
                end = End("LOST", "it never began", kept.submitted, time.time())
        if end is not None or keeper is None or keeper.node != socket.gethostname() or keeper.alive():
            return keeper, end
        # It may have written its last word between both looks.
        end = folder.end()
        if end is None:
            state, reason = ("LOST", "its keeper was killed")
            if keeper.rebooted():
                state, reason = ("REBOOTED", "the machine was started anew")
            else:
                folder.kill_left()
            end = End(state, reason, keeper.start, time.time())
            folder.close(end)
        return keeper, end

    def certificates(self, ids: Iterable[str]) -> Mapping[str, Certificate]:
        """How jobs ended."""
        found = {}
        for id in ids:
            keeper, end = self._look(self._folder(id))
            if end is not None:
                found[id] = Certificate(
                    id,
                    _ERRORS.get(end.state, "WorkerLost"),
                    end.state,
                    end.exit_code,
                    end.signal,
                    keeper.node if keeper else "",
                    end.start,
                    end.stop,
                    end.memory,
                    end.reason,
                )
        return found

    def cancel(self, ids: Iterable[str]) -> None:
        """Have jobs killed, with all their processes; returns before they are gone."""
        for id in ids:
            folder = self._folder(id)
            if folder.kept() is None or folder.end() is not None:
                continue
            with suppress(OSError):
                folder.ask_to_stop()
            keeper, _ = self._look(folder)
            if keeper is not None and keeper.node == socket.gethostname():
                keeper.wake()

    def forget(self, ids: Iterable[str]) -> None:
        """Remove the folders of jobs that ended."""
        for id in ids:
            folder = self._folder(id)
            if folder.end() is not None:
                shutil.rmtree(folder.path, ignore_errors=True)

    def limits(self) -> Sequence[Limits]:
        """This machine."""
        pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        return [Limits("", None, 1, os.cpu_count(), pages, default=True)]

    def alive(self) -> None:
        """See whether scripts can be started."""
        if shutil.which("bash") is None:
            raise BatchMissing("There is no program 'bash' here, which performs job scripts. Install it.")

    def rehearse(self, script: str) -> None:
        """Any script can be started."""
        self.alive()

    def _folder(self, id: str) -> JobFolder:
        return JobFolder(self._home / Path(id).name)
