"""Where the artifacts of a command job are put in its scratch directory, and how."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from daskflow.artifacts.artifact import Artifact
from daskflow.errors import ArgumentsInvalid
from daskflow.graph.drafts import Draft
from daskflow.graph.job import Job, job_of_draft
from daskflow.graph.part import Part

_KINDS = (Artifact, Job, Part, Draft, os.PathLike)


@dataclass(frozen=True)
class Staged:
    """Something that a command job finds in its scratch directory."""

    source: Any
    """An `Artifact`; the path of a file or directory that the workers see; a job, or part of one, that gives such."""
    path: str = ""
    """Where it is put; empty: under the last part of its own name."""
    unpack: bool = False
    """Whether it is an archive whose members are wanted, in the directory `path`."""
    writable: bool = False
    """Whether the commands may write to it: then it is a copy."""
    executable: bool = False
    """Whether the commands may execute it."""


def staged(
    source: Any, path: str = "", *, unpack: bool = False, writable: bool = False, executable: bool = False
) -> Staged:
    """Say where and how something is staged: `CommandJob.staged(Artifact("x.tar.gz"), "data", unpack=True)`.

    Parameters
    ----------
    source
        An `Artifact`; a `pathlib.Path` that the workers see; a job, or a part of one, that gives one of these, such as
        `other.file("dump.100")`.
    path
        Its name in the scratch directory, by default that which it has.
    unpack
        Unpack an archive (tar, zip, also compressed; a single compressed file) into the directory `path`.
    writable
        Give the commands a copy that they may write to; else they find what others use too, and a job that changes it
        fails.
    executable
        Let the commands execute it; this makes a copy as well.

    Raises
    ------
    ArgumentsInvalid
        It is nothing that can be staged.
    """
    return Staged(_checked(source), path, unpack, writable, executable)


def all_staged(items: Iterable[Any]) -> list[Staged]:
    """The artifacts of a job, each with where it goes."""
    return [item if isinstance(item, Staged) else Staged(_checked(item)) for item in items]


def _checked(source: Any) -> Any:
    if isinstance(source, str) or not (isinstance(source, _KINDS) or hasattr(type(source), "as_job")):
        raise ArgumentsInvalid(
            f"{source!r:.100} cannot be staged. Give an Artifact, a pathlib.Path, or a job that has a file."
        )
    return job_of_draft(source)


def name_of(source: Any) -> str:
    """The last part of the name of what was staged, once it is there."""
    if isinstance(source, Artifact):
        return PurePosixPath(source.name).name
    # A file that was fetched lies under a path that ends with its name.
    return str(getattr(source, "name", "") or Path(os.fspath(source)).name)
