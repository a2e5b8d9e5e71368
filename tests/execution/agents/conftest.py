"""Buckets in a file, and works for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from daskflow.execution.agents.terms import Allowed, Terms
from daskflow.model.work import Work
from daskflow.stores.buckets import Buckets
from daskflow.stores.buckets.shelf import Wanted
from daskflow.stores.buckets.table import WorkTable
from daskflow.stores.database import Database

HOME = "tests.execution.agents.performed"
"""Where the functions are that works name."""
ALL = Allowed((f"{HOME}.*",), ("*",))
"""What agents of tests allow."""
Make = Callable[..., Work]


def terms(**changes: Any) -> Terms:
    return Terms(Wanted(("sample",)), allowed=ALL, sleep=0.05, lease=10.0)._replace(**changes)


def make(name: str = "", **fields: Any) -> Work:
    """A work that names a function of `performed`, or something else."""
    if name:
        fields["function"] = f"{HOME}.{name}"
    return Work(pipeline="sample", site="local", user="ada", **fields)


@pytest.fixture
def buckets(tmp_path: Path) -> Iterator[Buckets]:
    with Buckets(WorkTable(Database(tmp_path / "works.db"))) as found:
        yield found


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory of the test."""
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    return here
