"""Certificates by which driver, workers and batch jobs of one site trust each other, and nobody else."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from daskflow.errors import SiteError

_CERTIFICATE = "certificate.pem"
_KEY = "key.pem"


def make_security(directory: Path) -> Any:
    """Make a certificate for one opening of a site, in files that nobody but their owner reads; dask's `Security`.

    Raises
    ------
    SiteError
        They cannot be written.

    Notes
    -----
    All parts have the same certificate, and trust only it: whoever can read the files may send work.
    """
    from distributed.security import Security

    made = Security.temporary()
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        for name, text in ((_CERTIFICATE, made.tls_ca_file), (_KEY, made.tls_scheduler_key)):
            _write(directory / name, text)
    except OSError as error:
        raise SiteError(
            f"The certificates of the site cannot be written to {directory}: {error.strerror}. "
            "Its option `shared` names a directory that driver and nodes share."
        ) from None
    return security_in(directory)


def security_in(directory: Path) -> Any:
    """What was made there, for any part of the site."""
    from distributed.security import Security

    certificate, key = str(directory / _CERTIFICATE), str(directory / _KEY)
    roles = {
        f"tls_{role}_{what}": path
        for role in ("scheduler", "worker", "client")
        for what, path in (("cert", certificate), ("key", key))
    }
    return Security(tls_ca_file=certificate, require_encryption=True, **roles)


def forget_security(directory: Path) -> None:
    """Remove what was made there: no worker will come any more."""
    for name in (_CERTIFICATE, _KEY):
        (directory / name).unlink(missing_ok=True)


def _write(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
