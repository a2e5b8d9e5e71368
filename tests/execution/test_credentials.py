from __future__ import annotations

import pickle
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keyring
import pytest
from keyring.backend import KeyringBackend
from keyring.credentials import SimpleCredential
from keyring.errors import KeyringLocked

from daskflow.errors import CredentialsMissing, ExtraMissing, SettingsInvalid
from daskflow.execution.credentials import Credentials, credentials, forwarding, is_reference, revealed
from daskflow.settings.options import Settings, load
from tests.conftest import Lab


class Ring(KeyringBackend):
    """A keyring in memory."""

    priority = 1.0

    def __init__(self, *, tells_users: bool = True) -> None:
        self.kept: dict[tuple[str, str], str] = {}
        self.tells_users = tells_users

    def get_password(self, service: str, username: str) -> str | None:
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.kept[service, username] = password

    def get_credential(self, service: str, username: str | None) -> SimpleCredential | None:
        found = [user for place, user in self.kept if place == service and self.tells_users]
        return SimpleCredential(found[0], self.kept[service, found[0]]) if found else None


class LockedRing(Ring):
    def get_password(self, service: str, username: str) -> str | None:
        raise KeyringLocked("hush-hush")

    def get_credential(self, service: str, username: str | None) -> SimpleCredential | None:
        raise KeyringLocked("hush-hush")


def use(ring: Ring) -> Ring:
    keyring.set_keyring(ring)
    return ring


@pytest.fixture(autouse=True)
def ring() -> Iterator[Ring]:
    before = keyring.get_keyring()
    yield use(Ring())
    keyring.set_keyring(before)


@pytest.mark.parametrize(
    ("place", "variable"),
    [
        ("cedar-2", "CEDAR_2"),
        ("https://archive.example.org:8443/a?b=c", "ARCHIVE_EXAMPLE_ORG"),
        ("s3://bucket/key", "BUCKET"),
    ],
)
@pytest.mark.parametrize(
    ("text", "expected"), [("me:a:b", ("me", "a:b")), ("t0ken", ("", "t0ken")), (":t0:ken", ("", "t0:ken"))]
)
def test_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, place: str, variable: str, text: str, expected: tuple[str, str]
) -> None:
    monkeypatch.setenv(f"DASKFLOW_CREDENTIALS_{variable}", text)
    found = credentials(place)
    assert found.reveal() == expected
    assert found.user == expected[0]


@pytest.mark.parametrize("tells_users", [True, False])
def test_from_the_keyring(tells_users: bool) -> None:
    ring = use(Ring(tells_users=tells_users))
    ring.kept["daskflow:archive", "token"] = "t0ken"
    assert credentials("archive").reveal() == ("", "t0ken")
    if tells_users:
        ring.kept["daskflow:cedar", "me"] = "hush-hush"
        assert credentials("cedar").reveal() == ("me", "hush-hush")


def test_the_environment_comes_before_the_keyring(ring: Ring, monkeypatch: pytest.MonkeyPatch) -> None:
    ring.kept["daskflow:archive", "me"] = "old"
    monkeypatch.setenv("DASKFLOW_CREDENTIALS_ARCHIVE", "you:new")
    assert credentials("archive").reveal() == ("you", "new")


def test_both_places_are_named_where_there_is_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CredentialsMissing, match=r"keyring set daskflow:a\.b USER.* DASKFLOW_CREDENTIALS_A_B"):
        credentials("https://a.b/c")
    use(LockedRing())
    with pytest.raises(CredentialsMissing, match=r"cannot be used here now \(KeyringLocked\)"):
        credentials("archive")
    monkeypatch.setitem(sys.modules, "keyring", None)
    with pytest.raises(CredentialsMissing, match=r"pip install 'daskflow\[notify\]'"):
        credentials("archive")


@pytest.mark.parametrize("place", ["", "file:///data", "https://me:hush-hush@/x"])
def test_what_has_no_host_has_no_credentials(place: str) -> None:
    with pytest.raises(CredentialsMissing, match="names neither a site nor a host") as caught:
        credentials(place)
    assert "hush-hush" not in str(caught.value)


def test_a_handle_shows_and_pickles_its_name_only(ring: Ring) -> None:
    ring.kept["daskflow:archive", "me"] = "hush-hush"
    handle = credentials("https://archive/x")
    assert repr(handle) == str(handle) == "<Credentials archive>"
    assert b"hush-hush" not in pickle.dumps([handle], protocol=5)
    again = pickle.loads(pickle.dumps(handle))
    assert again == handle
    assert len({handle, again, credentials("archive")}) == 1
    assert again.reveal() == ("me", "hush-hush"), "looked up where it is needed"


def test_a_forwarded_handle_brings_its_secret_and_does_not_hand_it_on(ring: Ring) -> None:
    ring.kept["daskflow:archive", "me"] = "hush-hush"
    with forwarding():
        sent = pickle.dumps({"auth": Credentials("archive")})
    ring.kept.clear()
    arrived = pickle.loads(sent)["auth"]
    assert arrived.reveal() == ("me", "hush-hush")
    assert b"hush-hush" not in pickle.dumps(arrived)
    with forwarding(), pytest.raises(CredentialsMissing):
        pickle.dumps(Credentials("archive"))


def test_references_are_resolved_and_hidden(ring: Ring, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A", "hush")
    monkeypatch.setenv("B", "${A}")
    ring.kept["notifications/x", "slack"] = "slack://a/b/c"
    assert revealed("x://${A}:${B}@host/$C").get_secret_value() == "x://hush:${A}@host/$C"
    assert revealed("keyring:notifications/x/slack").get_secret_value() == "slack://a/b/c"
    assert "hush" not in repr(revealed("${A}"))
    assert [is_reference(text) for text in ("${A}", "keyring:a/b", "json://host")] == [True, True, False]


def test_references_that_lead_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GONE", raising=False)
    with pytest.raises(CredentialsMissing, match=r"The variable GONE is not set"):
        revealed("json://${GONE}")
    with pytest.raises(CredentialsMissing, match="`keyring set notifications slack`"):
        revealed("keyring:notifications/slack")
    use(LockedRing())
    with pytest.raises(CredentialsMissing, match=r"cannot be asked for keyring:a/b \(KeyringLocked\)"):
        revealed("keyring:a/b")
    monkeypatch.setitem(sys.modules, "keyring", None)
    with pytest.raises(ExtraMissing, match=r"pip install 'daskflow\[notify\]'"):
        revealed("keyring:a/b")


def test_variables_with_credentials_are_no_options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DASKFLOW_CREDENTIALS_ARCHIVE", "me:hush-hush")
    assert load() == Settings()
    monkeypatch.setenv("DASKFLOW_CREDENTIAL_ARCHIVE", "me:hush-hush")
    with pytest.raises(SettingsInvalid, match="DASKFLOW_CREDENTIAL_ARCHIVE names no option") as caught:
        load()
    assert "hush-hush" not in str(caught.value)


@pytest.mark.parametrize("site", ["local", "synchronous"])
def test_only_the_job_gets_the_secret(
    lab: Lab, ring: Ring, tmp_path: Path, caplog: pytest.LogCaptureFixture, site: str
) -> None:
    caplog.set_level(1)
    ring.kept["daskflow:archive", "me"] = "hush-hush"
    handle = credentials("archive")

    @lab.task
    def ask(nested: dict[str, Any]) -> Any:
        auth = nested["auth"]
        print("asking with", auth)
        return auth, "".join(reversed(auth.reveal()[1]))

    @lab.flow(site=site)
    def study(auth: Any) -> Any:
        return ask({"auth": auth})

    returned, secret = study(handle)
    assert secret == "hsuh-hsuh"
    assert returned == handle
    ring.kept["daskflow:archive", "me"] = "another"
    assert study(credentials("archive"))[1] == "hsuh-hsuh", "a new password is no new job"
    (run, *_) = lab.project.journal.runs()
    assert run.payload is not None
    lab.close()
    assert [path for path in tmp_path.rglob("*") if path.is_file() and b"hush-hush" in path.read_bytes()] == []
    assert "hush-hush" not in caplog.text
    assert list(tmp_path.rglob("*.db")), "there was something to look at"


@pytest.mark.parametrize("policy", [{"retries": 1}, {"timeout": "1 min"}], ids=str)
def test_each_attempt_gets_the_secret(lab: Lab, ring: Ring, policy: dict[str, Any]) -> None:
    ring.kept["daskflow:archive", "me"] = "hush-hush"

    @lab.task(**policy)
    def ask(auth: Any) -> Any:
        return "".join(reversed(auth.reveal()[1]))

    # Its worker has another keyring than the driver.
    assert ask(credentials("archive"), site="local").result(60) == "hsuh-hsuh"
