"""What is kept of each job and workflow: in the object store, where all processes find it by its id."""

from __future__ import annotations

import json
import re
import secrets
import time
from typing import Any, Literal, NamedTuple, TypeAlias

from daskflow import Artifact
from daskflow.compat.prominence.errors import ConnectionError
from daskflow.errors import ArtifactMissing, DaskflowError

Kind: TypeAlias = Literal["job", "workflow"]
Part: TypeAlias = Literal["request", "process", "state", "stdout", "stderr", "deleted", "orders"]
"""`request`: what was asked for; `process`: where it is performed; `state`: how it stands, by the word of the process
that performs it; what it said; a mark that it was deleted; a mark that jobs of a workflow were deleted alone."""
FINAL = frozenset({"completed", "failed", "deleted", "killed"})
"""The states that are ends."""
_PARTS: tuple[Part, ...] = ("process", "state", "stdout", "stderr", "deleted", "orders", "request")
"""In the order in which they are removed: as long as there is a request it can be done again."""


_ID = re.compile(r"[A-Za-z0-9_-]{1,80}(\.[0-9]{1,9})?")


def is_id(text: Any) -> bool:
    """Whether a text may be an id.

    Examples
    --------
    >>> is_id("20260314-101502-7f3a2c01.5"), is_id("../secrets")
    (True, False)
    """
    return isinstance(text, str) and _ID.fullmatch(text) is not None


def new_id() -> str:
    """An id; later ones are larger."""
    return f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{secrets.token_hex(4)}"


class Entry:
    """What is kept of one job or workflow.

    Parameters
    ----------
    kind
        Which of both.
    id
        Of it; that of a job of a workflow is the workflow's with a number after a point.

    Notes
    -----
    Each part is written by one process at a time: the request and the marks by whoever asks, all others by the process
    that performs it. So nothing has to be locked, and a part that is read is whole.
    """

    def __init__(self, kind: Kind, id: str) -> None:
        self.kind = kind
        self.id = id

    @property
    def workflow(self) -> Entry | None:
        """The workflow that a job belongs to; None: it stands for itself."""
        first, point, _ = self.id.partition(".")
        return Entry("workflow", first) if self.kind == "job" and point else None

    @property
    def number(self) -> int:
        """The number of a job of a workflow."""
        return int(self.id.partition(".")[2])

    def write(self, part: Part, value: Any) -> None:
        """Keep something that JSON can hold, in place of what was there.

        Raises
        ------
        ConnectionError
            The store does not take it.
        """
        self.write_bytes(part, json.dumps(value).encode())

    def write_bytes(self, part: Part, value: bytes) -> None:
        """Keep bytes."""
        try:
            Artifact(self._name(part)).upload(value)
        except DaskflowError as error:
            raise ConnectionError(f"Nothing can be kept of the {self.kind} {self.id}: {error}") from error

    def read(self, part: Part) -> Any:
        """What is kept; None where nothing is.

        Raises
        ------
        ConnectionError
            The store cannot be read.
        """
        found = self.read_bytes(part)
        return None if found is None else json.loads(found)

    def read_bytes(self, part: Part) -> bytes | None:
        """The bytes that are kept."""
        try:
            kept = Artifact(self._name(part))
            # What is not there would be looked for among all names.
            if not kept.exists():
                return None
            with kept.open() as file:
                return bytes(file.read())
        except ArtifactMissing:
            return None
        except DaskflowError as error:
            raise ConnectionError(f"What is known of the {self.kind} {self.id} cannot be read: {error}") from error

    def has(self, part: Part) -> bool:
        """Whether it is kept."""
        return self.read_bytes(part) is not None

    def undelete(self) -> None:
        """Take the marks away that say that it was deleted."""
        self._remove(("deleted", "orders"))

    def remove(self) -> None:
        """Forget all of it."""
        self._remove(_PARTS)

    def _remove(self, parts: tuple[Part, ...]) -> None:
        for part in parts:
            kept = Artifact(self._name(part))
            try:
                if kept.exists():
                    kept.remove()
            except ArtifactMissing:
                continue
            except DaskflowError as error:
                raise ConnectionError(f"The {self.kind} {self.id} cannot be removed: {error}") from error

    def _name(self, part: Part) -> str:
        return f"prominence/{self.kind}s/{self.id}/{part}"


class Output(NamedTuple):
    """A file or directory that a job left, as it is written down."""

    digest: str
    size: int
    """[bytes]"""
    kind: str
    """`file` or `tree`."""

    def artifact(self, name: str) -> Artifact:
        """What is in the store."""
        return Artifact(name, digest=self.digest, size=self.size, kind=self.kind)

    @classmethod
    def of(cls, artifact: Artifact) -> Output:
        """How it is written down."""
        return cls(artifact.digest, artifact.size, artifact.kind)
