from __future__ import annotations

from pathlib import Path

from daskflow.stores.dialect import Connection, Dialect
from daskflow.stores.sqlite import SQLite


def test_sqlite_offers_all_that_a_journal_needs(tmp_path: Path) -> None:
    dialect: Dialect = SQLite(tmp_path / "journal.db")
    connection: Connection = dialect.connect(writing=True)
    assert dialect.place == str(tmp_path / "journal.db")
    assert not dialect.has_tables(connection)
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("CREATE TABLE schema_version (version INTEGER)")
    assert connection.in_transaction
    assert dialect.has_tables(connection)
    connection.execute("ROLLBACK")
    assert not dialect.has_tables(connection)
    connection.close()
