from __future__ import annotations

import getpass
from pathlib import Path

import pytest

from daskflow.execution.bucketing.site import BucketSite
from daskflow.settings.bucketsites import bucket_site
from daskflow.settings.parts import open_project, values_of
from daskflow.stores.buckets.table import WorkTable
from tests.conftest import settings_in


def test_every_site_has_a_bucket_beside_it(tmp_path: Path) -> None:
    project = open_project(settings_in(tmp_path, works={"sites": ["faraway"], "pipeline": "flows"}))
    for name in ("local", "synchronous", "faraway"):
        site = project.site(f"{name}:bucket")
        assert isinstance(site, BucketSite)
        assert site.name == f"{name}:bucket"
        assert (site._means.site, site._means.pipeline) == (name, "flows")
    assert not project.has_site("faraway")
    assert "faraway" not in project._site_names()
    project.close()


def test_works_are_where_they_are_configured_to_be(tmp_path: Path) -> None:
    for works, place in (({}, "journal.db"), ({"store": str(tmp_path / "works.db")}, "works.db")):
        settings = settings_in(tmp_path, works=works)
        with bucket_site("local", settings, values_of(settings))._means.buckets() as buckets:
            assert isinstance(buckets.shelf, WorkTable)
            assert buckets.count() == 0
            assert (tmp_path / place).exists()


def test_a_user_without_a_name_has_works_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> str:
        raise KeyError("uid not found")

    monkeypatch.setattr(getpass, "getuser", nobody)
    settings = settings_in(tmp_path)
    assert bucket_site("local", settings, values_of(settings))._means.user == "unknown"
