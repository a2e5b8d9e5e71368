"""What is kept of each job and workflow: in the object store, where all processes find it by its id."""

from __future__ import annotations

import json
import re
import secrets
import time
from hmac import compare_digest
from typing import Any, Literal, NamedTuple, TypeAlias

from daskflow import Artifact, CommandJob
from daskflow.artifacts.names import Names
from daskflow.compat.prominence.errors import ConnectionError, JobGetError, WorkflowGetError
from daskflow.errors import ArtifactMissing, DaskflowError, SignatureWrong

Kind: TypeAlias = Literal["job", "workflow"]
Part: TypeAlias = Literal["request", "process", "state", "stdout", "stderr", "deleted", "orders", "snapshot"]
"""`request`: what was asked for; `process`: where it is performed; `state`: how it stands, by the word of the process
that performs it; what it said; a mark that it was deleted; a mark that jobs of a workflow are to be
deleted alone; what was kept of a job that ran."""
Note: TypeAlias = Literal["asked", "answered"]
"""What is asked of the process of a job, and its answer; both by the same token."""
FINAL = frozenset({"completed", "failed", "deleted", "killed"})
"""The states that are ends."""
_PARTS: tuple[Part, ...] = ("process", "state", "stdout", "stderr", "deleted", "orders", "snapshot", "request")
"""In the order in which they are removed: as long as there is a request it can be done again."""


_OWN = "prominence"
_SIGNATURE = "signature"
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
        """Keep something that JSON can hold, in place of what was there; a request is signed.

        Raises
        ------
        ConnectionError
            The store does not take it.
        """
        given = self._signed(part, value) if part == "request" else value
        self.write_bytes(part, json.dumps(given).encode())

    def write_bytes(self, part: Part, value: bytes) -> None:
        """Keep bytes."""
        self._write(part, value)

    def _write(self, part: str, value: bytes) -> None:
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

    def request(self) -> Any:
        """The request, for who performs it.

        Raises
        ------
        SignatureWrong
            Somebody else wrote it, who could have others' commands run by it; or nobody signed it.
        JobGetError, WorkflowGetError
            It was removed.
        """
        data = self.read_bytes("request")
        if data is None:
            error = JobGetError if self.kind == "job" else WorkflowGetError
            raise error(f"There is no {self.kind} {self.id} any more: it was removed. Create it again.")
        return self._verified("request", data)

    def read_bytes(self, part: Part) -> bytes | None:
        """The bytes that are kept."""
        return self._read(part)

    def _read(self, part: str) -> bytes | None:
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

    # What is asked of the process.

    def note(self, kind: Note, token: str, value: Any) -> None:
        """Keep a note, signed."""
        part = f"{kind}/{token}"
        self._write(part, json.dumps(self._signed(part, value)).encode())

    def noted(self, kind: Note, token: str) -> Any:
        """A note; None where there is none. Raises SignatureWrong where somebody else wrote it."""
        part = f"{kind}/{token}"
        data = self._read(part)
        return None if data is None else self._verified(part, data)

    def notes(self, kind: Note) -> list[str]:
        """The tokens of all notes."""
        return self._names(self._name(f"{kind}/"))

    def asked(self) -> list[tuple[str, str]]:
        """What is asked of the jobs that one process performs: their ids, with a token each."""
        found = [name.partition("/") for name in self._names(f"{_OWN}/asked/{self._root}/")]
        return [(id, token) for id, _, token in found]

    def _names(self, prefix: str) -> list[str]:
        try:
            return [name.removeprefix(prefix) for name in Names(Artifact(prefix + "any").store).list(prefix)]
        except DaskflowError as error:
            raise ConnectionError(f"What is asked of the {self.kind} {self.id} cannot be read: {error}") from error

    def drop(self, kind: Note, token: str) -> None:
        """Remove a note."""
        self._remove((f"{kind}/{token}",))

    def undelete(self) -> None:
        """Take the marks away that say that it was deleted."""
        self._remove(("deleted", "orders"))

    def remove(self) -> None:
        """Forget all of it."""
        left = [f"{kind}/{token}" for kind in ("asked", "answered") for token in self.notes(kind)]
        self._remove((*left, *_PARTS))

    def _remove(self, parts: tuple[str, ...]) -> None:
        for part in parts:
            kept = Artifact(self._name(part))
            try:
                if kept.exists():
                    kept.remove()
            except ArtifactMissing:
                continue
            except DaskflowError as error:
                raise ConnectionError(f"The {self.kind} {self.id} cannot be removed: {error}") from error

    def _signed(self, part: str, value: dict[str, Any]) -> dict[str, Any]:
        return {**value, _SIGNATURE: self._sign(part, value)}

    def _verified(self, part: str, data: bytes) -> dict[str, Any]:
        try:
            found = dict(json.loads(data))
        except (TypeError, ValueError):
            found = {}  # whoever wrote that is none of us
        value = {name: item for name, item in found.items() if name != _SIGNATURE}
        if _SIGNATURE not in found:
            raise SignatureWrong(
                f"What is asked of the {self.kind} {self.id} is not signed: an older version wrote it, or somebody "
                "else, whose commands are not run. Create it again."
            )
        if not compare_digest(self._sign(part, value), str(found[_SIGNATURE])):
            raise SignatureWrong(
                f"What is asked of the {self.kind} {self.id} was not written with your signing key, and could be "
                "anybody's commands: nothing of it is done. Create it again; or let `signing_key` in the "
                "configuration name the key of who wrote it, if you trust them."
            )
        return value

    def _sign(self, part: str, value: dict[str, Any]) -> str:
        text = json.dumps([self.kind, self.id, part, value], sort_keys=True)
        return CommandJob.launcher.project().values.signer.sign(_OWN, [text.encode()]).hex()

    def _name(self, part: str) -> str:
        if part.startswith(("asked/", "answered/")):
            # Together for all jobs of one process, which sees by one look what is asked of any of them.
            kind, _, token = part.partition("/")
            return f"{_OWN}/{kind}/{self._root}/{self.id}/{token}"
        return f"{_OWN}/{self.kind}s/{self.id}/{part}"

    @property
    def _root(self) -> str:
        """The id of what its process performs."""
        return self.id.partition(".")[0]


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
