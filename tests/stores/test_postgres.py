from __future__ import annotations

import os
import pickle
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from daskflow.errors import ExtraMissing, SettingsInvalid, StoreError, StoreUnavailable
from daskflow.stores import Database, Journal
from daskflow.stores.postgres import PostgreSQL
from tests.services.ports import free_port
from tests.services.postgres import Postgres
from tests.stores.samples import run_record


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("postgresql://ann:secret@db.org/x", "postgresql://ann@db.org/x"),
        ("postgres://ann:s%40%2Fcret@db.org:5433/x?sslmode=require", "postgresql://ann@db.org:5433/x?sslmode=require"),
        ("postgresql://db/x?schema=study&password=secret", "postgresql://db/x?schema=study"),
        ("postgresql://db/x?schema=daskflow&sslpassword=secret", "postgresql://db/x"),
        ("postgresql://a%20b@[::1]:5432/x%20y", "postgresql://a%20b@[::1]:5432/x%20y"),
        ("postgresql://db1:1,db2:2/x", "postgresql://db1:1,db2:2/x"),
        ("postgresql:///x?host=/run/postgresql", "postgresql:///x?host=/run/postgresql"),
        ("postgresql://", "postgresql:///"),
    ],
)
def test_urls_are_shown_without_a_password(url: str, place: str) -> None:
    database = Database(url)
    assert (database.kind, database.place, database.url) == ("postgresql", place, place)
    assert Database(place).place == place
    for shown in (repr(database), repr(pickle.loads(pickle.dumps(database)))):
        assert shown == f"Database({place!r})"


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ann:se/cret@db/x",
        "postgresql://ann:12/secret@db/x",
        "postgresql://ann:secret@db:port/x?nonsense",
        "postgresql://ann:secret@db/x?schema=Study",
        "postgresql://ann:secret@db/x?schema=pg_own",
        "postgresql://ann:secret@db/x?schema=a;DROP",
        "postgresql://ann:%secret@db/x",
        "postgresql://ann:secret@db/x?nonsense=1",
        f"postgresql://ann:secret@db/x?schema={'a' * 41}",
    ],
)
def test_urls_that_do_not_fit_are_not_shown(url: str) -> None:
    with pytest.raises(SettingsInvalid) as caught:
        Database(url)
    assert "cret" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_pickle_opens_the_same_store_by_the_same_password() -> None:
    copy = pickle.loads(pickle.dumps(Database("postgresql://ann:secret@db/x")))
    assert copy._dialect._options["password"] == "secret"


@pytest.mark.parametrize(
    ("url", "shared"),
    [
        ("postgresql://db.org/x", True),
        ("postgresql://localhost/x", False),
        ("postgresql:///x?host=/run/postgresql", False),
        ("postgresql:///x", False),
        ("postgresql:///x?service=group", True),
    ],
)
def test_other_machines_reach_a_server_by_its_name(url: str, shared: bool) -> None:
    assert PostgreSQL(url).shared is shared


def test_without_the_driver_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(ExtraMissing, match=r"pip install 'daskflow\[postgres\]'"):
        Database("postgresql://db/x")


def test_words() -> None:
    dialect = PostgreSQL("postgresql://db/x")
    assert dialect.render("SELECT a::INTEGER, '50% :x {y} JSON' WHERE b LIKE :b AND c % 2 = 0 -- :no\n") == (
        "SELECT a::BIGINT, '50%% :x {y} JSON' WHERE b LIKE %(b)s AND c %% 2 = 0 -- :no\n"
    )
    assert dialect.render("CREATE TABLE a (\n    b TEXT\n)") == 'CREATE TABLE a (\n    b TEXT COLLATE "C"\n)'
    assert dialect.render("SELECT CAST(a AS TEXT) FROM t") == "SELECT CAST(a AS TEXT) FROM t"
    assert dialect.positional("VALUES (%(a)s, %(b)s)") == "VALUES (%s, %s)"
    given = ["a\0b", "\udcff", True, 1.5, None, b"\0"]
    assert [dialect.stored(value) for value in given] == ["a\\x00b", "\\udcff", 1, 1.5, None, b"\0"]


def test_nobody_listens() -> None:
    port = free_port()
    with pytest.raises(StoreUnavailable, match="Check that the server runs") as caught:
        Database(f"postgresql://ann:secret@127.0.0.1:{port}/x").open()
    assert caught.value.transient
    assert "secret" not in str(caught.value)


def test_no_such_database(postgres_server: Postgres) -> None:
    with pytest.raises(StoreError, match=r"nowhere.*createdb") as caught:
        Database(postgres_server.url("nowhere")).open()
    assert not caught.value.transient


def test_passwords(postgres_server: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPASSFILE", str(tmp_path / "pgpass"))
    with postgres_server.guarded_by_password("ann", "s@cret"), postgres_server.database() as url:
        name = url.rpartition("/")[2]
        with postgres_server.connect() as connection:
            connection.execute(f"ALTER DATABASE {name} OWNER TO ann")
        with pytest.raises(StoreError, match=r"does not let us in.*PGPASSWORD"):
            Database(postgres_server.url(name, user="ann")).open()
        with pytest.raises(StoreError, match="does not let us in") as caught:
            Database(postgres_server.url(name, user="ann:wrong-secret")).open()
        assert "wrong-secret" not in str(caught.value)
        with Database(postgres_server.url(name, user="ann:s%40cret")) as database:
            Journal(database).add_run(run_record())
        monkeypatch.setenv("PGPASSWORD", "s@cret")
        with Database(database.url, readonly=True) as database:
            assert len(Journal(database).runs()) == 1
        monkeypatch.delenv("PGPASSWORD")
        (tmp_path / "pgpass").write_text(f"127.0.0.1:{postgres_server.port}:*:ann:s@cret\n")
        (tmp_path / "pgpass").chmod(0o600)
        with Database(database.url) as database:
            assert len(Journal(database).runs()) == 1


def test_who_may_not_make_a_schema_is_told_what_to_ask_for(postgres_server: Postgres, tmp_path: Path) -> None:
    with postgres_server.guarded_by_password("ann", "pw"), postgres_server.database() as url:
        name = url.rpartition("/")[2]
        with Database(postgres_server.url(name, user="ann:pw")) as database:
            with pytest.raises(StoreError, match="CREATE SCHEMA"):
                database.open()
            with postgres_server.connect(name) as connection:
                connection.execute("CREATE SCHEMA daskflow AUTHORIZATION ann")
            database.open()
            assert database.rows("schema_version")


def test_another_encoding_is_refused(postgres_server: Postgres) -> None:
    options = "ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0"
    told = pytest.raises(StoreError, match=r"SQL_ASCII.*createdb --encoding UTF8")
    with postgres_server.database(options) as url, told:
        Database(url).open()


def test_schemas_of_one_database_are_journals_of_their_own(postgres_server: Postgres) -> None:
    with postgres_server.database() as url, ExitStack() as stack:
        one, two, plain = (
            stack.enter_context(Database(f"{url}{schema}")) for schema in ("?schema=one", "?schema=two", "")
        )
        for number, database in enumerate((one, two, plain)):
            for run in range(number):
                Journal(database).add_run(run_record(f"run{run}"))
        assert [len(Journal(database).runs()) for database in (one, two, plain)] == [0, 1, 2]
        with one.transaction(), two.transaction():
            Journal(two).add_run(run_record("at the same time"))


def test_importing_the_stores_does_not_import_the_driver() -> None:
    code = "import sys; from daskflow.stores import Database; Database('a.db'); sys.exit('psycopg' in sys.modules)"
    assert os.spawnl(os.P_WAIT, sys.executable, sys.executable, "-c", code) == 0
