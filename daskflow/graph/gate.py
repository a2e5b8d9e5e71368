"""The value of a run as a job of another one, which may be an argument of further jobs."""

from __future__ import annotations

from typing import Any, NamedTuple

from daskflow.errors import UsageError
from daskflow.graph.host import Launcher
from daskflow.graph.verdict import Verdict, plain_policy


class Awaited(NamedTuple):
    """A run whose value is awaited."""

    run: Any
    text: str
    """The flow and its arguments, as they stand in keys."""

    def key_text(self) -> str:
        """How it stands in the key of the job."""
        return f"run({self.text})"


def _elsewhere(matter: Awaited) -> Any:
    raise UsageError(f"The value of the run {matter.run.id} is known only where it runs.")


class Gatekeeper(Verdict):
    """Makes jobs that have the values of runs."""

    def __init__(self, launcher: Launcher) -> None:
        super().__init__(_elsewhere, plain_policy("run", cache=False), launcher)
