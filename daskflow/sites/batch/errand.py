"""One node on its way through a batch system, as the driver knows it."""

from __future__ import annotations

import json
import pickle
import re
import time
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from daskflow.model.outcome import Failure, Outcome
from daskflow.sites.batch.folder import ErrandFolder, RunFolder
from daskflow.sites.batch.system import Certificate
from daskflow.sites.site import Listener, Node

_CROWDED = re.compile(
    r"(max|grp)_?submit|max_?u?_?jobs|too many (\w+ ){0,3}jobs|maximum number of (\w+ )?jobs|jobs are allowed"
    r"|would exceed (?!.*resource).*limit|pending job (threshold|limit)|Resource temporarily unavailable",
    re.IGNORECASE,
)
"""What batch systems say to somebody who has enough jobs already."""
_POLICY = re.compile("job submit limit", re.IGNORECASE)
_LIMIT = re.compile(r"\b(QOS|Assoc)[A-Z]\w+")
_NUMBER = re.compile(r"^\d+")


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
    held: float | None = None
    """Since when its batch job hopelessly waits although it has begun [s]."""

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


def crowded(complaint: str) -> bool:
    """Whether a refusal says that there are enough jobs already, so that there is room later.

    Examples
    --------
    >>> crowded("qsub: Maximum number of jobs already in queue")
    True
    >>> crowded("Requested node configuration is not available")
    False
    """
    if _CROWDED.search(complaint):
        return True
    # Slurm says so of all limits of a policy; those that no job can keep are named as well.
    return bool(_POLICY.search(complaint)) and not _LIMIT.search(complaint)


def same_job(id: str, other: str) -> bool:
    """Whether two ids are those of one submission; PBS may write the name of its server longer or shorter.

    Examples
    --------
    >>> same_job("12.pbs", "12.pbs.example.org"), same_job("12", "13")
    (True, False)
    """
    number = _NUMBER.findall(id)
    return id == other or bool(number and number == _NUMBER.findall(other))


def fate(
    certificate: Certificate | None, *, id: str, begun: bool, code: int | None, silence: str = ""
) -> tuple[str, str]:
    """How a batch job without a result came to its end: name of the error, and what is known.

    Parameters
    ----------
    certificate
        The record of the batch system; None where it has none.
    begun
        Whether anything was performed.
    code
        What its script ended with; None where it did not come to its end.
    silence
        Why the batch system could not be asked; empty where it could.
    """
    nothing = f"does not tell how it ended ({silence})" if silence else "has no record of it"
    known = certificate.text if certificate is not None else f"batch job {id}: the batch system {nothing}"
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
