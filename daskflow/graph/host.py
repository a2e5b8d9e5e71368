"""What jobs, tasks and flows need of the run that they belong to, and where the current one is found.

Jobs and flows stand above this module, so they are not named in its types.
"""

from __future__ import annotations

import pathlib
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from typing import Any, Protocol

from daskflow.graph.fingerprint import Fingerprint
from daskflow.model.outcome import Outcome
from daskflow.model.policy import Policy


class Host(Protocol):
    """A run, as its jobs see it."""

    id: str
    launcher: Any
    """Who started the run; None where nobody can start others."""

    def admit(self, job: Any) -> Any:
        """Take a new job; where the run has one of that key already, this one is returned."""

    def draft(self, draft: Any) -> None:
        """Take what becomes a job as soon as the run needs it."""

    def occasion(self, recipe: str) -> str:
        """Text that makes the key of a job unlike that of an equal call: for tasks that are never remembered."""

    def wait(self, job: Any, timeout: float | None) -> None:
        """Flush, then block until the job is final."""

    def watch(self, fact: Any) -> None:
        """Tell a fact what is known of it already, and what becomes known: somebody asks for it, or waits."""

    def cancel(self, jobs: Sequence[Any], reason: str) -> None:
        """Stop jobs; returns when nothing of them is alive any more."""

    def start(self, flow: Any, arguments: Mapping[str, Any], launcher: Any) -> Any:
        """Start a run of another flow beside this one; returns it."""

    def value(self, job: Any) -> Any:
        """The result of a job that succeeded."""

    def outcome(self, job: Any) -> Outcome | None:
        """What the latest attempt left, if any ended."""

    def log(self, job: Any) -> str:
        """What the job logged and printed."""


class Callee(Protocol):
    """A task, as its jobs see it."""

    policy: Policy

    @property
    def keeps_limits(self) -> bool:
        """Whether it sees itself to its limits, and to its end when it is killed."""

    def call(self, values: list[Any]) -> Any:
        """Call the function with one value for each parameter."""

    def fingerprint(self) -> Fingerprint:
        """The identity of the code."""

    def launcher_of(self, job: Any) -> Launcher:
        """Who can open a run for a job."""


class Launcher(Protocol):
    """Starts runs of flows, and opens one for jobs made outside of any flow."""

    def start(self, flow: Any, arguments: Mapping[str, Any], *, background: bool) -> Any:
        """Run a flow; returns its run."""

    def adopt(self, job: Any) -> Host:
        """Give a job that belongs to no run, and all it depends on, to the one kept for such jobs."""

    def file_digest(self, path: pathlib.Path) -> str:
        """Digest of the content of a file or directory."""

    def file_seal(self, path: pathlib.Path) -> str:
        """What changes when a file, or one in a directory, is written."""

    def plan(self, flow: Any, arguments: Mapping[str, Any]) -> Any:
        """What a flow would do."""


CURRENT_HOST: ContextVar[Host | None] = ContextVar("daskflow_host", default=None)
"""The run whose flow body is being executed here."""

CURRENT_SITE: ContextVar[str | None] = ContextVar("daskflow_site", default=None)
"""Name of the site of the innermost `with site(...)` block."""
