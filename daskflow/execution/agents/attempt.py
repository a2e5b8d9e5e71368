"""Makes one attempt at a work in a process of its own, which can be killed with all that it has started."""

from __future__ import annotations

import logging
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from daskflow.commands.guard import GUARD
from daskflow.commands.scratch import Scratch, sweep
from daskflow.errors import CommandError, FunctionRefused, JobTimeout, SignatureWrong, WorkerLost, WorkInvalid
from daskflow.execution.agents.calling import perform_function
from daskflow.execution.agents.commanding import perform_command
from daskflow.execution.agents.functions import check_name, check_owner, find
from daskflow.execution.agents.outcome import Outcome, Unfit
from daskflow.execution.agents.terms import Terms
from daskflow.execution.bucketing.parcel import PERFORM
from daskflow.execution.served import reach
from daskflow.execution.worker.failures import describe
from daskflow.execution.worker.isolation import FailedInChild, call_apart
from daskflow.execution.worker.package import Attempts
from daskflow.model.work import LOG_LIMIT, Work, WorkStatus
from daskflow.stores.buckets.shelf import Shelf
from daskflow.stores.liveness import this_host

LOG = "log.txt"
_LABEL = "daskflow-work"
_swept: set[str] = set()
_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class Attempt:
    """One attempt at a work.

    Parameters
    ----------
    work
        As it was withdrawn.
    terms
        Those of the agent.
    function
        What performs it whatever the work names; None: that of its name is found in the attempt's own process.
    shelf
        Where the work comes from; None: nobody has to know.

    Notes
    -----
    A context: within it the attempt has a directory of its own. Directories of agents that were killed are removed when
    this process makes its first attempt.
    """

    def __init__(self, work: Work, terms: Terms, function: Any = None, shelf: Shelf | None = None) -> None:
        self.work = work
        self._shelf = shelf
        self._terms = terms
        self._function = function
        self.refused = False
        """Whether the agent may not perform the work; such an attempt does not count."""

    def __enter__(self) -> Attempt:
        root = tempfile.gettempdir()
        if root not in _swept:
            _swept.add(root)
            sweep(root)
        try:
            self._room = Scratch(root, _LABEL)
        except CommandError as error:
            # What it says helps with the scratch directories of command jobs; this one is where `TMPDIR` says.
            raise error.__cause__ if isinstance(error.__cause__, OSError) else OSError(str(error)) from None
        self.scratch = self._room.work
        """Where the attempt may leave what goes with it."""
        return self

    def __exit__(self, *_: object) -> None:
        self._room.close()

    @property
    def log(self) -> Path:
        """File of all that it printed and logged."""
        return self.scratch / LOG

    def make(self) -> None:
        """Perform the work, and write what came out into it.

        Raises
        ------
        Killed
            The attempt was killed through its grip; nothing of it is alive any more.
        OSError
            It could not be begun here: there are no more processes, no memory. The work is not to blame.
        """
        began = time.monotonic()
        with GUARD.guarding(self.scratch):
            outcome = self._outcome()
        # On the clock of the store, which may be another one than that of this machine.
        self.work.stop = (self.work.start or time.time()) + time.monotonic() - began
        try:
            self._note(outcome)
        except WorkInvalid as error:
            self._note(Outcome(error=f"What came out cannot be kept: {error}", final=True))

    def _outcome(self) -> Outcome:
        try:
            outcome: Outcome = call_apart(self, [], Attempts(timeout=float(self.work.timeout)))
        except JobTimeout:
            return Outcome(error=f"The work took longer than its timeout of {self.work.timeout} s, and was killed.")
        except FailedInChild as error:
            return Outcome(error=error.failure.traceback)
        except ChildProcessError as error:
            return Outcome(error=f"{WorkerLost.__name__}: The attempt ended without a result: {error}")
        return outcome

    def _note(self, outcome: Outcome) -> None:
        work = self.work
        for name, value in (outcome.changes or {}).items():
            setattr(work, name, value)
        work.results, work.products, work.plots = outcome.results, outcome.products, outcome.plots
        work.error, work.final = outcome.error, outcome.final
        self.refused = outcome.refused
        work.given_back += outcome.refused
        work.status = WorkStatus.success if outcome.error is None else WorkStatus.failure
        work.log = self._end_of_log()
        work.host = this_host()

    def _end_of_log(self) -> str | None:
        try:
            with open(self.log, "rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(0, size - LOG_LIMIT))
                text = file.read().decode(errors="replace")
        except OSError:
            return None
        return (f"...{text[3:]}" if size > LOG_LIMIT else text) or None

    def call(self, _: list[Any]) -> Outcome:
        """What the forked process does."""
        self._listen()
        reach(self._shelf)
        os.environ.update(
            DASKFLOW_SCRATCH_DIR=str(self.scratch),
            DASKFLOW_JOB=self.work.id or "",
            DASKFLOW_ATTEMPT=str(self.work.attempt),
        )
        try:
            return self._performed()
        except FunctionRefused as error:
            return Outcome(error=str(error), refused=True)
        except Unfit as error:
            return Outcome(error=str(error), final=True)
        except BaseException as error:
            if isinstance(error, SignatureWrong) and self._is_job():
                # Nothing of it was loaded; another agent may have the key.
                return Outcome(error=str(error), refused=True)
            told = describe(error)
            return Outcome(error=f"{told.type}: {told.message}\n\n{told.traceback}")
        finally:
            logging.shutdown()
            sys.stdout.flush()
            sys.stderr.flush()

    def _is_job(self) -> bool:
        """Whether it is the job of a flow: what performs these raises nothing of what the job does."""
        return self._function is None and not self._terms.command and self.work.function == PERFORM

    def _listen(self) -> None:
        """All that this process and what it starts print goes to the log."""
        log = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.dup2(log, 1)
        os.dup2(log, 2)
        sys.stdin = _stream(0, "r")
        sys.stdout, sys.stderr = _stream(1, "w"), _stream(2, "w")
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter(_FORMAT))
        logging.root.handlers[:] = [handler]

    def _performed(self) -> Outcome:
        work, terms = self.work, self._terms
        if self._function is not None:
            return perform_function(self._function, work, terms.argsource)
        if terms.command:
            return perform_command(terms.command, work)
        if work.function:
            check_name(work.function, terms.allowed)
            function = find(work.function)
            check_owner(work.function, function, terms.allowed)
            return perform_function(function, work, terms.argsource)
        if work.command:
            if not terms.allowed.command(work.command):
                raise FunctionRefused(_refusal(work.command))
            return perform_command(work.command, work)
        raise Unfit("The work names neither a function nor a command, and its agent was given none.")


def _refusal(command: list[str]) -> str:
    if len(command) == 1:
        return (
            f"This agent may not start {command[0]!r}, which the work names. It is a line for the shell, which needs "
            "`*` under `works: commands:` in daskflow.yaml. Or deposit it as a list, which no shell sees: --command "
            "echo --command hello."
        )
    return (
        f"This agent may not start {command[0]!r}, which the work names. Allow it under `works: commands:` in "
        "daskflow.yaml, or name a command when the agent is started."
    )


def _stream(descriptor: int, mode: str) -> Any:
    return open(descriptor, mode, buffering=1, errors="backslashreplace", closefd=False)
