"""The site of the works of pipelines, as configured."""

from __future__ import annotations

from pathlib import Path

import pytest

from daskflow.errors import SiteUnknown
from daskflow.settings.depositing import SITE, depositor
from daskflow.settings.parts import open_project
from tests.conftest import settings_in


def test_every_project_has_the_site_and_lists_it_to_nobody(tmp_path: Path) -> None:
    project = open_project(settings_in(tmp_path))
    try:
        assert type(project.site(SITE)) is type(depositor(settings_in(tmp_path)))
        with pytest.raises(SiteUnknown) as caught:
            project.site("moon")
        assert SITE not in str(caught.value)
    finally:
        project.close()
