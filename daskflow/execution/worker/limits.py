"""Watches what an attempt that runs in processes of its own may use, and hears when it is to be killed."""

from __future__ import annotations

import contextlib
import math
import os
import time
from collections.abc import Iterator

from daskflow.errors import JobTimeout, OutOfMemory
from daskflow.execution.worker.attempt import CURRENT_ATTEMPT
from daskflow.model.quantities import as_bytes
from daskflow.sites.grip import Grip
from daskflow.sites.processes import ProcessTree, own_memory

_WATCH = 0.1
"""How often the memory of a process is looked at [s]."""
_WATCH_NEAR = 0.02
"""How often where it uses more than half of what it may [s]."""
_RARELY = 20
"""Looking may take one part in so many of the time."""
_GROWN = 1.1
"""Where several processes seem to use so many times the noted peak, it is looked at what they share."""
_NEAR = 0.75
"""Who is killed by the system and used this part of what it may was killed for its memory."""


class MemoryLimit:
    """Looks how much memory processes and their descendants use.

    Parameters
    ----------
    limit
        What they may use [bytes]; None: all they can get.
    forked
        Whether they are forks of this process: their pages that they share with it are not theirs, and how much these
        are is looked at now.
    basis
        Where the limit comes from, for messages.

    Notes
    -----
    Looking takes longer on a machine with many processes, and is done the less often; the more often, the nearer the
    limit is. Pages that processes share are counted for each of them at first: it takes long to see that they do, and
    is done only where the limit or the noted peak seems to be passed.
    """

    def __init__(self, limit: int | None, *, forked: bool = False, basis: str = "") -> None:
        self.limit = limit
        """[bytes]"""
        self._basis = f", {basis}" if basis else ""
        self.peak = 0
        """[bytes]"""
        self.pause = math.inf
        """How long to wait before the next look [s]."""
        self._inherited = 0
        self._files = 0
        self._due = self._due_precise = 0.0
        if limit is not None:
            self.pause = 0.0
        if forked:
            from psutil import Process

            self._inherited = own_memory(Process())

    def look(self, *trees: ProcessTree) -> None:
        """Look how much all of them use together, if it is time to.

        Raises
        ------
        OutOfMemory
            They use too much.
        """
        start = time.monotonic()
        if self.limit is None or start < self._due:
            return
        seen = [each for tree in trees for each in tree.residents()]
        used = sum([each.own for each in seen]) - self._inherited
        self._files = max([self._files, *[each.files for each in seen]])
        if used > self.limit:
            used = self._note_precise(trees)
            if used > self.limit:
                raise self._exceeded(used, self.limit, "was killed")
        often = _WATCH if used < self.limit / 2 else _WATCH_NEAR
        self.pause = max(often, _RARELY * (time.monotonic() - start))
        if len(seen) <= 1:
            self.peak = max(self.peak, used)
        elif used > _GROWN * self.peak and start >= self._due_precise:
            # How long that takes does not count for the pause: the limit is looked after as often as before.
            began = time.monotonic()
            self._note_precise(trees)
            self._due_precise = time.monotonic() + _RARELY * (time.monotonic() - began)
        self._due = time.monotonic() + self.pause

    def _note_precise(self, trees: tuple[ProcessTree, ...]) -> int:
        """Count pages that processes share once, and note the peak."""
        used = sum([tree.memory(precise=True) for tree in trees]) - self._inherited
        self.peak = max(self.peak, used)
        return used

    def own(self, resident: int) -> int:
        """The peak memory of the processes, without what they share with this one, and without mapped files [bytes].

        Parameters
        ----------
        resident
            What the system says, which counts all of this, and misses nothing between two looks [bytes].
        """
        return max(self.peak, resident - self._inherited - self._files)

    def suspect(self, resident: int) -> OutOfMemory | None:
        """The error, where somebody else killed the processes, and their memory was probably why; None where not.

        Parameters
        ----------
        resident
            Peak memory of the processes, as the system tells it [bytes].
        """
        used = self.own(resident)
        if self.limit is None or used < _NEAR * self.limit:
            return None
        return self._exceeded(used, self.limit, "the system killed it")

    def _exceeded(self, used: int, limit: int, end: str) -> OutOfMemory:
        return OutOfMemory(
            f"{attempt_key()} used {as_bytes(used)} of memory where it may use {as_bytes(limit)}{self._basis}, and "
            f"{end}. Give it more by Resources(memory=...)."
        )


@contextlib.contextmanager
def bell(grip: Grip) -> Iterator[int]:
    """What can be read from when the node is killed."""
    reader, writer = os.pipe()
    try:
        with grip.alarm(lambda: os.write(writer, b"!")):
            yield reader
    finally:
        os.close(reader)
        os.close(writer)


def took_too_long(timeout: float | None) -> JobTimeout:
    """The error of an attempt that was killed because of its timeout [s]."""
    return JobTimeout(f"{attempt_key()} took longer than its timeout of {timeout:g} s and was killed.")


def attempt_key() -> str:
    """Key of the job that is attempted here, for messages."""
    attempt = CURRENT_ATTEMPT.get()
    return attempt.key if attempt is not None else "the job"
