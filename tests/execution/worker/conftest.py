"""A process within a batch job, for as long as a test takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from daskflow.sites import notice
from daskflow.sites.allocation import Allocation, settle
from tests.execution.worker.allocations import allocation

Settle = Callable[..., Allocation]


@pytest.fixture
def settled() -> Iterator[Settle]:
    """Says that this process is in a batch job, as it was left otherwise."""

    def say(**fields: Any) -> Allocation:
        made = allocation(**fields)
        settle(made)
        return made

    yield say
    settle(None)
    notice.withdraw()
