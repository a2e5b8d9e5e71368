"""The buckets of works, where they are configured to be."""

from __future__ import annotations

import os
import re
from pathlib import Path

from pydantic import SecretStr

from daskflow.errors import SettingsInvalid, SiteUnknown
from daskflow.settings.options import Settings, load
from daskflow.stores import buckets as stored
from daskflow.stores.buckets.shelf import Shelf
from daskflow.stores.buckets.table import WorkTable
from daskflow.stores.database import Database

ANY = "*"
"""Among the sites of works: any name is good."""
_TOKEN = "DASKFLOW_TOKEN"
_ADDRESS = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+):[0-9]{1,5}(/.*)?")
"""A server without its `http://`."""


class Buckets(stored.Buckets):
    """The buckets of works: deposit, withdraw, update and find works.

    Parameters
    ----------
    url
        Where they are kept: a path, `sqlite:///...`, `postgresql://...`, or the address of a server, `https://...`.
        None: as configured.
    token
        Lets us in at a server; None: as configured.

    Raises
    ------
    SettingsInvalid
        The URL is no text and no path, or of no known kind.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from daskflow import Buckets, Work
    >>> with TemporaryDirectory() as place, Buckets(f"{place}/works.db") as buckets:
    ...     ids = buckets.deposit(Work(pipeline="sample", site="local", user="ada", function="math.sqrt"))
    ...     buckets.withdraw("sample").function
    'math.sqrt'
    """

    def __init__(self, url: str | os.PathLike[str] | None = None, *, token: str | None = None) -> None:
        settings = load()
        if url is not None:
            if not isinstance(url, str | os.PathLike):
                raise SettingsInvalid(
                    f"A {type(url).__name__} does not say where works are. Give a path or an address."
                )
            works = settings.works.model_copy(update={"store": os.fspath(url)})
            settings = settings.model_copy(update={"works": works})
        kept = settings.works.store or settings.store
        secret = settings.works.token if token is None else SecretStr(token)
        super().__init__(
            open_shelf(kept, secret, settings.works.authorities),
            # A server knows by itself for which sites it takes works.
            sites=None if is_server(kept) else sites_of(settings),
        )


def buckets_of(settings: Settings) -> stored.Buckets:
    """The buckets that a configuration names."""
    works = settings.works
    kept = works.store or settings.store
    # A server knows by itself for which sites it takes works.
    sites = None if is_server(kept) else sites_of(settings)
    return stored.Buckets(open_shelf(kept, works.token, works.authorities), sites=sites)


def sites_of(settings: Settings) -> set[str] | None:
    """Names of the sites that works may ask for; None: any."""
    return None if ANY in settings.works.sites else {*settings.known_sites(), *settings.works.sites}


def check_site(settings: Settings, site: str) -> str:
    """See that works can be for a site: an agent of a misspelt one would wait for ever.

    Returns
    -------
    str
        What is to be said of it; empty: nothing. A server may know more sites than we do.

    Raises
    ------
    SiteUnknown
        Works of that site can never be deposited.
    """
    known = sites_of(settings)
    if not site or known is None or site in known:
        return ""
    there = f"There is no site {site!r} in this configuration; there are {', '.join(sorted(known))}."
    if not is_server(settings.works.store or settings.store):
        raise SiteUnknown(f"{there} Add it under `works: sites:` in daskflow.yaml, where only agents serve it.")
    return f"{there} That is fine if the server takes works for it."


def is_server(url: str) -> bool:
    """Whether a server keeps works, and no store of our own.

    Raises
    ------
    SettingsInvalid
        It is the address of a server without `http://`: a new file of that name would be empty, and nobody would know.
    """
    if _ADDRESS.fullmatch(url) and not os.path.exists(url):
        raise SettingsInvalid(f"{url} names no file. Write http://{url} if it is a server, ./{url} if it is a file.")
    return url.startswith(("http://", "https://"))


def open_shelf(url: str, token: SecretStr | None, authorities: Path | None = None) -> Shelf:
    """What keeps works, by where it is.

    Parameters
    ----------
    token
        Lets us in at a server; None: that of the variable `DASKFLOW_TOKEN`.
    authorities
        File of certificates of authorities that are trusted; None: those of this machine.

    Raises
    ------
    SettingsInvalid
        The URL is of no known kind.
    """
    if is_server(url):
        from daskflow.stores.buckets.remote import remote_shelf  # noqa: PLC0415, most works are in a store

        given = os.environ.get(_TOKEN)
        return remote_shelf(url, token or (SecretStr(given) if given else None), authorities)
    return WorkTable(Database(os.path.expanduser(url)))
