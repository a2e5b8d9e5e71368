from __future__ import annotations

import psycopg
import pytest
from psycopg import errors

from daskflow.errors import StoreError, StoreFull, StoreUnavailable
from daskflow.stores.refusals import refusal, unreachable

PLACE = "postgresql://ann@db/x"


@pytest.mark.parametrize(
    ("text", "kind", "cure"),
    [
        ("Connection refused", StoreUnavailable, "Check that the server runs"),
        ('FATAL:  password authentication failed for user "ann"', StoreError, "~/.pgpass"),
        ("fe_sendauth: no password supplied", StoreError, "PGPASSWORD"),
        ('FATAL:  role "ann" does not exist', StoreError, "Check the user"),
        ('FATAL:  database "x" does not exist', StoreError, "createdb"),
        ("FATAL:  sorry, too many clients already", StoreUnavailable, "max_connections"),
        ("FATAL:  remaining connection slots are reserved for superusers", StoreUnavailable, "max_connections"),
        ("FATAL:  the database system is starting up", StoreUnavailable, "try again"),
    ],
)
def test_why_no_connection_came_about(text: str, kind: type[StoreError], cure: str) -> None:
    found = unreachable(psycopg.OperationalError(f"connection failed: {text}\n"), PLACE)
    assert type(found) is kind
    for part in (PLACE, " ".join(text.split()), cure):
        assert part in str(found)
    assert "\n" not in str(found)


@pytest.mark.parametrize(
    ("error", "kind", "cure"),
    [
        (errors.DiskFull("could not extend file"), StoreFull, "Free some space"),
        (errors.TooManyConnections("too many"), StoreUnavailable, "max_connections"),
        (errors.LockNotAvailable("lock timeout"), StoreUnavailable, "locked for too long"),
        (errors.DeadlockDetected("deadlock"), StoreUnavailable, "Try again"),
        (errors.SerializationFailure("serialize"), StoreUnavailable, "Try again"),
        (errors.AdminShutdown("terminating"), StoreUnavailable, "Try again"),
        (errors.ReadOnlySqlTransaction("read-only"), StoreUnavailable, "standby"),
        (errors.IdleInTransactionSessionTimeout("idle"), StoreUnavailable, "did nothing for too long"),
        (errors.InsufficientPrivilege("permission denied"), StoreError, "GRANT CREATE"),
        (errors.UniqueViolation("duplicate key"), StoreError, "duplicate key"),
        (errors.UndefinedTable("no such table"), StoreError, "no such table"),
        (psycopg.OperationalError("server closed the connection"), StoreUnavailable, "may be there or not"),
        (psycopg.DataError("odd data"), StoreError, "odd data"),
    ],
)
def test_why_a_statement_did_not_do_what_it_should(error: psycopg.Error, kind: type[StoreError], cure: str) -> None:
    found = refusal(error, PLACE)
    assert type(found) is kind
    assert PLACE in str(found)
    assert cure in str(found)
