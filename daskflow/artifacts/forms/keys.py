"""The key of a user, by which what one has written oneself is told from what others wrote."""

from __future__ import annotations

import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path

from daskflow.errors import SettingsInvalid

SIZE = 32
"""Length of a key [bytes]."""
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_STRANGERS = stat.S_IWGRP | stat.S_IRWXO


def own_key() -> bytes:
    """The key of this user: the file `daskflow/key` in the directory of configurations, made where it is not there.

    Raises
    ------
    SettingsInvalid
        It cannot be read or made, others may read it, or it belongs to somebody else.

    Notes
    -----
    Safe for processes: of several that make it at once, all get the same key.
    """
    path = _place()
    if not path.exists():
        _make(path)
    return _read(path, _OTHERS, owner=os.geteuid())


def key_in(path: str | os.PathLike[str]) -> bytes:
    """The key in a file that was named; a group that trusts each other may share one.

    Raises
    ------
    SettingsInvalid
        It cannot be read, holds no key, or people outside of the file's group may read it.
    """
    return _read(Path(path).expanduser(), _STRANGERS)


def _place() -> Path:
    try:
        home = Path(os.environ.get("XDG_CONFIG_HOME") or "~/.config").expanduser()
    except RuntimeError as error:
        raise SettingsInvalid(_cure("This user has no home directory, so there is no place for a key")) from error
    return home / "daskflow" / "key"


def _make(path: Path) -> None:
    part = path.with_name(f".key-{secrets.token_hex(8)}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with open(part, "x", encoding="ascii", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            file.write(f"{secrets.token_hex(SIZE)}\n")
            file.flush()
            # After a power failure a key without its bytes would let nobody read what was signed with it.
            os.fsync(file.fileno())
        # Not a rename: that would replace the key of whoever was first.
        with suppress(FileExistsError):
            os.link(part, path)
    except OSError as error:
        raise SettingsInvalid(_cure(f"The key {path} cannot be made: {error.strerror}")) from error
    finally:
        with suppress(OSError):
            part.unlink()


def _read(path: Path, forbidden: int, owner: int | None = None) -> bytes:
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            status = os.fstat(file.fileno())
            text = file.read(4 * SIZE).strip()
    except OSError as error:
        raise SettingsInvalid(_cure(f"The key {path} cannot be read: {error.strerror}")) from error
    if owner is not None and status.st_uid != owner:
        raise SettingsInvalid(_cure(f"The key {path} belongs to somebody else (user {status.st_uid}), who knows it"))
    if status.st_mode & forbidden:
        mode = stat.S_IMODE(status.st_mode)
        raise SettingsInvalid(
            f"Others may read or write the key {path} (mode {mode:o}), so it proves nothing. Run "
            f"`chmod {mode & ~forbidden:o} {path}`; if somebody may have read it, remove it: a new one is made."
        )
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != SIZE:
        raise SettingsInvalid(f"The file {path} holds no key: that is {2 * SIZE} hexadecimal digits. Remove it.")
    return key


def _cure(what: str) -> str:
    return f"{what}. Name another file by `signing_key` in the configuration; `openssl rand -hex {SIZE}` makes a key."
