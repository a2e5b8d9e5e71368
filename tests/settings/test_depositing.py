"""The site of the works of pipelines, as configured."""

from __future__ import annotations

from pathlib import Path

import pytest

from daskflow.errors import SiteUnknown
from daskflow.model.work import Work
from daskflow.settings.depositing import SITE, buckets_of, depositor, sites_of
from daskflow.settings.options import Settings
from daskflow.settings.parts import open_project
from tests.conftest import settings_in


def test_the_buckets_lie_where_works_are_configured_to_be(tmp_path: Path) -> None:
    settings = settings_in(tmp_path, works={"store": str(tmp_path / "works.db"), "sites": ["cedar"]})
    with buckets_of(settings) as buckets:
        buckets.deposit(Work(pipeline="p", site="cedar", user="u"))
        with pytest.raises(SiteUnknown):
            buckets.deposit(Work(pipeline="p", site="moon", user="u"))
    assert (tmp_path / "works.db").is_file()
    assert not (tmp_path / "journal.db").exists()


def test_the_sites_are_those_of_the_configuration_and_of_agents() -> None:
    settings = Settings.model_validate({"sites": {"big": {"kind": "threads"}}, "works": {"sites": ["cedar"]}})
    assert {"local", "big", "cedar"} <= sites_of(settings)


def test_every_project_has_the_site_and_lists_it_to_nobody(tmp_path: Path) -> None:
    project = open_project(settings_in(tmp_path))
    try:
        assert type(project.site(SITE)) is type(depositor(settings_in(tmp_path)))
        with pytest.raises(SiteUnknown) as caught:
            project.site("moon")
        assert SITE not in str(caught.value)
    finally:
        project.close()
