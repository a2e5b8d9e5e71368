"""Results of a stranger are made anew, and never loaded."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Lab
from tests.execution.counting import count, counted


def key(path: Path) -> Path:
    path.write_text(os.urandom(32).hex())
    path.chmod(0o600)
    return path


@pytest.mark.parametrize("size", [1, 100_000])
def test_what_another_key_signed_is_made_anew(lab: Lab, tmp_path: Path, size: int) -> None:
    notes = tmp_path / "notes"
    notes.mkdir()
    directory, mine, theirs = str(notes), key(tmp_path / "mine"), key(tmp_path / "theirs")

    def run(by: Path) -> Any:
        nonlocal lab
        lab = lab.again()
        lab.settings = lab.settings.model_copy(update={"signing_key": by})

        @lab.task
        def first() -> Any:
            count(directory, "first")
            return ["x" * size]

        @lab.task
        def second(value: Any) -> Any:
            count(directory, "second")
            return [len(value[0])]

        @lab.flow
        def study() -> Any:
            return second(first())

        return study()

    assert [run(theirs), run(theirs)] == [[size]] * 2
    assert counted(notes) == {"first": 1, "second": 1}
    assert [run(mine), run(mine)] == [[size]] * 2
    assert counted(notes) == {"first": 2, "second": 2}
    lab.close()
