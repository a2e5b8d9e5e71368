"""Exit codes."""

from __future__ import annotations

import pytest

from daskflow.errors import DaskflowError, StoreFull, UsageError
from daskflow.views.exits import FAILED, USAGE, exit_of


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsageError("no"), USAGE),
        (StoreFull("no"), USAGE),
        (DaskflowError("no"), FAILED),
        (ValueError("no"), FAILED),
        (None, FAILED),
    ],
)
def test_what_the_user_can_mend_before_another_try_has_a_code_of_its_own(error: Exception | None, code: int) -> None:
    assert exit_of(error) == code
