from __future__ import annotations

from pathlib import Path

import pytest

from daskflow.errors import SiteError
from daskflow.sites.security import forget_security, make_security, security_in


def test_the_files_are_for_their_owner_only_and_serve_all_parts(tmp_path: Path) -> None:
    made = make_security(tmp_path / "certificates")
    files = sorted((tmp_path / "certificates").iterdir())
    assert [oct(path.stat().st_mode & 0o777) for path in files] == ["0o600", "0o600"]
    again = security_in(tmp_path / "certificates")
    for role in ("scheduler", "worker", "client"):
        assert again.get_tls_config_for_role(role) == made.get_tls_config_for_role(role)
        assert again.get_connection_args(role)["require_encryption"]
        assert again.get_connection_args(role)["ssl_context"] is not None
    forget_security(tmp_path / "certificates")
    forget_security(tmp_path / "certificates")
    assert list((tmp_path / "certificates").iterdir()) == []


def test_a_directory_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SiteError, match=r"file/certificates.*option `shared`"):
        make_security(tmp_path / "file" / "certificates")
