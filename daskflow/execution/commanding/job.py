"""A command job: programs, the files they get and leave, and a handle to what becomes of them."""

from __future__ import annotations

import html
import itertools
import os
import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

from daskflow.errors import ArgumentsInvalid, ArtifactError, CommandError, NotInTask, UsageError
from daskflow.execution.commanding.blueprint import Blueprint, Extras
from daskflow.execution.commanding.growing import Growing
from daskflow.execution.commanding.handle import Handle
from daskflow.execution.commanding.span import span
from daskflow.execution.commanding.staged import staged
from daskflow.execution.worker.attempt import CURRENT_ATTEMPT
from daskflow.graph.conditions import Condition
from daskflow.graph.host import CURRENT_HOST, CURRENT_SITE, Host
from daskflow.graph.job import Job
from daskflow.model.command import Command

_sealing = threading.RLock()


class CommandJob(Handle):
    """Commands in sequence in one scratch directory, as a job of the graph.

    Parameters
    ----------
    commands
        One or several: a text is a line for the shell, a list of texts a program with its arguments, a `Command` says
        more. One that fails ends the job.
    input_files
        `InputFile`s, or paths of small local files.
    artifacts
        What is staged into the scratch directory: an `Artifact`, a `pathlib.Path` that the workers see, a job or part
        of one that gives one, or what `CommandJob.staged(...)` says more of.
    output_files, output_directories
        Paths or globs (`dump.*`, `**/*.png`) relative to the scratch directory of what is kept, also when a command
        failed. A pattern that nothing matches fails the job.
    parameters
        Values for `{name}` in commands, variables and the texts of input files: numbers, texts, artifacts and paths
        (their names in the scratch directory), and jobs. Of a command job the standard output counts.
    env
        Variables of the environment of all commands. A secret is given as `credentials(NAME)`, whose secret then stands
        neither in keys nor in the journal.
    image
        Container image in which the commands run: `docker://name:tag`, a `.sif` file, a directory or a tarball.
    network
        Whether commands in a container may use the network.
    check
        False: go on after a command that failed; the job succeeds whatever the exit codes, which its result lists.
    when, site
        What must hold before it may start, and where it runs.
    name
        Name in listings; that of the first program by default.
    attended
        Whether whoever has the signing key can have programs run, and files kept, beside its commands while they run.
    **policies
        Those of a task: `timeout`, `retries`, `retry_on`, `backoff`, `jitter`, `resources`, `cache`.

    Raises
    ------
    ArgumentsInvalid
        Something does not fit; the message says what.
    NotInTask
        It is made inside a task.

    Notes
    -----
    The lists may be added to until the job is planned: when its flow, or whoever made it outside of any flow, waits for
    something, or when another job uses it. Remembered like any job, by commands, parameters, the content of all
    inputs, the image and the names of the outputs; not by limits, site, or how often it is tried.

    Examples
    --------
    >>> job = CommandJob(["echo {word} > said.txt"], parameters={"word": "hello"}, output_files=["said.txt"])
    >>> job
    <CommandJob echo created>
    """

    __slots__ = ("_host", "_pattern", "_plan", "_refused", "_site", "_when", "parameters")

    staged = staticmethod(staged)
    span = staticmethod(span)

    def __init__(  # noqa: PLR0913, each says something else of one job
        self,
        commands: str | Command | Sequence[str | Sequence[str] | Command],
        *,
        input_files: Iterable[Any] = (),
        artifacts: Iterable[Any] = (),
        output_files: Iterable[str] = (),
        output_directories: Iterable[str] = (),
        parameters: Mapping[str, Any] | None = None,
        env: Mapping[str, Any] | None = None,
        image: str | os.PathLike[str] | None = None,
        network: bool = False,
        check: bool = True,
        when: Condition | None = None,
        site: str | None = None,
        name: str | None = None,
        attended: bool = False,
        **policies: Any,
    ) -> None:
        if CURRENT_ATTEMPT.get() is not None:
            raise NotInTask("A command job cannot be made inside a task. Make it in a flow, which a task may return.")
        plan = Blueprint(commands, env, Extras(image, network, check, name, attended), policies)
        plan.input_files.extend(_several("input_files", input_files))
        plan.artifacts.extend(_several("artifacts", artifacts))
        plan.output_files.extend(_several("output_files", output_files))
        plan.output_directories.extend(_several("output_directories", output_directories))
        self._begin(plan, dict(parameters or {}), when, site or CURRENT_SITE.get())

    def _begin(self, plan: Blueprint, parameters: dict[str, Any], when: Condition | None, site: str | None) -> None:
        self._plan = plan
        self.parameters = parameters
        """Values for `{name}` in commands, variables and input files."""
        self._when = when
        self._site = site
        self._host: Host | None = CURRENT_HOST.get()
        self._job: Job | None = None
        self._pattern = self._refused = False
        if self._host is not None:
            self._host.draft(self)

    # What it is made of.

    @property
    def commands(self) -> Growing:
        """Its commands."""
        return self._plan.commands

    @property
    def input_files(self) -> Growing:
        """Its input files."""
        return self._plan.input_files

    @property
    def artifacts(self) -> Growing:
        """What is staged."""
        return self._plan.artifacts

    @property
    def output_files(self) -> Growing:
        """Paths and globs of the files that are kept."""
        return self._plan.output_files

    @property
    def output_directories(self) -> Growing:
        """Paths and globs of the directories that are kept."""
        return self._plan.output_directories

    # As a job; what can be asked of it stands in `Handle`.

    def as_job(self) -> Job:
        """The job of the graph; from now on nothing can be added.

        Raises
        ------
        UsageError
            It is the pattern of a sweep.
        ArgumentsInvalid
            Something of it does not fit.
        FileMissing
            A path leads to no file.
        ArtifactMissing
            There is no artifact of a name.
        """
        with _sealing:
            if self._job is None:
                try:
                    self._job = self._made()
                except (UsageError, ArtifactError, CommandError) as error:
                    # Whoever asked knows it now: the run does not say it once more.
                    self._refused = True
                    raise type(error)(f"CommandJob {self.name}: {error}") from None
            return self._job

    def _made(self) -> Job:
        if self._pattern:
            raise UsageError(f"{self!r} is the pattern of a sweep, and does not run itself: use the jobs of the sweep.")
        project = self.launcher.project()
        sealed = self._plan.seal(project, self.launcher, "the job was planned")
        site = self._site or self._plan.policy.site or getattr(self._host, "site", None) or project.default_site
        token = CURRENT_HOST.set(self._host)
        try:
            return sealed.task(site).again(sealed.arguments(self.parameters), self._site, self._when)
        finally:
            CURRENT_HOST.reset(token)

    def seal(self) -> None:
        """The run needs it now."""
        if not self._pattern and not self._refused:
            self.as_job()

    @property
    def name(self) -> str:
        """Its name in listings."""
        return self._plan.policy.name

    # Sweeps.

    def map(self, **varied: Iterable[Any]) -> list[Self]:
        """One job for each item; several parameters are taken side by side. This job itself does not run then.

        Raises
        ------
        ArgumentsInvalid
            They are of unequal length.

        Examples
        --------
        >>> jobs = CommandJob("echo {x}").map(x=[1, 2, 3])
        >>> [job.parameters["x"] for job in jobs]
        [1, 2, 3]
        """
        columns = _columns(varied)
        lengths = {name: len(column) for name, column in columns.items()}
        if len(set(lengths.values())) > 1:
            raise ArgumentsInvalid(f"The parameters of a sweep are of unequal length: {lengths}.")
        return self._swept([dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)])

    zip = map

    def product(self, **varied: Iterable[Any]) -> list[Self]:
        """One job for each combination of the parameters, the last varying fastest. This job itself does not run then.

        Examples
        --------
        >>> len(CommandJob("echo {x} {t}").product(x=[1, 2], t=CommandJob.span(0, 0.3, 0.1)))
        8
        """
        columns = _columns(varied)
        return self._swept([dict(zip(columns, row, strict=True)) for row in itertools.product(*columns.values())])

    def repeat(self, count: int) -> list[Self]:
        """The same job several times; `{repeat}` counts them from 1. This job itself does not run then."""
        return self._swept([{"repeat": number} for number in range(1, count + 1)])

    def _swept(self, rows: list[dict[str, Any]]) -> list[Self]:
        if self._job is not None:
            raise UsageError(f"{self!r} was planned already, so it cannot be the pattern of a sweep. Make another one.")
        self._pattern = True
        self._plan.close("it is the pattern of a sweep, whose jobs share it; add to it before")
        return [self._with(row) for row in rows]

    def _with(self, row: Mapping[str, Any]) -> Self:
        made = object.__new__(type(self))
        made._begin(self._plan, {**self.parameters, **row}, self._when, self._site)
        return made

    def __repr__(self) -> str:
        what = self.name if self._job is None else self._job.key
        return f"<CommandJob {what} {'pattern of a sweep' if self._pattern else self.state}>"

    def _repr_html_(self) -> str:
        lines = [command.text if isinstance(command, Command) else str(command) for command in self.commands]
        return f"{html.escape(repr(self))}<pre>{html.escape(chr(10).join(lines))}</pre>"


def _several(name: str, items: Any) -> Iterable[Any]:
    if isinstance(items, (str, os.PathLike)):
        raise ArgumentsInvalid(f"{name}={items!r} of a command job: give a list.")
    return items  # type: ignore[no-any-return]  # whatever the user gave; its items are looked at one by one


def _columns(varied: Mapping[str, Iterable[Any]]) -> dict[str, list[Any]]:
    for name, values in varied.items():
        if isinstance(values, (str, bytes)):
            raise ArgumentsInvalid(f"The parameter {name}={values!r} of a sweep is one value: give a list of values.")
    return {name: list(values) for name, values in varied.items()}
