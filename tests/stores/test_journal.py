from __future__ import annotations

import pytest

from daskflow.errors import StoreError
from daskflow.stores import Journal
from daskflow.stores.journal import KINDS
from tests.stores.samples import RUN, Row, attempt_row, job_row, result_row

BATCH: dict[str, list[Row]] = {
    "states": [(RUN, 0, "succeeded", "")],
    "results": [result_row("key000")],
    "forgotten": [("key000",)],
    "attempts": [(RUN, *attempt_row(0))],
    "jobs": [job_row(0)],
    "reports": [("key000", 0, "metric", "chisq", "{}", None, "fit", 1.0)],
    "events": [(RUN, "job.done", 1.0, "key000", "{}")],
    "fingerprints": [("f1", "fit", '{"a": "b"}')],
    "holdings": [("digest-key000", "d2")],
    "file_digests": [("/data/a", 1, 1, 1, "d1")],
}


def test_all_kinds_are_written_together(journal: Journal) -> None:
    assert BATCH.keys() == KINDS.keys()
    journal.write(BATCH)
    # Jobs went before their states, and new results after what they replace, whatever the order in the batch.
    assert journal.job(RUN, 0).state == "succeeded"
    assert len(journal.attempts(RUN)) == len(journal.reports(RUN)) == len(journal.events(RUN)) == 1
    assert journal.lookup(["key000"])
    assert journal.fingerprint("f1") == {"a": "b"}
    assert journal.file_digest("/data/a", 1, 1, 1) == "d1"
    assert journal.holdings(["digest-key000"]) == {"digest-key000": ("d2",)}


def test_a_bad_row_takes_all_with_it(journal: Journal) -> None:
    with pytest.raises(StoreError):
        journal.write(BATCH | {"events": [(RUN, None, 1.0, "", "{}")]})
    assert journal.jobs(RUN) == []
    assert journal.lookup(["key000"]) == {}
    journal.write(BATCH)
    assert len(journal.jobs(RUN)) == 1


def test_no_chapter_hides_what_another_has() -> None:
    names = [name for chapter in Journal.__bases__ for name in vars(chapter) if not name.startswith("__")]
    assert sorted(names) == sorted(set(names))
