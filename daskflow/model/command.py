"""Commands and the files that they get: what a command job is made of, before anything runs."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from daskflow.errors import ArgumentsInvalid, FileMissing
from daskflow.model.mistakes import meant, mistakes_in
from daskflow.model.quantities import Seconds


class Command(BaseModel):
    """One command of a command job.

    Parameters
    ----------
    command
        A text is a line for the shell (`/bin/sh`); a list is a program and its arguments, which no shell sees.
    **options
        The other fields.

    Raises
    ------
    ArgumentsInvalid
        An option is unknown or does not fit.

    Notes
    -----
    `{name}` in a line, an argument, a value of `env`, `workdir` or `stdin` stands for the parameter of that name, and
    `{name:.3f}` for its text in that format; in lines the text is quoted, so that it is one word for the shell.
    `{name[item]}` is an item of it. Only what looks like this is touched: `${name}`, `{print $1}` and `{a,b}` are left
    as they are, and `{{name}}` gives `{name}`. Where the job has no parameters, all is left.

    Examples
    --------
    >>> Command("grep -c Loop log.lammps").line
    'grep -c Loop log.lammps'
    >>> Command(["lmp", "-in", "melt.in"], env={"OMP_NUM_THREADS": "1"}).argv
    ('lmp', '-in', 'melt.in')
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    line: str | None = None
    """Line for the shell; None where `argv` is given."""
    argv: tuple[str, ...] = ()
    """The program and its arguments."""
    env: dict[str, str] = Field(default_factory=dict)
    """Variables of the environment, beside those of the worker and of the job."""
    workdir: str = ""
    """Where it runs, relative to the scratch directory; made where it is not there."""
    stdin: str | bytes | None = None
    """What it reads from its standard input; None: nothing."""
    timeout: Seconds | None = Field(default=None, gt=0)
    """After this time it is killed, and counts as failed [s]."""
    retries: int = Field(default=0, ge=0)
    """How often it is started again in the same scratch directory after it failed."""
    sidecar: bool = False
    """Whether it runs beside the others: started first, and killed when the last of them has ended."""
    image: str | None = None
    """Container image in which it runs, in place of that of the job; empty: on the node itself."""
    mounts: dict[str, str] = Field(default_factory=dict)
    """Files and directories of the scratch directory that its container shows elsewhere too: absolute paths there, and
    of each the path in the scratch directory."""

    def __init__(self, command: str | Sequence[str | os.PathLike[str]], /, **options: Any) -> None:
        given = (
            {"line": command} if isinstance(command, str) else {"argv": tuple([os.fspath(part) for part in command])}
        )
        try:
            super().__init__(**given, **options)
        except ValidationError as error:
            raise ArgumentsInvalid(f"Command({command!r:.100}): {_problem(error, Command, given | options)}") from None
        if not (self.line or "").strip() and not (self.argv and self.argv[0]):
            raise ArgumentsInvalid(f"Command({command!r}) is empty: give a line for the shell, or a list.")

    def __reduce__(self) -> Any:
        return _command, (dict(self),)

    @property
    def text(self) -> str:
        """The command as people write it."""
        return self.line if self.line is not None else shlex.join(self.argv)


class InputFile(BaseModel):
    """A file that a command job finds in its scratch directory.

    Parameters
    ----------
    name
        Its path there.
    content
        Text (kept as UTF-8) or bytes; None: those of the local file `path`, read now.
    path
        The local file; by default the one called `name`, whose last part alone is then the name.
    executable
        Whether the commands may execute it.

    Raises
    ------
    FileMissing
        There is no such local file.
    ArgumentsInvalid
        Content and path are both given, or an option does not fit.

    Notes
    -----
    `{name}` in a text stands for the parameter of that name, as in commands, but unquoted; what looks like one and is
    none is left as it is. Bytes are never changed. Large files are better uploaded once as an `Artifact`.

    Examples
    --------
    >>> InputFile("melt.in", "run {nsteps}").content
    'run {nsteps}'
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    name: str = Field(min_length=1)
    """Path in the scratch directory."""
    content: str | bytes
    """Text or bytes."""
    executable: bool = False
    """Whether the commands may execute it."""

    def __init__(
        self,
        name: str,
        content: str | bytes | None = None,
        *,
        path: str | os.PathLike[str] | None = None,
        executable: bool = False,
    ) -> None:
        if content is not None and path is not None:
            raise ArgumentsInvalid(f"InputFile({name!r}) has both a content and a path: give one of them.")
        if content is None:
            content = _read(Path(path if path is not None else name))
            name = name if path is not None else PurePosixPath(name).name
        given = {"name": name, "content": content, "executable": executable}
        try:
            super().__init__(**given)
        except ValidationError as error:
            raise ArgumentsInvalid(f"InputFile({name!r:.100}): {_problem(error, InputFile, given)}") from None

    def __reduce__(self) -> Any:
        return _input_file, (self.name, self.content, self.executable)


def _command(fields: Mapping[str, Any]) -> Command:
    return Command.model_construct(**fields)


def _input_file(name: str, content: str | bytes, executable: bool) -> InputFile:
    return InputFile.model_construct(name=name, content=content, executable=executable)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise FileMissing(f"The input file {path} cannot be read: {error.strerror}. Check the path.") from None


def _problem(error: ValidationError, kind: type[BaseModel], given: Mapping[str, Any]) -> str:
    first = mistakes_in(error, given)[0]
    return f"{first.where}: is no option; {meant(kind, first.place)}" if first.strange else str(first)
