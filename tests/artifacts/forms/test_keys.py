from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from daskflow.artifacts.forms.keys import key_in, own_key
from daskflow.errors import SettingsInvalid


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))
    return tmp_path / "home" / "daskflow" / "key"


def test_it_is_made_once_for_its_owner_alone(place: Path) -> None:
    key = own_key()
    assert len(key) == 32
    assert own_key() == key
    assert place.stat().st_mode & 0o777 == 0o600
    assert place.parent.stat().st_mode & 0o777 == 0o700
    assert [path.name for path in place.parent.iterdir()] == ["key"], "nothing else is left"


def test_many_processes_at_once_get_one_key(place: Path) -> None:
    code = "from daskflow.artifacts.forms.keys import own_key; print(own_key().hex())"
    started = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(4)]
    assert {process.communicate(timeout=60)[0] for process in started} == {own_key().hex() + "\n"}


def test_many_threads_at_once_get_one_key(place: Path) -> None:
    with ThreadPoolExecutor(16) as pool:
        assert len(set(pool.map(lambda _: own_key(), range(64)))) == 1


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_one_that_others_may_read_is_refused(place: Path, mode: int) -> None:
    own_key()
    place.chmod(mode)
    with pytest.raises(SettingsInvalid, match=rf"Others may read or write.*mode {mode:o}.*`chmod 600 "):
        own_key()


def test_one_of_somebody_else_is_refused(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own_key()
    owner = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    with pytest.raises(SettingsInvalid, match=r"belongs to somebody else.*signing_key"):
        own_key()


@pytest.mark.parametrize("text", ["", "hush", "00" * 31, "zz" * 32, "00" * 33])
def test_what_is_no_key_is_refused_and_not_shown(place: Path, text: str) -> None:
    own_key()
    place.write_text(text)
    with pytest.raises(SettingsInvalid, match="holds no key: that is 64 hexadecimal digits") as caught:
        own_key()
    assert not text or text not in str(caught.value)


def test_where_there_is_no_place_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "file"))
    with pytest.raises(SettingsInvalid, match=r"cannot be (made|read).*Not a directory.*signing_key"):
        own_key()


def test_a_group_may_share_one(tmp_path: Path) -> None:
    path = tmp_path / "group.key"
    path.write_text("ab" * 32 + "\n")
    path.chmod(0o640)
    assert key_in(path) == bytes.fromhex("ab" * 32)
    path.chmod(0o660)
    with pytest.raises(SettingsInvalid, match="`chmod 640 "):
        key_in(path)
    with pytest.raises(SettingsInvalid, match="No such file"):
        key_in(tmp_path / "missing")
