from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from daskflow.artifacts.forms.signing import Signer
from daskflow.errors import SignatureWrong
from daskflow.execution.commanding.asks import Asks
from daskflow.execution.commanding.following import live_directory

OWN, OTHER = Signer.of(bytes(32)), Signer.of(bytes([1] * 32))


@pytest.fixture
def asks(tmp_path: Path) -> Asks:
    assert live_directory(str(tmp_path))
    made = Asks(str(tmp_path), "run", "a/b-1", 2, OWN)
    assert made.make()
    return made


def test_what_is_written_is_read_under_its_name(asks: Asks, tmp_path: Path) -> None:
    again = Asks(str(tmp_path), "run", "a/b-1", 2, OWN)
    asks.write("t.asked", {"path": "x"})
    assert again.names() == {"t.asked"}
    again.rename("t.asked", "t.taken")
    assert again.read("t.taken", "t.asked") == {"path": "x"}
    with pytest.raises(SignatureWrong):
        again.read("t.taken")
    with pytest.raises(FileNotFoundError):
        again.read("t.asked")
    again.close()
    assert again.names() == {"t.taken"}, "who has asked has not read it yet"
    again.remove("t.taken", "none")
    again.close()
    assert not asks.path.exists()
    again.remove("t.taken")


@pytest.mark.parametrize(
    ("run", "key", "attempt", "signer"), [("r", "a/b-1", 2, OWN), ("run", "a-b-1", 2, OWN), ("run", "a/b-1", 2, OTHER)]
)
def test_what_was_written_for_something_else_is_refused(
    asks: Asks, tmp_path: Path, run: str, key: str, attempt: int, signer: Signer
) -> None:
    """All of these have the same folder."""
    other = Asks(str(tmp_path), run, key, attempt, signer)
    assert other.path == asks.path
    other.write("t.asked", {})
    with pytest.raises(SignatureWrong, match="was not written with the signing key"):
        asks.read("t.asked")


def test_links_pipes_and_files_of_others_are_not_read(asks: Asks, tmp_path: Path) -> None:
    asks.write("good", 1)
    kept = tmp_path / "kept"
    (asks.path / "good").rename(kept)
    (asks.path / "good").symlink_to(kept)
    os.mkfifo(asks.path / "pipe")
    with pytest.raises(OSError, match="symbolic link"):
        asks.read("good")
    with pytest.raises(SignatureWrong, match="another user"):
        asks.read("pipe")
    (asks.path / "good").unlink()
    kept.rename(asks.path / "good")
    assert asks.read("good") == 1


def test_files_of_another_user_are_not_read(asks: Asks, monkeypatch: pytest.MonkeyPatch) -> None:
    asks.write("good", 1)
    # The folder is ours, and then somebody else looks at the file.
    owners = iter([os.geteuid(), os.geteuid() + 1])
    monkeypatch.setattr(os, "geteuid", lambda: next(owners))
    with pytest.raises(SignatureWrong, match="another user"):
        asks.read("good")


def test_a_link_that_waits_for_what_is_written_leads_nowhere(asks: Asks, tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text("precious")
    (asks.path / "t.asked.new").symlink_to(target)
    with pytest.raises(FileExistsError):
        asks.write("t.asked", {})
    assert target.read_text() == "precious"
    asks.remove("t.asked")
    assert asks.names() == set()


def test_the_folder_is_closed_to_others_whatever_surrounds_it(tmp_path: Path) -> None:
    live = tmp_path / "live"
    live.mkdir()
    live.chmod(0o2777)
    before = os.umask(0o002)
    try:
        made = Asks(str(tmp_path), "run", "k", 1, OWN)
        assert made.make()
    finally:
        os.umask(before)
    assert stat.S_IMODE(made.path.stat().st_mode) & 0o777 == 0o700
    made.write("t", 1)
    assert stat.S_IMODE((made.path / "t").stat().st_mode) == 0o600
    made.path.chmod(0o750)
    for use in (made.names, lambda: made.write("u", 1), lambda: made.read("t")):
        with pytest.raises(PermissionError, match="others may enter it"):
            use()


def test_what_an_attempt_left_or_somebody_planted_is_no_folder(asks: Asks, tmp_path: Path) -> None:
    asks.write("old.asked", {})
    assert asks.make()
    assert asks.names() == set()
    asks.close()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(0o700)
    (elsewhere / "mine").touch()
    asks.path.symlink_to(elsewhere)
    with pytest.raises(NotADirectoryError):
        asks.names()
    assert asks.make()
    assert [path.name for path in elsewhere.iterdir()] == ["mine"]
    assert not asks.path.is_symlink()


def test_a_folder_of_another_user_is_not_used(asks: Asks, monkeypatch: pytest.MonkeyPatch) -> None:
    own = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: own + 1)
    assert not asks.make()
    with pytest.raises(PermissionError, match="another user"):
        asks.names()
