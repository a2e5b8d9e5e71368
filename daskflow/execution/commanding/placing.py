"""Brings what a command job gets into its scratch directory, on the worker."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from daskflow.artifacts.artifact import Artifact
from daskflow.artifacts.contents.digests import digest_file
from daskflow.artifacts.staging import Sharing
from daskflow.commands.archives import unpack
from daskflow.commands.scratch import Scratch
from daskflow.errors import ArgumentsInvalid, ArtifactError, InputChanged
from daskflow.execution.commanding.result import CommandResult
from daskflow.execution.commanding.staged import Staged, name_of
from daskflow.execution.supply.fetch import Fetched
from daskflow.model.outcome import Failure

_AT_ONCE = 8
"""So much is brought at a time."""


class Placing:
    """Where everything goes that one attempt gets, once the results of other jobs are there.

    Parameters
    ----------
    parameters
        Those of the job; files among them are staged too, and stand for their names then.
    artifacts
        What is staged.

    Raises
    ------
    ArgumentsInvalid
        Something cannot be staged, or two things would have one name.
    """

    def __init__(self, parameters: Mapping[str, Any], artifacts: Sequence[Staged]) -> None:
        self._places: dict[str, Staged] = {}
        self._archives: list[Staged] = []
        for item in artifacts:
            for one in _one_by_one(item):
                self._add(one)
        self.parameters = {name: self._parameter(value) for name, value in parameters.items()}
        """The parameters, as texts and numbers."""
        self.outside: set[str] = set()
        """Directories out of the scratch directory to which links in it lead, once they are staged."""

    def _parameter(self, value: Any) -> Any:
        if isinstance(value, CommandResult):
            return str(value)
        if isinstance(value, Staged):
            return self._add(value)
        if isinstance(value, Artifact | Fetched | os.PathLike):
            return self._add(Staged(value))
        if isinstance(value, Failure):
            return f"{value.type}: {value.message}"
        if isinstance(value, (list, tuple)):
            return [self._parameter(item) for item in value]
        if isinstance(value, dict):
            return {name: self._parameter(item) for name, item in value.items()}
        return value

    def _add(self, item: Staged) -> str:
        if item.unpack:
            self._archives.append(item)
            return item.path
        name = item.path or name_of(item.source)
        known = self._places.get(name)
        if known is not None and _identity(known.source) != _identity(item.source):
            raise ArgumentsInvalid(
                f"Two things would be staged as {name!r}: {known.source!r} and {item.source!r}. Give one another name, "
                f"also where it is a parameter: CommandJob.staged(..., {'other-' + name!r})."
            )
        self._places[name] = replace(item, path=name)
        return name

    def stage(self, scratch: Scratch) -> Callable[[], None]:
        """Bring everything; what is returned sees whether commands have changed what others use too."""
        for item in self._archives:
            unpack(
                _local(item.source), scratch.inside(item.path) if item.path else scratch.work, name=name_of(item.source)
            )
        items = list(self._places.values())
        brought = [_bring_into(scratch, item) for item in items[:1]]
        if len(items) > 1:
            # The store may be far away, and bringing a file is mostly waiting. What lies below another comes later.
            # The context has the leases of the attempt.
            context = copy_context()
            with ThreadPoolExecutor(_AT_ONCE, "daskflow-inputs") as pool:
                for depth in sorted({item.path.count("/") for item in items[1:]}):
                    going = [item for item in items[1:] if item.path.count("/") == depth]
                    brought += pool.map(lambda item: context.copy().run(_bring_into, scratch, item), going)
        for _, target, _ in brought:
            self.outside.update(_outside(target))
        return lambda: _check([(item, sharing) for item, _, sharing in brought if sharing is not None])


def _one_by_one(item: Staged) -> Iterator[Staged]:
    """What is to be staged: a result of another job may be several files."""
    source = item.source.files if isinstance(item.source, CommandResult) else item.source
    if isinstance(source, Mapping):
        for name, one in source.items():
            yield Staged(one, str(PurePosixPath(item.path, name)), item.unpack, item.writable, item.executable)
    elif isinstance(source, (list, tuple)):
        for one in source:
            path = str(PurePosixPath(item.path, name_of(one))) if item.path else ""
            yield Staged(one, path, item.unpack, item.writable, item.executable)
    elif isinstance(source, (Artifact, Fetched, os.PathLike)):
        yield item
    else:
        raise ArgumentsInvalid(
            f"A {type(source).__qualname__} cannot be staged: {source!r:.100}. Give an Artifact, a path, or a job that "
            "gives one of these."
        )


def _identity(source: Any) -> str:
    return str(getattr(source, "digest", "")) or os.fspath(source)


def _artifact(source: Any) -> Artifact | None:
    if isinstance(source, Fetched):
        return Artifact(source.name, digest=source.digest, size=source.size)
    return source if isinstance(source, Artifact) else None


def _local(source: Any) -> Path:
    artifact = _artifact(source)
    return artifact.path() if artifact is not None else Path(source)


def _bring_into(scratch: Scratch, item: Staged) -> tuple[Staged, Path, Sharing | None]:
    target = scratch.inside(item.path)
    if os.path.lexists(target) and _is_there(item, target):
        return item, target, None
    target.parent.mkdir(parents=True, exist_ok=True)
    return item, target, _bring(item, target)


def _is_there(item: Staged, target: Path) -> bool:
    """Whether the very same came with a directory that was staged before."""
    artifact = _artifact(item.source)
    same = artifact is not None and artifact.kind == "file" and target.is_file()
    if same and artifact is not None and digest_file(target) == artifact.digest:
        return True
    raise ArgumentsInvalid(
        f"Something else is staged as {item.path!r} already. Give one of both another name: "
        f"CommandJob.staged(..., {'other-' + item.path!r})."
    )


def _bring(item: Staged, target: Path) -> Sharing | None:
    artifact = _artifact(item.source)
    own = item.writable or item.executable
    sharing = None
    if artifact is not None:
        sharing = artifact.stage(target, writable=own)
    elif own:
        path = Path(item.source)
        shutil.copytree(path, target, symlinks=True) if path.is_dir() else shutil.copyfile(path, target)
    else:
        target.symlink_to(os.path.abspath(item.source))
    if item.executable:
        target.chmod(target.stat().st_mode | 0o111)
    return None if own else sharing


def _outside(target: Path) -> Iterator[str]:
    """Directories to which links below a path lead."""
    if target.is_symlink():
        yield str(target.resolve() if target.is_dir() else target.resolve().parent)
    elif target.is_dir():
        for folder, folders, names in os.walk(target):
            links = (Path(folder, name) for name in [*folders, *names] if os.path.islink(os.path.join(folder, name)))
            yield from (str(link.resolve().parent) for link in links)


def _check(shared: Sequence[tuple[Staged, Sharing]]) -> None:
    for item, sharing in shared:
        try:
            sharing.check()
        except ArtifactError as error:
            raise InputChanged(
                f"The commands changed {item.path!r}, which others use too. Let them have a copy: "
                f"CommandJob.staged(..., {item.path!r}, writable=True). ({error})"
            ) from None
