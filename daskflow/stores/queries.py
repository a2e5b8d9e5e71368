"""Loads the named statements of the `.sql` files beside it, and the migrations."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

MIGRATIONS = (
    "0001_journal.sql",
    "0002_control.sql",
    "0003_holdings.sql",
    "0004_usage.sql",
    "0005_works.sql",
    "0006_tokens.sql",
    "0007_schedules.sql",
)
"""In order; the version of a store is how many of these it has had."""

_TEXTS = ("queries.sql", "works.sql", "tokens.sql", "schedules.sql")

_HEAD = re.compile(r"^-- (\w+): .*$", re.MULTILINE)
_PART = re.compile(r"\s*--\? (\w+)$", re.MULTILINE)


@cache
def queries() -> dict[str, str]:
    """All statements by name."""
    found: dict[str, str] = {}
    for text in _TEXTS:
        parts = _HEAD.split(_text(text))
        found |= {name: sql.strip().rstrip(";") for name, sql in zip(parts[1::2], parts[2::2], strict=True)}
    return found


def statement(name: str) -> str:
    """The statement of that name; after a blank the names of its optional parts that are wanted.

    A line that ends with `--? part` is an optional one: planners choose other ways for a condition that is there than
    for one that is switched off by a parameter.
    """
    head, *wanted = name.split()
    lines = []
    for line in queries()[head].splitlines():
        part = _PART.search(line)
        if part is None or part[1] in wanted:
            lines.append(line if part is None else line[: part.start()])
    return "\n".join(lines)


def migration(version: int) -> list[str]:
    """The statements that lift a store from the version before to this one."""
    text = re.sub(r"^--.*$", "", _text(f"migrations/{MIGRATIONS[version - 1]}"), flags=re.MULTILINE)
    return [statement.strip() for statement in text.split(";") if statement.strip()]


def _text(name: str) -> str:
    return Path(__file__).parent.joinpath(name).read_text(encoding="utf-8")
