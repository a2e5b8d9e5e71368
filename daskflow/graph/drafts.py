"""Drafts: what becomes a job of a run as soon as the run needs it, and may be added to until then."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections import deque

from daskflow.graph.job import Job


class Draft(ABC):
    """What becomes a job."""

    __slots__ = ()

    @abstractmethod
    def as_job(self) -> Job:
        """The job, made now if it was not; from then on nothing can be added."""

    def seal(self) -> None:
        """The run needs it now."""
        self.as_job()


class Drafts:
    """The drafts of one run.

    Notes
    -----
    Safe for threads. A thread that blocks makes jobs of its own drafts only: another one may still be adding to its
    own.
    """

    def __init__(self) -> None:
        self._made: deque[tuple[int, Draft]] = deque()
        self._lock = threading.Lock()

    def add(self, draft: Draft) -> None:
        """Take a draft of this thread."""
        with self._lock:
            self._made.append((threading.get_ident(), draft))

    def seal(self, *, all_threads: bool = False) -> None:
        """Make jobs of the drafts, in the order in which they were made; raises what that raises."""
        here = threading.get_ident()
        with self._lock:
            going = [draft for thread, draft in self._made if all_threads or thread == here]
            self._made = deque((thread, draft) for thread, draft in self._made if not all_threads and thread != here)
        for draft in going:
            draft.seal()
