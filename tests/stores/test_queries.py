from __future__ import annotations

import re
from importlib import resources
from pathlib import Path

import pytest

from daskflow.stores.dialect import Dialect
from daskflow.stores.postgres import PostgreSQL
from daskflow.stores.queries import MIGRATIONS, migration, queries, statement
from daskflow.stores.sqlite import SQLite

STORES = Path(str(resources.files("daskflow.stores")))


def test_every_query_has_a_name_of_its_own() -> None:
    texts = [path.read_text() for path in STORES.glob("*.sql")]
    names = [name for text in texts for name in re.findall(r"^-- (\w+): ", text, re.MULTILINE)]
    assert sorted(names) == sorted(queries())
    assert sum(text.count(";\n") for text in texts) == len(names)


def test_rows_are_in_order_of_the_columns() -> None:
    journal = re.findall(r"^-- (\w+): ", (STORES / "queries.sql").read_text(), re.MULTILINE)
    for name, sql in queries().items():
        if inserted := re.match(r"INSERT INTO \w+ \(([^)]*)\)\s*VALUES \(([^)]*)\)", sql):
            columns, values = ([each.strip() for each in part.split(",")] for part in inserted.groups())
            assert len(columns) == len(values), name
            # Rows of the journal are given by their places.
            if name in journal and all(re.fullmatch(r":\w+", value) for value in values):
                assert values == [f":{column}" for column in columns], name


def test_every_query_is_used() -> None:
    code = "".join(path.read_text() for path in STORES.rglob("*.py"))
    # Of some there is one for each database, or one for few and one for many.
    made = tuple(re.findall(r'"(\w+_)\{[\w.]+\}"', code))
    assert [name for name in queries() if f'"{name}"' not in code and not name.startswith(made)] == []


@pytest.mark.parametrize("dialect", [SQLite(Path("journal.db")), PostgreSQL("postgresql://db/x")], ids=["sqlite", "pg"])
def test_every_statement_is_rendered_whole(dialect: Dialect) -> None:
    for name in queries():
        text = dialect.render(statement(name))
        assert not re.search(r"[{}]|\bCLOCK\b", text), name


def test_every_migration_is_listed() -> None:
    files = resources.files("daskflow.stores").joinpath("migrations").iterdir()
    assert sorted(file.name for file in files) == list(MIGRATIONS)
    assert [int(name[:4]) for name in MIGRATIONS] == list(range(1, len(MIGRATIONS) + 1))


def test_a_migration_is_a_list_of_statements() -> None:
    for version in range(1, len(MIGRATIONS) + 1):
        for text in migration(version):
            assert re.match(r"CREATE (TABLE|INDEX) \w+ |ALTER TABLE \w+ ADD COLUMN ", text)


def test_optional_parts_are_there_when_they_are_named() -> None:
    assert "AND site IN" not in statement("works_found")
    whole = statement("works_found site event")
    assert "AND site IN {sites}" in whole
    assert "kind = 'event'" in whole
    assert "kind = 'tag'" not in whole
    assert "--?" not in whole
    assert statement("work") == queries()["work"]
