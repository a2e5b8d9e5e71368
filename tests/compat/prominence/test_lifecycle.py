from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from daskflow.compat.prominence.documents import JobDocument
from daskflow.compat.prominence.errors import JobCreationError, JobGetError
from daskflow.compat.prominence.job import Job
from daskflow.compat.prominence.ledger import Entry
from daskflow.compat.prominence.lifecycle import check_surroundings, document_of, launch, wait_for
from daskflow.compat.prominence.starting import SITE

TASK = {"tasks": [{"cmd": "date"}]}


def test_what_cannot_be_started_leaves_nothing(
    here: Path, job: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SITE, "moon")
    entry = Entry("job", "a")
    with pytest.raises(JobCreationError, match="moon"):
        launch(entry, TASK, JobCreationError)
    assert not entry.has("request")
    assert not entry.has("process")


def test_what_is_on_the_web_is_looked_for_by_the_job(here: Path) -> None:
    remote = JobDocument.model_validate({**TASK, "artifacts": [{"url": "https://example.org/a"}]})
    check_surroundings([remote], JobCreationError)
    local = JobDocument.model_validate({**TASK, "artifacts": [{"url": "a"}]})
    with pytest.raises(JobCreationError, match="Upload it first"):
        check_surroundings([remote, local], JobCreationError)
    odd = JobDocument.model_validate({**TASK, "artifacts": [{"url": "a/../b"}]})
    with pytest.raises(JobCreationError, match="cannot be looked for"):
        check_surroundings([odd], JobCreationError)


def test_notifications_are_not_passed_over_in_silence(here: Path) -> None:
    told = JobDocument.model_validate({**TASK, "notifications": [{"event": "jobFinished", "type": "email"}]})
    with pytest.warns(UserWarning, match="see `notifications` in the configuration"):
        check_surroundings([told], JobCreationError)


def test_what_was_asked_for(here: Path) -> None:
    entry = Entry("job", "a")
    with pytest.raises(JobGetError):
        document_of(entry)
    entry.write("request", {"document": TASK, "createTime": 5.0})
    assert document_of(entry) == (JobDocument.model_validate(TASK), 5.0)


def test_waiting_tells_whether_it_was_in_vain() -> None:
    answers = iter([False, False, True])
    assert wait_for(lambda: next(answers), 0)
    assert not wait_for(lambda: False, 0.01)
