"""Who may do what."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from daskflow.model.access import Scope, TokenRecord


def record(*scopes: Scope) -> TokenRecord:
    return TokenRecord(id="1", name="ada", scopes=frozenset(scopes), created=0.0)


@pytest.mark.parametrize("scope", [Scope.read, Scope.deposit, Scope.perform])
def test_a_scope_allows_itself_and_nothing_else(scope: Scope) -> None:
    assert [each for each in Scope if record(scope).allows(each)] == [scope]


def test_admin_allows_all() -> None:
    assert all(record(Scope.admin).allows(each) for each in Scope)


def test_one_of_several_is_enough() -> None:
    assert record(Scope.read).allows(Scope.deposit, Scope.read)
    assert not record(Scope.read).allows()


def test_a_record_does_not_change() -> None:
    with pytest.raises(ValidationError):
        record(Scope.read).name = "bob"
