"""One node on its way through a batch system, as the driver knows it."""

from __future__ import annotations

import json
import pickle
import time
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from daskflow.model.outcome import Failure, Outcome
from daskflow.sites.batch.folder import ErrandFolder, RunFolder
from daskflow.sites.batch.system import Certificate
from daskflow.sites.site import Listener, Node


class Step(StrEnum):
    """How far an errand has come."""

    waiting = "waiting"
    """It is to be submitted, or found among those of an earlier driver."""
    submitted = "submitted"
    performing = "performing"
    ended = "ended"
    """Its batch job has ended and left no result; nobody knows why yet."""
    told = "told"
    """The listener knows what became of it."""


@dataclass(eq=False)
class Errand:
    """One node that is performed by a batch job of its own."""

    node: Node
    listener: Listener
    foreign: dict[str, Any]
    """Tasks of dask collections that it takes the values of."""
    folders: RunFolder
    step: Step = Step.waiting
    folder: ErrandFolder | None = None
    id: str = ""
    """Of its batch job, as far as there is one."""
    heard: int = 0
    """How much of what the job tells while it runs was passed on [bytes]."""
    again: int = 0
    """How often it was submitted again, since its batch job was lost through nobody's fault."""
    since: float = field(default_factory=time.monotonic)
    """When it came to this step [s]."""
    well: bool = False
    """Whether it has left a result."""
    reasons: set[str] = field(default_factory=set)
    """Why it waited, as far as that was told."""

    @property
    def key(self) -> str:
        """Key of the node."""
        return self.node.key

    @property
    def job(self) -> str:
        """What is performed, the same whenever it is."""
        return self.node.name or self.node.key

    def go(self, step: Step) -> None:
        """Come to another step."""
        self.step, self.since = step, time.monotonic()

    def event(self, kind: str, **data: Any) -> None:
        """Have something recorded that happened to its batch job."""
        self.listener.tell(kind, json.dumps({"job": self.job, **data}))

    def struck(self, error: str, text: str) -> None:
        """Have an attempt recorded that was lost, and that another one follows."""
        now = time.time()
        failure = Failure(f"daskflow.errors.{error}", text, "")
        lost = Outcome(self.job, "failed", 0, now, now, failure=failure, reason="worker lost", final=False)
        self.listener.performed([pickle.dumps([lost])])


def fate(certificate: Certificate | None, *, id: str, begun: bool, code: int | None) -> tuple[str, str]:
    """How a batch job without a result came to its end: name of the error, and what is known.

    Parameters
    ----------
    certificate
        The record of the batch system; None where it has none.
    begun
        Whether anything was performed.
    code
        What its script ended with; None where it did not come to its end.
    """
    known = certificate.text if certificate is not None else f"batch job {id}: the batch system has no record of it"
    error = certificate.error if certificate is not None else ""
    if code and (certificate is None or not certificate.exit_code):
        known += f", its script ended with exit code {code}"
    if error in ("", "WorkerLost"):
        error = "WorkerLost" if begun else "StartupFailed"
        if begun and not code:
            known += ", it ended without leaving a result"
        elif not begun:
            known += ", it ended before anything was performed"
    return error, known


def with_log(text: str, tail: str) -> str:
    """A text, and what a log ended with."""
    return f"{text}. The log ended with:\n{tail}" if tail else f"{text}. Its log is empty."
