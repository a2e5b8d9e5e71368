"""Where works are kept, as configured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from daskflow.errors import SettingsInvalid, SiteUnknown
from daskflow.model.work import Work
from daskflow.settings.buckets import Buckets, buckets_of, check_site, open_shelf, sites_of
from daskflow.settings.options import Settings, load, variables_to_hand_on
from daskflow.stores.buckets.remote import RemoteShelf
from daskflow.stores.buckets.table import WorkTable
from tests.conftest import settings_in


def place(buckets: Buckets) -> str:
    assert isinstance(buckets.shelf, WorkTable)
    return buckets.shelf.database.place


def work(site: str = "mars") -> Work:
    return Work(pipeline="sample", site=site, user="ada", function="math.sqrt")


def test_works_are_in_the_store_if_nothing_else_is_said(here: Path) -> None:
    assert place(Buckets()) == str(here / ".daskflow" / "journal.db")
    assert place(Buckets("works.db")) == str(here / "works.db")
    (here / "daskflow.yaml").write_text("works:\n  store: other.db\n")
    assert place(Buckets()) == str(here / "other.db")


def test_sites_must_be_known(here: Path) -> None:
    with Buckets() as buckets, pytest.raises(SiteUnknown, match="mars"):
        buckets.deposit(work())
    for sites in ("mars", "'*'"):
        (here / "daskflow.yaml").write_text(f"works:\n  sites: [{sites}]\n")
        with Buckets() as buckets:
            assert len(buckets.deposit(work())) == 1


@pytest.mark.usefixtures("here")
def test_a_server_knows_its_sites_by_itself() -> None:
    buckets = Buckets("https://flow.example", token="secret-of-ada")
    assert isinstance(buckets.shelf, RemoteShelf)
    buckets._check(work())
    assert "secret" not in f"{buckets.shelf!r} {vars(buckets.shelf.line)}"


def test_the_token_comes_from_the_configuration_or_a_variable(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def token() -> str | None:
        shelf = Buckets("http://127.0.0.1:1").shelf
        assert isinstance(shelf, RemoteShelf)
        secret = shelf.line._token
        return None if secret is None else secret.get_secret_value()

    assert token() is None
    monkeypatch.setenv("DASKFLOW_TOKEN", "one")
    assert token() == "one"
    (here / "daskflow.yaml").write_text("works:\n  token: two\n")
    assert token() == "two"
    monkeypatch.setenv("DASKFLOW_WORKS__TOKEN", "three")
    assert token() == "three"
    assert "three" not in str(load())
    # Batch jobs find neither in their scripts.
    assert variables_to_hand_on() == {}


def test_what_is_no_address() -> None:
    with pytest.raises(SettingsInvalid):
        open_shelf("https://", None)


@pytest.mark.parametrize("wrong", [3, b"works.db", ["works.db"], Settings()])
def test_where_works_are_is_a_text_or_a_path(wrong: Any) -> None:
    with pytest.raises(SettingsInvalid, match=f"A {type(wrong).__name__} does not say where works are"):
        Buckets(wrong)


def test_a_path_says_where_works_are(here: Path) -> None:
    assert place(Buckets(Path("works.db"))) == str(here / "works.db")


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
    assert {"local", "big", "cedar"} <= (sites_of(settings) or set())
    assert sites_of(Settings.model_validate({"works": {"sites": ["*"]}})) is None


def test_who_serves_a_site_has_to_know_it() -> None:
    plain = Settings()
    assert check_site(plain, "local") == check_site(plain, "") == ""
    assert check_site(Settings.model_validate({"works": {"sites": ["*"]}}), "mars") == ""
    with pytest.raises(SiteUnknown, match=r"no site 'mars' .* `works: sites:`"):
        check_site(plain, "mars")
    # A server may know it.
    afar = Settings.model_validate({"works": {"store": "https://works.example.org"}})
    assert "if the server takes works for it" in check_site(afar, "mars")


@pytest.mark.parametrize("url", ["127.0.0.1:8791", "localhost:8791/prefix", "flow.example.org:443/", "[::1]:8791"])
def test_an_address_without_its_http_is_no_file(here: Path, url: str) -> None:
    settings = load().model_copy(update={"works": load().works.model_copy(update={"store": url})})
    for ask in (lambda: Buckets(url), lambda: buckets_of(settings), lambda: check_site(settings, "mars")):
        with pytest.raises(SettingsInvalid) as refused:
            ask()
        assert f"Write http://{url} if" in str(refused.value)
    assert not (here / url.partition("/")[0]).exists()


def test_a_file_may_be_named_like_an_address(here: Path) -> None:
    for url in ("./127.0.0.1:8791", "127.0.0.1:8791"):
        with Buckets(url) as buckets:
            assert buckets.count() == 0
        assert (here / "127.0.0.1:8791").is_file()
