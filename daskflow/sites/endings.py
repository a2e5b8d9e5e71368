"""Tells how worker processes ended, as their nannies see it: by which signal, or for want of memory."""

from __future__ import annotations

import contextlib
import signal
from typing import Any

from daskflow.model.quantities import as_bytes

ENDED = "daskflow-ended"
"""Topic of the events by which nannies tell that the process of a worker ended."""
_TOO_LARGE = "worker-restart-memory"
"""Topic of dask's own events that a nanny stops a worker that uses too much memory."""


class Endings:
    """Part of each nanny: tells the scheduler how the process of its worker ended."""

    name = "daskflow-endings"
    idempotent = True

    def setup(self, nanny: Any) -> None:
        """Look at the ends of processes."""
        told = getattr(nanny, "_on_worker_exit_sync", None)
        if told is None:  # another version of dask: the reason of a loss does not say what caused it
            return

        def tell(exitcode: int) -> None:
            if nanny.status.name == "running":  # else it ended it itself
                nanny.loop.add_callback(_tell, nanny, {"worker": nanny.worker_address, "exitcode": exitcode})
            told(exitcode)

        nanny._on_worker_exit_sync = tell
        if nanny.process is not None:
            nanny.process.on_exit = tell


async def _tell(nanny: Any, message: dict[str, Any]) -> None:
    with contextlib.suppress(OSError):  # the scheduler is gone too
        await nanny.scheduler.log_event(topic=ENDED, msg=message)


def nanny_plugin() -> Any:
    """The plugin for nannies; its base class is imported late, because that costs half a second."""
    from distributed import NannyPlugin

    return type("EndingsPlugin", (Endings, NannyPlugin), {})()


class Obituaries:
    """Keeps how workers ended, as far as it was told."""

    def __init__(self) -> None:
        self._ends: dict[str, str] = {}

    def hear(self, topic: str, message: Any) -> None:
        """Take note of an event, if it tells of an end."""
        if topic == ENDED:
            self._ends.setdefault(message["worker"], _end(message["exitcode"]))
        elif topic == _TOO_LARGE:
            self._ends[message["worker"]] = (
                f"was stopped because it used {as_bytes(message['rss'])}, nearly all the memory that it may use"
            )

    def of(self, worker: str) -> str:
        """How the process of a worker ended, for people."""
        return self._ends.get(worker, "went away")


def _end(exitcode: int) -> str:
    if exitcode >= 0:
        return f"exited with code {exitcode}"
    try:
        name = signal.Signals(-exitcode).name
    except ValueError:
        name = f"signal {-exitcode}"
    hint = ", by somebody or by a machine that ran out of memory" if exitcode == -signal.SIGKILL else ""
    return f"was killed by {name}{hint}"
