"""The sites for which works may be, and what is said of others."""

from __future__ import annotations

from collections.abc import Collection

from daskflow.errors import SiteUnknown
from daskflow.model.work import Work


class KnownSites:
    """Names of the sites that works may ask for.

    Parameters
    ----------
    names
        None: any is good.
    served
        Whether a server keeps the works for others: then its configuration counts, and not that of who asks.
    """

    def __init__(self, names: Collection[str] | None, *, served: bool = False) -> None:
        self._names = None if names is None else frozenset(names)
        self._served = served

    def lack(self, work: Work) -> bool:
        """Whether a work is for a site that is not known."""
        return self._names is not None and work.config.strategy == "strict" and work.site not in self._names

    def unknown(self, site: str) -> SiteUnknown:
        """What is said of a site that is not known."""
        known = ", ".join(sorted(self._names or ()))
        if self._served:
            return SiteUnknown(
                f"A work is for the site {site!r}; the server knows {known}. Add it in the configuration of the "
                "server, under `works: sites:` or `sites:`, and start the server anew; what the configuration of who "
                "deposits says does not count."
            )
        return SiteUnknown(
            f"A work is for the site {site!r}; there are {known}. Add it under `sites:`, or under `works: sites:` "
            "where agents serve it that this configuration does not reach."
        )
