from __future__ import annotations

import re
from importlib import resources

from daskflow.stores.queries import MIGRATIONS, migration, queries


def test_every_query_has_a_name_of_its_own() -> None:
    text = resources.files("daskflow.stores").joinpath("queries.sql").read_text()
    names = re.findall(r"^-- (\w+): ", text, re.MULTILINE)
    assert sorted(names) == sorted(queries())
    assert text.count(";\n") == len(names)


def test_rows_are_in_order_of_the_columns() -> None:
    for name, sql in queries().items():
        if inserted := re.match(r"INSERT INTO \w+ \(([^)]*)\)\s*VALUES \(([^)]*)\)", sql):
            columns, values = (re.findall(r"\w+", part) for part in inserted.groups())
            assert columns == values, name


def test_every_query_is_used() -> None:
    code = "".join(
        path.read_text() for path in resources.files("daskflow.stores").iterdir() if path.name.endswith(".py")
    )
    assert [name for name in queries() if f'"{name}"' not in code] == []


def test_every_migration_is_listed() -> None:
    files = resources.files("daskflow.stores").joinpath("migrations").iterdir()
    assert sorted(file.name for file in files) == list(MIGRATIONS)
    assert [int(name[:4]) for name in MIGRATIONS] == list(range(1, len(MIGRATIONS) + 1))


def test_a_migration_is_a_list_of_statements() -> None:
    for version in range(1, len(MIGRATIONS) + 1):
        for statement in migration(version):
            assert re.match(r"CREATE (TABLE|INDEX) \w+ |ALTER TABLE \w+ ADD COLUMN ", statement)
