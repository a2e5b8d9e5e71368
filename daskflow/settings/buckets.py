"""The buckets of works, where they are configured to be."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import SecretStr

from daskflow.settings.options import load
from daskflow.stores import buckets as stored
from daskflow.stores.buckets.shelf import Shelf
from daskflow.stores.buckets.table import WorkTable
from daskflow.stores.database import Database


class Buckets(stored.Buckets):
    """The buckets of works: deposit, withdraw, update and find works.

    Parameters
    ----------
    url
        Where they are kept: a path, `sqlite:///...`, `postgresql://...`, or the address of a server, `https://...`.
        None: as configured.
    token
        Lets us in at a server; None: as configured.

    Examples
    --------
    >>> from daskflow import Buckets, Work
    >>> with Buckets("works.db") as buckets:  # doctest: +SKIP
    ...     buckets.deposit(Work(pipeline="sample", site="local", user="ada", function="math.sqrt"))
    """

    def __init__(self, url: str | Path | None = None, *, token: str | None = None) -> None:
        settings = load()
        if url is not None:
            works = settings.works.model_copy(update={"store": str(url)})
            settings = settings.model_copy(update={"works": works})
        secret = settings.works.token if token is None else SecretStr(token)
        super().__init__(
            open_shelf(settings.works.store or settings.store, secret),
            sites={*settings.known_sites(), *settings.works.sites},
        )


def open_shelf(url: str, token: SecretStr | None) -> Shelf:
    """What keeps works, by where it is.

    Raises
    ------
    SettingsInvalid
        The URL is of no known kind.
    """
    if url.startswith(("http://", "https://")):
        from daskflow.stores.buckets.remote import remote_shelf  # noqa: PLC0415, most works are in a store

        return remote_shelf(url, token)
    return WorkTable(Database(os.path.expanduser(url)))
