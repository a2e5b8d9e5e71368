"""Takes answers of agents: what they stored goes into the artifact store, what was logged to the logs of the run."""

from __future__ import annotations

import base64
import pickle
from pathlib import Path
from typing import Any

from daskflow.artifacts.values import Values
from daskflow.errors import SignatureWrong, WorkInvalid
from daskflow.execution.bucketing.parcel import Answer, open_answer
from daskflow.execution.bucketing.states import keep
from daskflow.execution.bucketing.transit import fetch
from daskflow.model.outcome import LogSlice, Outcome
from daskflow.stores.buckets.freight import Freight


def answer_of(results: Any, values: Values, run: str, job: str) -> Answer:
    """The answer in the results of a work.

    Raises
    ------
    WorkInvalid
        There is none.
    SignatureWrong
        Nobody who has the key wrote it, or it is that of another job; nothing was loaded.
    """
    text = results.get("answer") if isinstance(results, dict) else None
    try:
        data = base64.b64decode(text, validate=True) if isinstance(text, str) else b""
    except ValueError:
        data = b""
    if not data:
        raise WorkInvalid("Its results are no answer of an agent: another function has performed the work.")
    found = open_answer(data, values.signer)
    if (found.run, found.job) != (run, job):
        raise SignatureWrong(f"This is the answer of the job {found.job} of the run {found.run}, not of {job}.")
    return found


def succeeded(answer: Answer) -> bool:
    """Whether the last attempt gave a result."""
    outcomes: list[Outcome] = pickle.loads(answer.records)
    return bool(outcomes) and outcomes[-1].value is not None


def brought(results: Any, values: Values, run: str, job: str) -> bool:
    """Whether the results of a work are an answer with a result of the job."""
    try:
        return succeeded(answer_of(results, values, run, job))
    except (SignatureWrong, WorkInvalid):
        return False


def accept(answer: Answer, values: Values, logs: Path, mark: str, freight: Freight | None = None) -> list[bytes]:
    """Keep what an answer brings; gives the records for the listener.

    Parameters
    ----------
    logs
        Directory of the logs of the run.
    mark
        Tells its log files from all others.
    freight
        The way to the artifact store of the server that keeps the works; None: no server does.

    Raises
    ------
    ArtifactError
        The store cannot be written, or what was too large for a work cannot be had.
    ServerError, StoreError
        The server does not give it.
    OSError
        The logs cannot be.
    """
    if answer.objects or answer.served:
        if values.store is None:
            raise WorkInvalid(f"{answer.job} has stored objects, and there is no artifact store here.")
        fetch(freight, values.store, answer.served)
        for data in answer.objects.values():
            values.store.put(data)
    keep(answer.states, values)
    names = {name: f"{mark}-{number}.log" for number, name in enumerate(answer.logs)}
    for name, text in answer.logs.items():
        logs.mkdir(parents=True, exist_ok=True)
        (logs / names[name]).write_bytes(text)
    outcomes: list[Outcome] = pickle.loads(answer.records)
    told = [outcome._replace(log=_moved(outcome.log, names, answer)) for outcome in outcomes]
    return [*answer.told, pickle.dumps(told, protocol=5)]


def _moved(log: LogSlice | None, names: dict[str, str], answer: Answer) -> LogSlice | None:
    if log is None or log.file not in names:
        return None
    cut = answer.cuts.get(log.file, 0)
    return LogSlice(names[log.file], max(0, log.start - cut), max(0, log.stop - cut))
