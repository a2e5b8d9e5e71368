"""Works on a server of daskflow, over HTTP."""

from __future__ import annotations

from pydantic import SecretStr

from daskflow.errors import ServerSilent
from daskflow.stores.buckets.shelf import Shelf


def remote_shelf(url: str, token: SecretStr | None) -> Shelf:
    """What a server keeps."""
    raise ServerSilent(f"{url} cannot be reached.")
