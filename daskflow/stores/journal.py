"""The journal: all chapters in one, and several kinds of rows in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from daskflow.stores.contexts import Contexts
from daskflow.stores.dialect import Row
from daskflow.stores.fingerprints import FileDigests, Fingerprints
from daskflow.stores.holdings import Holdings
from daskflow.stores.jobs import Jobs
from daskflow.stores.patience import writing
from daskflow.stores.questions import Questions
from daskflow.stores.reports import Events, Reports
from daskflow.stores.results import Results
from daskflow.stores.runs import Runs


class Journal(Runs, Jobs, Results, Fingerprints, FileDigests, Reports, Events, Questions, Contexts, Holdings):
    """The durable record of runs, jobs, attempts, results, reports, events, questions and contexts.

    Parameters
    ----------
    database
        Where it is written.
    patience
        For so long a server that is away is waited for, once it has answered [s]; 0: not at all.

    Notes
    -----
    Any thread may call any method. A method that writes is one transaction; within
    `journal.database.transaction()` all that its thread writes is one. It pickles as the URL.
    """

    @writing
    def write(self, batch: Mapping[str, Iterable[Row]]) -> None:
        """Write rows of several kinds in one transaction: all of them, or none.

        Parameters
        ----------
        batch
            Rows by one of `KINDS`.
        """
        with self.database.transaction():
            for kind, method in KINDS.items():
                if kind in batch:
                    method(self, batch[kind])


KINDS: dict[str, Callable[[Journal, Iterable[Row]], None]] = {
    "jobs": Journal.add_jobs,
    "fingerprints": Journal.add_fingerprints,
    "forgotten": lambda journal, rows: journal.forget(key for (key,) in rows),
    "results": Journal.add_results,
    "holdings": Journal.add_holdings,
    "attempts": Journal.put_attempts,
    "states": Journal.put_states,
    "reports": Journal.add_reports,
    "events": Journal.add_events,
    "file_digests": Journal.add_file_digests,
}
"""The kinds of rows and what writes them, in the order in which they are written.

`attempts` and `states` begin with the run; the others are as their methods take them.
"""
