from __future__ import annotations

from pathlib import Path

import pytest

from daskflow.artifacts.forms import signing as signatures
from daskflow.artifacts.forms.signing import Signer
from daskflow.artifacts.store import known
from daskflow.errors import SettingsInvalid
from daskflow.settings.signing import prepare_agent
from tests.conftest import settings_in


def test_an_agent_knows_the_configured_key_and_the_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signatures, "_KEYS", {})
    key = tmp_path / "key"
    key.write_text("ab" * 32)
    key.chmod(0o600)
    settings = settings_in(tmp_path, signing_key=key, storage={"region": "nowhere"})
    prepare_agent(settings)
    assert list(signatures._KEYS.values()) == [bytes.fromhex("ab" * 32)]
    (id,) = signatures._KEYS
    assert Signer(id).key == bytes.fromhex("ab" * 32)
    store = known(settings.artifacts)
    assert store is not None
    assert store.options == {"region": "nowhere"}


def test_without_one_no_key_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    prepare_agent(settings_in(tmp_path))
    assert not (tmp_path / "config").exists()


def test_a_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("ab" * 32)
    key.chmod(0o644)
    with pytest.raises(SettingsInvalid, match="mode 644"):
        prepare_agent(settings_in(tmp_path, signing_key=key))
