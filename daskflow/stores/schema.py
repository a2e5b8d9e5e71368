"""Brings the tables of a store to the version that this daskflow knows."""

from __future__ import annotations

import time

from daskflow.errors import StoreTooNew, StoreUnavailable
from daskflow.stores.dialect import Connection, Dialect
from daskflow.stores.queries import MIGRATIONS, migration, queries

VERSION = len(MIGRATIONS)
"""The version of the tables that this daskflow reads and writes."""


def version_of(connection: Connection, dialect: Dialect) -> int:
    """How many migrations the store has had; 0 for an empty one."""
    if not dialect.has_tables(connection):
        return 0
    return int(connection.execute(dialect.render(queries()["schema_version"])).fetchall()[0][0] or 0)


def bring_up(connection: Connection, dialect: Dialect) -> None:
    """Apply the migrations that are missing.

    Raises
    ------
    StoreTooNew
        A newer daskflow made the store.

    Notes
    -----
    Each migration is one transaction that looks again once it holds the lock, so any number of
    processes may open a fresh store at the same moment.
    """
    while (version := version_of(connection, dialect)) < VERSION:
        dialect.begin(connection, ordered=True)
        try:
            if version_of(connection, dialect) == version:
                _lift(connection, dialect, version + 1)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
    _refuse_newer(version, dialect)


def check(connection: Connection, dialect: Dialect) -> None:
    """Refuse, for reading only, a store of another version.

    Raises
    ------
    StoreTooNew, StoreUnavailable
    """
    version = version_of(connection, dialect)
    _refuse_newer(version, dialect)
    if version < VERSION:
        raise StoreUnavailable(
            f"{dialect.place} has tables of version {version}, this daskflow reads version {VERSION}. "
            "Run any flow with it once, which brings it up to date."
        )


def _refuse_newer(version: int, dialect: Dialect) -> None:
    if version > VERSION:
        raise StoreTooNew(
            f"{dialect.place} was made by a newer daskflow: it has version {version}, this daskflow "
            f"knows version {VERSION}. Upgrade daskflow, or point `store` to another place."
        )


def _lift(connection: Connection, dialect: Dialect, version: int) -> None:
    if version == 1:
        dialect.prepare(connection)
    for statement in migration(version):
        connection.execute(dialect.render(statement))
    connection.execute(dialect.render(queries()["add_schema_version"]), {"version": version, "applied": time.time()})
