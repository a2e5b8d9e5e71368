"""The handle of a command job: where it stands, what it gives to other jobs, what it left."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

from daskflow.artifacts.artifact import Artifact
from daskflow.errors import ArgumentsInvalid
from daskflow.execution.commanding.following import follow
from daskflow.execution.commanding.result import CommandResult, Usage, content
from daskflow.execution.launcher import Launcher
from daskflow.graph.drafts import Draft
from daskflow.graph.facts import JobFact
from daskflow.graph.job import Job
from daskflow.graph.part import Part
from daskflow.model.outcome import Known, Outcome, Stored
from daskflow.model.states import JobState


class Handle(Draft):
    """What can be asked of a command job; what needs the job itself plans it."""

    __slots__ = ("_job",)

    launcher: ClassVar[Launcher]
    """Opens the project, and runs for jobs that no flow made; set by the settings."""

    _job: Job | None
    """The job of the graph, once it was planned."""

    def key_text(self) -> str:
        """How it stands in the keys of jobs that use it."""
        return self.as_job().key_text()

    @property
    def key(self) -> str:
        """The name of its result."""
        return self.as_job().key

    @property
    def state(self) -> JobState:
        """Where it stands."""
        return JobState.created if self._job is None else self._job.state

    @property
    def outcome(self) -> Outcome | None:
        """What the latest attempt left; None before the first has ended."""
        return None if self._job is None else self._job.outcome

    @property
    def succeeded(self) -> JobFact:
        """The condition that it has a result."""
        return self.as_job().succeeded

    @property
    def failed(self) -> JobFact:
        """The condition that it failed."""
        return self.as_job().failed

    @property
    def finished(self) -> JobFact:
        """The condition that it has ended, in whatever way."""
        return self.as_job().finished

    @property
    def output(self) -> Part:
        """Its result, whose parts may be passed on: `job.output.files["x.dat"]`."""
        return self.as_job().output

    def file(self, name: str) -> Part:
        """One of its output files or directories, as an input of other jobs; there it is an `Artifact`."""
        part: Part = self.output.files[name]
        return part

    def result(self, timeout: float | None = None, *, raise_on_failure: bool = True) -> Any:
        """Its `CommandResult`; blocks until it is there. See `Job.result`."""
        return self.as_job().result(timeout, raise_on_failure=raise_on_failure)

    def cancel(self) -> None:
        """Stop it; returns when nothing of it is alive any more."""
        self.as_job().cancel()

    def log(self) -> str:
        """What was done: the commands, how they ended, what went wrong."""
        return "" if self._job is None else self._job.log()

    # What it left.

    def _left(self) -> CommandResult:
        """What it left, also where it failed; blocks until it has ended."""
        found = self.result(raise_on_failure=False)
        if isinstance(found, CommandResult):
            return found
        left = getattr(found.__cause__, "left", None)
        if not isinstance(left, Stored):
            raise found from found.__cause__
        result: CommandResult = self.launcher.project().values.load(left)
        return result

    def stdout(self, tail: int | None = None) -> str:
        """What its commands wrote to standard output, also where it failed; blocks until it has ended.

        Parameters
        ----------
        tail
            Give only so many last lines.
        """
        return self._left().stdout(tail)

    def stderr(self, tail: int | None = None) -> str:
        """The same for standard error."""
        return self._left().stderr(tail)

    def follow(self, stream: str = "stdout") -> Iterator[str]:
        """The lines of an output stream as they are written, until the job has ended.

        Parameters
        ----------
        stream
            `stdout` or `stderr`.

        Notes
        -----
        Live where driver and workers share the directory of logs; else all lines come at the end.
        """
        if stream not in ("stdout", "stderr"):
            raise ArgumentsInvalid(f"follow({stream!r}): there are stdout and stderr.")
        out = stream == "stdout"
        return follow(self.as_job(), stream, lambda: content(self._left().out if out else self._left().err))

    def files(self) -> dict[str, Artifact]:
        """Its output files and directories, also where it failed; blocks until it has ended."""
        return self._left().files

    def get_output_file(
        self, name: str, save_as: str | os.PathLike[str] | None = None, *, text: bool = False
    ) -> bytes | str | Path:
        """An output file, read into memory or saved; blocks until the job has ended.

        Parameters
        ----------
        save_as
            Where to save it, a path or a directory that is there; then the path of the saved file is returned.
        text
            Return text, read as UTF-8, in place of bytes.

        Raises
        ------
        OutputMissing
            The job left no such file; the message names those that it left.
        """
        found = self._left().files[name]
        if save_as is not None:
            return found.download(save_as)
        with found.open() as file:
            content = bytes(file.read())
        return content.decode() if text else content

    def get_output_directory(self, name: str, save_as: str | os.PathLike[str]) -> Path:
        """Save an output directory; blocks until the job has ended."""
        return self._left().files[name].download(save_as)

    @property
    def exit_codes(self) -> tuple[int, ...]:
        """What its commands ended with, also where it failed; blocks until it has ended."""
        return self._left().exit_codes

    @property
    def usage(self) -> Usage:
        """What it used of the machine: time, CPU time, memory; blocks until it has ended.

        Of a job that was taken from memory, what it used when it ran.
        """
        job = self.as_job()
        job.result(raise_on_failure=False)
        outcome = job.outcome
        if outcome is not None:
            return Usage(outcome.stop - outcome.start, outcome.cpu, outcome.memory)
        known = job.record
        if not isinstance(known, Known):
            return Usage(0.0, 0.0, 0)
        journal = self.launcher.project().journal
        attempt = journal.attempts(known.run, journal.job(known.run, job.key).number)[-1]
        return Usage(attempt.stop - attempt.start, attempt.cpu, attempt.memory)

    # The dask collection protocol, by the job: https://docs.dask.org/en/stable/custom-collections.html

    __dask_optimize__ = None
    __dask_scheduler__ = staticmethod(Job.__dask_scheduler__)

    def __dask_graph__(self) -> Mapping[str, Any]:
        return self.as_job().__dask_graph__()

    def __dask_keys__(self) -> list[str]:
        return self.as_job().__dask_keys__()

    def __dask_layers__(self) -> tuple[str]:
        return self.as_job().__dask_layers__()

    def __dask_tokenize__(self) -> str:
        return self.as_job().__dask_tokenize__()

    def __dask_postcompute__(self) -> Any:
        return self.as_job().__dask_postcompute__()

    def __dask_postpersist__(self) -> Any:
        return self.as_job().__dask_postpersist__()

    def to_delayed(self) -> Any:
        """The job as a `dask.delayed` object."""
        return self.as_job().to_delayed()
