"""What a command job is made of; all jobs of a sweep share one."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from pydantic import ValidationError

from daskflow.artifacts.artifact import Artifact
from daskflow.artifacts.contents.digests import digest_bytes
from daskflow.artifacts.names import Named
from daskflow.artifacts.store import ObjectStore
from daskflow.commands.checking import check_order
from daskflow.commands.containers.images import Image, image_digest
from daskflow.commands.order import Order
from daskflow.commands.scratch import checked_name
from daskflow.commands.templates import check, names_in
from daskflow.errors import ArgumentsInvalid
from daskflow.execution.commanding.fixed import Fixed
from daskflow.execution.commanding.growing import Growing
from daskflow.execution.commanding.performer import Outputs, Performer
from daskflow.execution.commanding.staged import Staged, all_staged
from daskflow.execution.credentials import Credentials
from daskflow.execution.project import Project
from daskflow.graph.host import Launcher
from daskflow.graph.task import Task
from daskflow.model.command import Command, InputFile
from daskflow.model.mistakes import meant, mistakes_in
from daskflow.model.policy import Policy

_LARGE = 1 << 16
"""Input files over this size [bytes] go through the artifact store, once for all jobs that have them."""
_SHOWN = 200


class Extras(NamedTuple):
    """What else may be said of a command job."""

    image: str | os.PathLike[str] | None = None
    network: bool = False
    check: bool = True
    name: str | None = None
    attended: bool = False


class Blueprint:
    """What one command job, or all jobs of one sweep, are made of.

    Parameters
    ----------
    commands
        One or several; a text is a line for the shell, a list an argument vector.
    policies
        Those of `Policy` that were given.

    Raises
    ------
    ArgumentsInvalid
        Something does not fit; the message says what.
    """

    def __init__(
        self, commands: Any, env: Mapping[str, Any] | None, extras: Extras, policies: Mapping[str, Any]
    ) -> None:
        given = [commands] if isinstance(commands, (str, Command)) else commands
        self.commands = Growing("commands", given)
        self.input_files = Growing("input_files")
        self.artifacts = Growing("artifacts")
        self.output_files = Growing("output_files")
        self.output_directories = Growing("output_directories")
        self.secrets = {name: value for name, value in (env or {}).items() if isinstance(value, Credentials)}
        plain = {name: value for name, value in (env or {}).items() if name not in self.secrets}
        self.env = {name: _variable(name, value) for name, value in plain.items()}
        self.extras = extras
        self.policy = _policy(extras.name or _name_of(self.commands), policies)
        self._sealed: Sealed | None = None

    def seal(self, project: Project, launcher: Launcher, why: str) -> Sealed:
        """Nothing can be added from now on."""
        if self._sealed is None:
            self._sealed = Sealed(self, project, launcher)
            self.close(why)
        return self._sealed

    def close(self, why: str) -> None:
        """Nothing can be added to the lists from now on."""
        for items in self._lists():
            items.close(why)

    def _lists(self) -> Sequence[Growing]:
        return self.commands, self.input_files, self.artifacts, self.output_files, self.output_directories


class Sealed:
    """A blueprint that nobody changes any more, in the form of which jobs are made."""

    def __init__(self, plan: Blueprint, project: Project, launcher: Launcher) -> None:
        self._project, self._launcher, self._policy = project, launcher, plan.policy
        commands = [_placed(_with_env(command, plan.env), plan.extras) for command in plan.commands]
        self._commands = commands
        self.artifacts = all_staged(plan.artifacts)
        given, outputs = _input_files(plan.input_files), _outputs(plan)
        check_order(Order(tuple(commands), tuple(given), files=outputs.value.files, folders=outputs.value.directories))
        for item in self.artifacts:
            checked_name(item.path or "its-own")
        files = [_kept(file, project, self.artifacts) for file in given]
        self._fixed = (
            Fixed((tuple(commands), plan.secrets), _capped(_commands_text(commands, plan, project))),
            Fixed(tuple([file for file in files if file is not None]), _capped(_files_text(files))),
            outputs,
            _image(plan.extras, project),
        )
        self._attended = plan.extras.attended
        self._tasks: dict[str, Task[Any, Any]] = {}

    def arguments(self, parameters: Mapping[str, Any]) -> list[Any]:
        """The arguments of the job with these parameters.

        Raises
        ------
        ArgumentsInvalid
            A command names a parameter that there is not.
        """
        for command in self._commands:
            check(command, parameters)
        for name, value in parameters.items():
            if isinstance(value, Credentials):
                raise ArgumentsInvalid(
                    f"The parameter {name} is a secret, which would stand in the command for all to see. Give it by "
                    f"env={{{name.upper()!r}: {value!r}}}."
                )
        return [*self._fixed, dict(parameters), self.artifacts]

    def task(self, site: str) -> Task[Any, Any]:
        """The task of jobs at a site."""
        if site not in self._tasks:
            store_of(self._project)
            station = self._project.station(site)
            policy, values = self._policy, self._project.values
            performer = Performer(policy.name, values, station, policy.resources, attended=self._attended)
            self._tasks[site] = Task(performer, self._policy, self._launcher)
        return self._tasks[site]


def store_of(project: Project) -> ObjectStore:
    """The store of files. Raises ArgumentsInvalid where there is none."""
    store = project.values.store
    if store is None:
        raise ArgumentsInvalid("A command job needs an artifact store. Name one by `artifacts` in the configuration.")
    return store


def _policy(name: str, policies: Mapping[str, Any]) -> Policy:
    fields = {key: value for key, value in policies.items() if value is not None}
    try:
        return Policy.model_validate({"name": name, "version": "1", **fields})
    except ValidationError as error:
        first = mistakes_in(error, fields)[0]
        known = f"there are {', '.join(sorted(set(Policy.model_fields) - {'name', 'version'}))}"
        hint = known if len(first.place) == 1 else meant(Policy, first.place)
        what = f"is no option; {hint}" if first.strange else first.text
        raise ArgumentsInvalid(f"CommandJob({first.where}=...): {what}.") from None


def _name_of(commands: Iterable[Any]) -> str:
    """The program of the first command, as far as that can be told: what listings show."""
    for command in commands:
        if not isinstance(command, (str, Command, list, tuple)):
            raise ArgumentsInvalid(f"{command!r:.100} is no command: give a text, a list of texts, or a Command.")
        made = command if isinstance(command, Command) else Command(command)
        words = made.argv or (made.line or "").split()
        word = PurePosixPath(words[0]).name if words else ""
        if not made.sidecar and re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.\-]{0,99}", word):
            return word
    return "command"


def _with_env(given: Any, env: Mapping[str, str]) -> Command:
    """A command with the variables of its job beside its own."""
    command = given if isinstance(given, Command) else Command(given)
    both = {**env, **command.env}
    return command.model_copy(update={"env": dict(sorted(both.items()))}) if both else command


def _variable(name: str, value: Any) -> str:
    if isinstance(value, (str, int, float)) and not isinstance(value, bool):
        return str(value)
    raise ArgumentsInvalid(f"env={{{name!r}: {value!r:.100}}} of a command job: give a text, or credentials(NAME).")


def _placed(command: Command, extras: Extras) -> Command:
    """A command whose image, if it names one, is named in a way that holds on each node."""
    if command.mounts and not (extras.image if command.image is None else command.image):
        raise ArgumentsInvalid(f"{command.text!r:.200} has mounts and no image: only containers show them.")
    return command.model_copy(update={"image": Image.named(command.image).text}) if command.image else command


def _commands_text(commands: Iterable[Command], plan: Blueprint, project: Project) -> str:
    secrets = [f"{name}={value!r}" for name, value in sorted(plan.secrets.items())]
    return ", ".join([*[_text(command, plan.extras.check, project) for command in commands], *secrets])


def _text(command: Command, check: bool, project: Project) -> str:
    """What of a command counts in keys."""
    # Where a job may succeed with a command that was killed, its limits decide what it gives.
    limits = () if check else ("timeout", "retries")
    rest = {
        name: getattr(command, name)
        for name in ("env", "workdir", "stdin", "sidecar", "mounts", *limits)
        if getattr(command, name) != Command.model_fields[name].get_default(call_default_factory=True)
    }
    if command.image is not None:
        rest["image"] = image_digest(command.image, project.file_digest) if command.image else ""
    plain = repr(command.line) if command.line is not None else repr(list(command.argv))
    return f"{plain} {rest}" if rest else plain


def _input_files(items: Iterable[Any]) -> list[InputFile]:
    found = []
    for item in items:
        if isinstance(item, (str, Path)):
            item = InputFile(os.fspath(item))  # noqa: PLW2901, a path stands for the file that it names
        if not isinstance(item, InputFile):
            raise ArgumentsInvalid(f"{item!r:.100} is no input file: give InputFile(name, content), or a path.")
        found.append(item)
    return found


def _kept(file: InputFile, project: Project, artifacts: list[Staged]) -> InputFile | None:
    """A small file as it is; a large one goes to the store, and is staged from there."""
    data = file.content if isinstance(file.content, bytes) else file.content.encode()
    if len(data) <= _LARGE or (isinstance(file.content, str) and _is_template(file.content)):
        return file
    store = store_of(project)
    named = Named(PurePosixPath(file.name).name, store.put(data), len(data))
    artifacts.append(Staged(Artifact.of(named, store), file.name, executable=file.executable))
    return None


def _is_template(text: str) -> bool:
    """Whether parameters can change a text; of `{{name}}` they leave `{name}`."""
    return "{{" in text or bool(names_in(Command(["-", text])))


def _files_text(files: Iterable[InputFile | None]) -> str:
    texts = []
    for file in files:
        if file is not None:
            data = file.content if isinstance(file.content, bytes) else file.content.encode()
            kind = "bytes" if isinstance(file.content, bytes) else "text"
            texts.append(f"{file.name!r}: {kind}({digest_bytes(data)}){' executable' if file.executable else ''}")
    return ", ".join(sorted(texts))


def _outputs(plan: Blueprint) -> Fixed[Outputs]:
    found = Outputs(tuple(plan.output_files), tuple(plan.output_directories), plan.extras.check)
    for pattern in (*found.files, *found.directories):
        if not isinstance(pattern, str) or not pattern:
            raise ArgumentsInvalid(f"{pattern!r:.100} is no name of an output file: give a path or a glob as a text.")
    return Fixed(found, f"{sorted(found.files)}, {sorted(found.directories)}, check={found.check}")


def _image(extras: Extras, project: Project) -> Fixed[tuple[str, bool]]:
    if extras.image is None:
        return Fixed(("", extras.network), "")
    image = Image.named(extras.image).text
    return Fixed((image, extras.network), f"image({image_digest(image, project.file_digest)})")


def _capped(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:60]}...({digest_bytes(text.encode())})"
