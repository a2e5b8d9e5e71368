"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path

import pytest

from daskflow.errors import SettingsInvalid
from daskflow.views.options import configured


def test_site_of_the_command_line_wins(tmp_path: Path) -> None:
    file = tmp_path / "some.yaml"
    file.write_text("site: threads\n")
    assert configured(file).site == "threads"
    assert configured(file, "synchronous").site == "synchronous"


def test_missing_configuration_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid, match=r"nothing\.yaml"):
        configured(tmp_path / "nothing.yaml")
