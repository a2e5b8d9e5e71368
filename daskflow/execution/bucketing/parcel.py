"""What travels within a work: the parcel that an agent performs, and the answer that it gives; both signed."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from typing import Any, NamedTuple

from daskflow.artifacts.forms.signing import SIGNATURE, Signer, refusal
from daskflow.errors import SignatureWrong
from daskflow.model.work import LIMIT

ROOM = (LIMIT - 4096) * 3 // 4
"""So much of a parcel, or of an answer, fits into a work [bytes]: as text it is a third longer."""
PERFORM = "daskflow.execution.bucketing.performing.perform"
"""The function of works that perform jobs. Every agent may import it: it does nothing but with what is signed."""
_ID = 8
"""Length of the id of a key [bytes]."""


class Parcel(NamedTuple):
    """One job, as an agent gets it."""

    run: str
    job: str
    """Its name, the same whenever it is performed."""
    node: str
    """Key of the node, unlike any other."""
    package: bytes
    """What is to be performed."""
    upstream: tuple[str, ...]
    """Keys of the tasks of dask collections whose values it takes."""
    foreign: bytes
    """These tasks, pickled."""
    url: str
    """The artifact store of the driver; empty: it has none."""
    owners: tuple[str, ...]
    """Whose notes are in that store: another one of the same URL has not got them."""
    objects: Mapping[str, bytes]
    """Objects of the store that the job takes, by digest."""
    absent: tuple[str, ...]
    """Digests of those that found no room; of files in directories nothing is said."""
    inline_limit: int
    """Results up to this size travel in their records [bytes]."""
    paths: tuple[str, ...]
    """Where the driver imports from."""
    forms: tuple[bytes, ...]
    """Formats of the user, pickled."""
    sources: Mapping[str, bytes]
    """Files of the modules that the job is made of, and that are installed nowhere, by their paths."""
    states: Mapping[str, bytes] = {}
    """Notes of the states that its jobs have saved before, by their keys."""


class Answer(NamedTuple):
    """What an agent made of a parcel."""

    run: str
    job: str
    told: tuple[bytes, ...]
    """Records of what the job told while it ran."""
    records: bytes
    """Those of its attempts."""
    logs: Mapping[str, bytes]
    """What it printed and logged, by the name of the file."""
    cuts: Mapping[str, int]
    """How much was cut off from the beginning of a log [bytes]."""
    objects: Mapping[str, bytes]
    """What it stored, by digest."""
    states: Mapping[str, bytes | None] = {}
    """Notes of the states that its jobs have saved: see `daskflow.execution.bucketing.states.Notes`."""
    served: tuple[str, ...] = ()
    """Digests of what did not go along, or not all of it: it lies in the artifact store of the server of the works."""


def seal(record: Parcel | Answer, signer: Signer) -> bytes:
    """The bytes of a parcel or an answer, signed."""
    body = pickle.dumps(record, protocol=5)
    return b"".join([signer.id.encode(), body, signer.sign(type(record).__name__, [body])])


def open_parcel(data: bytes) -> tuple[Parcel, Signer]:
    """A parcel, and the key that signed it.

    Raises
    ------
    SignatureWrong
        It is not signed, or with a key that is not here: nothing of it was loaded.
    """
    signer = Signer(data[:_ID].decode("ascii", "replace"))
    found: Parcel = _opened(data, "Parcel", signer)
    return found, signer


def open_answer(data: bytes, signer: Signer) -> Answer:
    """An answer.

    Raises
    ------
    SignatureWrong
        It was not signed with this key: nothing of it was loaded.
    """
    found: Answer = _opened(data, "Answer", signer)
    return found


def _opened(data: bytes, kind: str, signer: Signer) -> Any:
    what = "A work that is to perform a job" if kind == "Parcel" else "What an agent gave"
    if len(data) <= _ID + SIGNATURE or data[:_ID] != signer.id.encode():
        raise SignatureWrong(refusal(what, kind, signer.id))
    return pickle.loads(signer.opened(kind, memoryview(data)[_ID:], what))
