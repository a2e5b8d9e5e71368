"""What an agent does for a job: opens its parcel, performs it, and gives what came of it."""

from __future__ import annotations

import base64
import importlib
import os
import pickle
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from daskflow.artifacts.forms.formats import adopt
from daskflow.artifacts.forms.signing import Signer
from daskflow.artifacts.owners import OWNERS
from daskflow.artifacts.store import ObjectStore, here, known, use_here
from daskflow.artifacts.values import Values
from daskflow.errors import ArtifactError, ArtifactMissing, WorkFailed
from daskflow.execution.bucketing.bench import laid
from daskflow.execution.bucketing.instead import Instead
from daskflow.execution.bucketing.objects import Taken
from daskflow.execution.bucketing.parcel import ROOM, Answer, Parcel, open_parcel, seal
from daskflow.execution.bucketing.states import collect, lay, notes_in, objects_of
from daskflow.execution.bucketing.transit import send
from daskflow.execution.served import ServedStore, reached
from daskflow.execution.worker.failures import describe
from daskflow.execution.worker.package import Bench
from daskflow.execution.worker.perform import benches
from daskflow.execution.worker.perform import perform as perform_package
from daskflow.model.outcome import Outcome
from daskflow.model.quantities import as_bytes
from daskflow.sites.grip import gripping

_LOG_ROOM = 1 << 20
"""So much of the log of a job travels with its answer: the end of it [bytes]."""
_HEAD = 1 << 13
"""What an answer takes besides records, logs and objects [bytes]."""


def perform(parcel: str = "", stored: str = "", store: str = "") -> dict[str, str]:
    """Perform the job that a work holds.

    Parameters
    ----------
    parcel
        The signed parcel, as base64.
    stored, store
        Instead of it: its digest, and the URL of the artifact store in which it lies.

    Returns
    -------
    dict
        `answer`: what came of the job, signed, as base64. That a job failed is such an answer too.

    Raises
    ------
    SignatureWrong
        The parcel is not signed with a key that is here: nothing of it was loaded, and nothing performed.
    ArtifactMissing
        It lies in a store that cannot be reached from here.

    Notes
    -----
    Nothing of the driver has to be reachable: what the job takes is in the parcel, and what it gives in the answer, as
    long as that fits into a work. Where this machine reaches the artifact store of the driver, larger values go there;
    else by way of the server from which the work came, if it came from one.
    """
    found, signer = open_parcel(base64.b64decode(parcel) if parcel else _fetched(stored, store))
    with tempfile.TemporaryDirectory(prefix="job-", dir=_scratch()) as directory:
        answer = _Performance(found, signer, Path(directory)).answer()
    return {"answer": base64.b64encode(seal(answer, signer)).decode()}


def _scratch() -> str | None:
    """The directory that is removed with this attempt, however it ends; None where nobody looks after one."""
    found = os.environ.get("DASKFLOW_SCRATCH_DIR", "")
    return found if os.path.isdir(found) else None


def _fetched(digest: str, url: str) -> bytes:
    store, freight = _there(url), reached()
    if store is not None:
        try:
            return bytes(store.get(digest))
        except ArtifactError:
            if freight is None:
                raise
    if freight is not None:
        with suppress(ArtifactMissing):
            return bytes(ServedStore(freight).get(digest))
    raise ArtifactMissing(
        f"This job is too large for a work, and lies in the artifact store {url}, which cannot be reached from here"
        + (f"; it is not that of the server {freight.url}. " if freight is not None else ". ")
        + "Let an agent perform it that reaches it, or the works by way of a server, or let `artifacts` name an object "
        "storage."
    )


def _there(url: str) -> ObjectStore | None:
    """The store of a URL, where it may be reached from here."""
    scheme, _, path = url.partition("://")
    if not url or (scheme == "file" and not os.path.isdir(unquote(path))):
        return None
    # Of an object storage that is not configured here a server is not only faster asked: nobody waits for it in vain.
    unknown = scheme != "file" and reached() is not None
    return known(url) or (None if unknown else ObjectStore(url))


def _reached(parcel: Parcel) -> ObjectStore | None:
    """The store of the driver, where it can be reached from here: the notes of those who use it are in it."""
    try:
        store = _there(parcel.url)
        notes = [] if store is None else [store.read_note(f"{OWNERS}/{id}") for id in parcel.owners]
    except ArtifactError:
        return None
    return store if any(note is not None for note in notes) else None


class _Performance:
    """One parcel that is performed here."""

    def __init__(self, parcel: Parcel, signer: Signer, directory: Path) -> None:
        self._parcel = parcel
        self._signer = signer
        self._logs = directory / "logs"
        self._sources = directory / "sources"
        self._store = _reached(parcel)
        self._before = known(parcel.url) if parcel.url else None
        self._freight = reached()
        self._own = Instead(parcel.url, directory / "artifacts", self._freight) if self._store is None else None
        """Stands for the store of the driver where that is out of reach."""
        self._told: list[bytes] = []

    def answer(self) -> Answer:
        """Perform it; gives what came of it."""
        parcel = self._parcel
        # What the driver imports from may be here too: on the same machine, or on a file system that both see.
        sys.path += [path for path in parcel.paths if path not in sys.path and os.path.isdir(path)]
        self._lay_sources()
        adopt([pickle.loads(form) for form in parcel.forms])
        if self._own is not None:
            for digest, data in parcel.objects.items():
                self._own.put(data, digest)
            lay(self._own, parcel.states)
        with self._bench():
            values = _computed(parcel)
            with gripping(parcel.node, self._told.append):
                _, records, _ = perform_package(parcel.package, *values)
        logs, cuts = self._written()
        made = Answer(parcel.run, parcel.job, tuple(self._told), records, logs, cuts, {})
        return made if self._own is None else self._completed(made, self._own)

    def _completed(self, made: Answer, store: ObjectStore) -> Answer:
        """An answer with what was stored here."""
        outcomes: list[Outcome] = pickle.loads(made.records)
        if not outcomes:  # it was killed: nobody asks for its answer
            return made
        taken_up = sum(map(len, made.logs.values())) + sum(map(len, made.told)) + len(made.records) + _HEAD
        notes = notes_in(store, dict.fromkeys(outcome.key for outcome in outcomes))
        last, carried = self._carried(outcomes[-1], store, ROOM - taken_up, notes)
        # Results go first.
        states, more = collect(store, notes, self._parcel.states, ROOM - taken_up - carried.size, self._freight)
        last = self._handed(last, states)
        return made._replace(
            records=made.records if last is outcomes[-1] else pickle.dumps([*outcomes[:-1], last], protocol=5),
            objects={**carried.objects, **more.objects},
            states=states,
            served=carried.served + more.served,
        )

    def _lay_sources(self) -> None:
        """Let modules be imported that came along; before those of the same names that are here."""
        for path, text in self._parcel.sources.items():
            file = self._sources / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(text)
        if self._parcel.sources:
            sys.path.insert(0, str(self._sources))
            importlib.invalidate_caches()

    @contextmanager
    def _bench(self) -> Iterator[None]:
        parcel, store = self._parcel, self._store or self._own
        assert store is not None
        values = Values(store, parcel.inline_limit, key=self._signer)
        before = here()
        try:
            with laid(parcel.node, Bench(parcel.run, values, str(self._logs), "")):
                yield
        finally:
            benches.clear()
            use_here(before)
            sys.path[:] = [path for path in sys.path if path != str(self._sources)]
            if self._own is not None and self._before is not None:  # the URL means again what it did
                ObjectStore(self._before.url, self._before.options, self._before.cache)

    def _written(self) -> tuple[dict[str, bytes], dict[str, int]]:
        """The logs, and how much was cut off from each; they are shown here too."""
        logs, cuts = {}, {}
        for path in sorted(self._logs.glob("*.log")):
            whole = path.read_bytes()
            logs[path.name] = whole[-_LOG_ROOM:]
            cuts[path.name] = len(whole) - len(logs[path.name])
            print(logs[path.name].decode(errors="replace"), end="", flush=True)
        return logs, cuts

    def _carried(
        self, last: Outcome, store: ObjectStore, room: int, notes: Mapping[str, bytes]
    ) -> tuple[Outcome, Taken]:
        """What was stored goes along, or to the server; where neither can be, the job fails for that."""
        # States go apart.
        there = {*self._parcel.objects, *(digest for note in notes.values() for digest in objects_of(note))}
        fresh = {digest: size for digest, size, _ in store.objects() if digest not in there}
        needed = [digest for digest in _digests(last) if digest not in there and store.exists(digest)]
        if sum(fresh.values()) <= room and all(digest in fresh for digest in needed):
            return last, Taken({digest: bytes(store.get(digest)) for digest in fresh}, (), sum(fresh.values()))
        taken = send(self._freight, store, needed, max(0, room), fresh)
        if not taken.absent:
            return last, taken
        failure = describe(_too_large(self._parcel, taken))
        return last._replace(state="failed", value=None, failure=failure), Taken({}, (), 0)

    def _handed(self, last: Outcome, states: Mapping[str, bytes | None]) -> Outcome:
        """A job that hands over a state which cannot travel fails: it would begin anew again and again."""
        if last.state != "waiting" or last.value is not None or states.get(last.key, b"") is not None:
            return last
        return last._replace(state="failed", final=True, failure=describe(_stranded(self._parcel)))


def _digests(outcome: Outcome) -> list[str]:
    """Objects that a result is made of."""
    value = outcome.value
    if value is None:
        return []
    return [*(() if value.inline is not None else (value.digest,)), *value.holds]


def _too_large(parcel: Parcel, taken: Taken) -> WorkFailed:
    return WorkFailed(
        f"What {parcel.job} gives takes {as_bytes(taken.size)}, and a work carries {as_bytes(ROOM)} of it; the store "
        f"of artifacts {parcel.url or 'of the driver'} cannot be reached from where it was performed. Let `artifacts` "
        "name an object storage that the agents reach too, let them get their works from a server, or give less."
    )


def _stranded(parcel: Parcel) -> WorkFailed:
    return WorkFailed(
        f"{parcel.job} hands over a state that is too large for a work, which carries {as_bytes(ROOM)}; the store "
        f"of artifacts {parcel.url or 'of the driver'} cannot be reached from where it was performed. Let `artifacts` "
        "name an object storage that the agents reach too, let them get their works from a server, or save less."
    )


def _computed(parcel: Parcel) -> list[Any]:
    """The values of the dask collections that are needed, computed here."""
    if not parcel.upstream:
        return []
    import dask

    return list(dask.get(pickle.loads(parcel.foreign), list(parcel.upstream)))
