from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from daskflow.stores import sharing


@pytest.mark.parametrize("status", ["/proc/self/status", "/nowhere/status", "/dev/null"])
@pytest.mark.parametrize("umask", [0o022, 0o027, 0o002, 0o077])
def test_a_private_file_is_as_any_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, umask: int, status: str
) -> None:
    monkeypatch.setattr(sharing, "_STATUS", Path(status))
    before = os.umask(umask)
    try:
        path = tmp_path / "log.txt"
        os.close(os.open(path, os.O_CREAT, 0o600))
        sharing.share(path)
        (tmp_path / "other").touch()
        assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE((tmp_path / "other").stat().st_mode) == 0o666 & ~umask
        assert os.umask(umask) == umask, "it is as it was"
    finally:
        os.umask(before)
