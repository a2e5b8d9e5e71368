"""Exit codes."""

from __future__ import annotations

import pytest

from daskflow.errors import (
    DaskflowError,
    ServerSilent,
    StoreError,
    StoreFull,
    StoreMissing,
    StoreTooNew,
    StoreUnavailable,
    UsageError,
)
from daskflow.views.exits import FAILED, USAGE, exit_of
from tests.views.conftest import Place

AWAY = "postgresql://ann@127.0.0.1:1/daskflow"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsageError("no"), USAGE),
        (StoreError("let nobody in"), USAGE),
        (StoreTooNew("no"), USAGE),
        (StoreMissing("no"), USAGE),
        (StoreUnavailable("no"), FAILED),
        (StoreFull("no"), FAILED),
        (ServerSilent("no"), FAILED),
        (DaskflowError("no"), FAILED),
        (ValueError("no"), FAILED),
        (None, FAILED),
    ],
)
def test_what_the_user_can_mend_before_another_try_has_a_code_of_its_own(error: Exception | None, code: int) -> None:
    assert exit_of(error) == code


def test_a_store_that_does_not_answer_is_no_mistake_of_who_asks(place: Place) -> None:
    place.write("there", "bytes")
    place.run("artifact", "put", "there")
    place.environment["DASKFLOW_STORE"] = AWAY
    for command in (
        ["work", "view"],
        ["work", "status"],
        ["work", "audit"],
        ["work", "run", "sample", "--site", "local", "--lives", "1"],
        ["token", "ls"],
        ["runs"],
        ["artifact", "info", "there"],
    ):
        assert "127.0.0.1:1/daskflow does not answer" in place.error(*command, code=FAILED)
    assert "1 it failed or the store does not answer, 2 usage" in " ".join(place.run("--help").split())


def test_where_nothing_was_recorded_nothing_can_be_shown(place: Place) -> None:
    assert "There is no journal" in place.error("runs", code=USAGE)
