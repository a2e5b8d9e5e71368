"""What all runs of one project share: memory, artifacts, sites; made by the settings, and handed to each run."""

from __future__ import annotations

import contextlib
import json
import pickle
import threading
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from daskflow.artifacts.contents.digests import FileDigests
from daskflow.artifacts.owners import mark_owner
from daskflow.artifacts.store import Wanted
from daskflow.artifacts.values import Values
from daskflow.errors import DaskflowError, RunInterrupted, SiteUnknown, StoreError
from daskflow.execution.credentials import revealed
from daskflow.execution.notices.events import EventHub
from daskflow.execution.notices.notify import Notifier
from daskflow.execution.notices.rules import Rule
from daskflow.execution.sending.kits import kit_of
from daskflow.execution.worker.capture import read_log
from daskflow.execution.worker.package import Bench
from daskflow.model.outcome import Known
from daskflow.sites import Site
from daskflow.stores import Journal, JournalWriter

BOXES = "boxes"
"""Directory of the workers' black boxes, among the logs."""
BATCH = ":batch"
"""Ends the name of the site for batch jobs of their own that stands beside a site."""
BUCKET = ":bucket"
"""Ends the name of the site for jobs in buckets that stands beside a site, or where none is but agents are."""
GRACE = 2.0
"""How long a closing project waits for subscribers, and then for notifications that are under way [s]."""


def _no_station(site: str) -> Any:
    raise SiteUnknown(f"Nothing is known of what the nodes of {site!r} offer to command jobs.")


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
        self.station: Callable[[str], Any] = _no_station
        """Gives what the nodes of a site, by its name, offer to command jobs."""
        self.hub = EventHub()
        """Tells subscribers of the events of all runs."""
        self.file_digest = FileDigests(journal.file_digest, self._remember_digest)
        self._makers = sites
        self._sites: dict[str, Site] = {}
        self._lock = threading.Lock()
        self._writer: JournalWriter | None = None
        self._sufferers: weakref.WeakSet[Sufferer] = weakref.WeakSet()
        self._rules: tuple[Rule, ...] = ()
        self._notifier: Notifier | None = None
        self._flows: dict[str, str] = {}
        self._claimed = False

    def _remember_digest(self, *row: Any) -> None:
        self.writer.put("file_digests", [row])

    @property
    def writer(self) -> JournalWriter:
        """Writes to the journal in the background; a new one after the last one failed."""
        with self._lock:
            if self._writer is None or self._writer.failure is not None:
                self._writer = JournalWriter(self.journal, self._on_failure)
            return self._writer

    @property
    def hangs(self) -> bool:
        """Whether it was found that the server of the store does nothing any more."""
        with self._lock:
            return self._writer is not None and self._writer.stuck

    def watch(self, sufferer: Sufferer) -> None:
        """Tell someone, for as long as they live, when the journal can no longer be written."""
        self._sufferers.add(sufferer)

    def _on_failure(self, error: Exception) -> None:
        for sufferer in list(self._sufferers):
            sufferer.fail(error)

    def event(self, run: str, kind: str, /, **data: Any) -> None:
        """Record that something happened to a run, and tell the subscribers; any thread may call, at any time."""
        row = (run, kind, time.time(), "", json.dumps(data, default=str))
        # Who depends on the journal hears by other ways that it cannot be written.
        with contextlib.suppress(StoreError):
            self.writer.put("events", [row])
        self.hub.tell(*row)

    def notify(self, rules: Sequence[Rule]) -> None:
        """Send notifications by these rules, as soon as there is a run."""
        self._rules = tuple(rules)

    def start_notifier(self) -> None:
        """See that notifications can be sent; called before a run is recorded. May be called again.

        Raises
        ------
        CredentialsMissing
            A secret that a rule refers to is not there.
        ExtraMissing
            What sends notifications is not installed.
        SettingsInvalid
            The address of a rule leads nowhere.
        """
        with self._lock:
            if self._rules and self._notifier is None:
                self._notifier = Notifier(self._rules, revealed, flow_of=self._flow_of, record=self._not_sent)
                self._notifier.attach(self.hub)

    def _flow_of(self, run: str) -> str:
        if run not in self._flows:
            try:
                self._flows[run] = self.journal.run(run).flow if run else ""
            except DaskflowError:  # better told without the name than not at all
                return ""
        return self._flows[run]

    def _not_sent(self, run: str, kind: str, data: Mapping[str, object]) -> None:
        self.event(run, kind, **data)

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
                    f"No site {name!r} is configured; there are {', '.join(self._site_names())}. "
                    "Add it under `sites:` in daskflow.yaml."
                )
            if name not in self._sites:
                self._sites[name] = self._makers[name]()
            return self._sites[name]

    def _site_names(self) -> list[str]:
        return sorted(name for name in self._makers if not name.endswith((BATCH, BUCKET)))

    def has_site(self, name: str) -> bool:
        """Whether a site of that name is configured."""
        return name in self._makers

    def opened(self) -> list[Site]:
        """The sites that were asked for so far."""
        with self._lock:
            return list(self._sites.values())

    def bench(self, run: str) -> bytes:
        """What workers need to perform the jobs of a run, pickled."""
        bench = Bench(run, self.values, str(self.logs / run), str(self.logs / BOXES), kit_of(self.values))
        return pickle.dumps(bench, protocol=5)

    def claim(self) -> None:
        """Note in the artifact store, once, that this project keeps results there: nobody else is to remove them.

        Raises
        ------
        ArtifactError
            The store cannot be written.
        """
        if not self._claimed and self.values.store is not None:
            mark_owner(self.values.store, self.journal)
            self._claimed = True

    def lost(self, known: Mapping[str, Known]) -> set[str]:
        """Of remembered results, by key, those that cannot be used any more.

        Somebody else signed them; or their bytes, or those of an artifact that they mention, are not there.
        """
        found = {key for key, one in known.items() if not self.values.readable(one.stored)}
        apart = {key: (one.stored.digest, one.stored.size) for key, one in known.items() if one.apart}
        held = self.journal.holdings(one.stored.digest for one in known.values()) if self.journal.holds_any() else {}
        objects = {(digest, None) for digests in held.values() for digest in digests}
        if not apart and not objects:
            return found
        missing = self._missing({*apart.values(), *objects})
        bad = {value for value, digests in held.items() if any((digest, None) in missing for digest in digests)}
        found.update(key for key, one in apart.items() if one in missing)
        found.update(key for key, one in known.items() if one.stored.digest in bad)
        return found

    def _missing(self, objects: set[Wanted]) -> set[Wanted]:
        return objects if self.values.store is None else self.values.store.missing(objects)

    def log_of(self, run: str, number: int) -> str:
        """What one job logged and printed in a run, all attempts after each other."""
        parts = [
            read_log(self.logs / run, attempt.log_file, attempt.log_start, attempt.log_stop)
            for attempt in self.journal.attempts(run, number)
            if attempt.log_file
        ]
        return "".join(parts)

    def close(self) -> None:
        """Close all sites, tell and write what is left, close the store. Runs that go on are interrupted."""
        for sufferer in list(self._sufferers):
            sufferer.fail(RunInterrupted("The project was closed; `daskflow resume RUN` goes on where the run was."))
        with self._lock:
            sites, self._sites = list(self._sites.values()), {}
            notifier, self._notifier = self._notifier, None
        for site in sites:
            site.close()
        # What they have to say of failed messages is still written.
        self.hub.close(GRACE)
        if notifier is not None:
            notifier.close(GRACE)
        with self._lock:
            writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()
        self.journal.database.close()
