"""What all runs of one project share: memory, artifacts, sites; made by the settings, and handed to each run."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from daskflow.artifacts.digests import FileDigests
from daskflow.artifacts.values import Values
from daskflow.errors import RunInterrupted, SiteUnknown
from daskflow.execution.capture import read_log
from daskflow.model.outcome import Stored
from daskflow.sites import Site
from daskflow.stores import Journal, JournalWriter

BOXES = "boxes"
"""Directory of the workers' black boxes, among the logs."""


class Sufferer(Protocol):
    """Who cannot go on when the journal cannot be written, or the project is closed."""

    def fail(self, error: Exception) -> None:
        """Stop, for this reason."""


class Project:
    """The wired parts that runs need.

    Parameters
    ----------
    journal
        What is remembered.
    values
        Reads and writes results.
    logs
        Directory of the logs.
    sites
        Makes each site by its name.
    default_site
        Name of the site for jobs that name none.
    """

    def __init__(
        self,
        journal: Journal,
        values: Values,
        logs: Path,
        *,
        sites: Mapping[str, Callable[[], Site]],
        default_site: str,
        bundling: bool = True,
    ) -> None:
        self.journal = journal
        self.values = values
        self.logs = logs
        self.default_site = default_site
        self.bundling = bundling
        self.file_digest = FileDigests(journal.file_digest, self._remember_digest)
        self._makers = sites
        self._sites: dict[str, Site] = {}
        self._lock = threading.Lock()
        self._writer: JournalWriter | None = None
        self._sufferers: weakref.WeakSet[Sufferer] = weakref.WeakSet()

    def _remember_digest(self, *row: Any) -> None:
        self.writer.put("file_digests", [row])

    @property
    def writer(self) -> JournalWriter:
        """Writes to the journal in the background; a new one after the last one failed."""
        with self._lock:
            if self._writer is None or self._writer.failure is not None:
                self._writer = JournalWriter(self.journal, self._on_failure)
            return self._writer

    def watch(self, sufferer: Sufferer) -> None:
        """Tell someone, for as long as they live, when the journal can no longer be written."""
        self._sufferers.add(sufferer)

    def _on_failure(self, error: Exception) -> None:
        for sufferer in list(self._sufferers):
            sufferer.fail(error)

    def site(self, name: str) -> Site:
        """The site of that name; it is opened when jobs are submitted to it.

        Raises
        ------
        SiteUnknown
            None is configured so; the message lists those that are.
        """
        with self._lock:
            if name not in self._makers:
                raise SiteUnknown(
                    f"No site {name!r} is configured; there are {', '.join(sorted(self._makers))}. "
                    "Add it under `sites:` in daskflow.yaml."
                )
            if name not in self._sites:
                self._sites[name] = self._makers[name]()
            return self._sites[name]

    def opened(self) -> list[Site]:
        """The sites that were asked for so far."""
        with self._lock:
            return list(self._sites.values())

    def present(self, stored: Stored) -> bool:
        """Whether the artifact store has the bytes of a result."""
        return self.values.store is not None and self.values.store.exists(stored.digest, stored.size)

    def log_of(self, run: str, number: int) -> str:
        """What one job logged and printed in a run, all attempts after each other."""
        parts = [
            read_log(self.logs / run, attempt.log_file, attempt.log_start, attempt.log_stop)
            for attempt in self.journal.attempts(run, number)
            if attempt.log_file
        ]
        return "".join(parts)

    def close(self) -> None:
        """Close all sites, write what is left, close the store. Runs that go on are interrupted."""
        for sufferer in list(self._sufferers):
            sufferer.fail(RunInterrupted("The project was closed; `daskflow resume RUN` goes on where the run was."))
        with self._lock:
            sites, self._sites = list(self._sites.values()), {}
            writer, self._writer = self._writer, None
        for site in sites:
            site.close()
        if writer is not None:
            writer.close()
        self.journal.database.close()
