"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path

import pytest

from daskflow.errors import SettingsInvalid, StoreUnavailable
from daskflow.views.options import configured, reading


def test_site_of_the_command_line_wins(tmp_path: Path) -> None:
    file = tmp_path / "some.yaml"
    file.write_text("site: threads\n")
    assert configured(file).site == "threads"
    assert configured(file, "synchronous").site == "synchronous"


def test_who_only_looks_makes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with reading(None) as project, pytest.raises(StoreUnavailable, match="no journal"):
        project.journal.runs()
    assert list(tmp_path.iterdir()) == []


def test_missing_configuration_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid, match=r"nothing\.yaml"):
        configured(tmp_path / "nothing.yaml")
