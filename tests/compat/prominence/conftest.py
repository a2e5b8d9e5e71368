"""A directory with a configuration of its own, in which jobs are performed by threads: they start at once."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from daskflow.compat.prominence.driver import performed
from daskflow.compat.prominence.job import Job
from daskflow.compat.prominence.ledger import Entry, new_id
from daskflow.compat.prominence.workflow import Workflow
from daskflow.errors import RunFailed
from daskflow.settings.front import launcher
from tests.compat.prominence.jobs import made

CONFIGURATION = "site: threads\ncontainers: [charliecloud, bubblewrap]\n"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The directory, in which this process works."""
    launcher.close()
    (tmp_path / "daskflow.yaml").write_text(CONFIGURATION)
    monkeypatch.chdir(tmp_path)
    # Else the store counts in which a job of an earlier test was performed, as it does on workers.
    launcher.project()
    # What performs a job in a process of its own listens to this signal for good.
    before = signal.getsignal(signal.SIGTERM)
    yield tmp_path
    signal.signal(signal.SIGTERM, before)
    launcher.close()


@pytest.fixture
def perform(here: Path) -> Callable[[Job | Workflow], None]:
    """Performs a job or workflow in this process, as the process of its own does."""

    def now(one: Job | Workflow) -> None:
        entry = Entry("job" if isinstance(one, Job) else "workflow", new_id())
        entry.write("request", {"document": one.to_dict(), "createTime": 1.0})
        with contextlib.suppress(RunFailed):
            performed(entry.kind, entry.id)
        one.id = entry.id

    return now


@pytest.fixture
def job() -> Callable[..., Job]:
    """Makes a job of commands."""

    return made
