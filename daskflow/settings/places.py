"""The sites of the configured project, for who works with one of them outside of any flow."""

from __future__ import annotations

import functools

from daskflow.execution.serving import main
from daskflow.execution.serving.enclosing import Enclosing
from daskflow.settings.options import Settings, load
from daskflow.settings.pilots import batch_of
from daskflow.settings.stations import station_of
from daskflow.sites.batch.services import Services


def services_of(name: str, settings: Settings) -> Services:
    """The services of a site.

    Raises
    ------
    SiteUnknown
        None is configured so.
    SettingsInvalid
        The site has no batch system.
    """
    system, plan = batch_of(name, settings)
    enclosing = Enclosing(functools.partial(station_of, settings, name))
    return Services(name, system, plan, keeper=main.__name__, enclose=enclosing)


class Site:
    """A site, by the name that it has in the configuration.

    Parameters
    ----------
    name
        As configured; `local` is always there.

    Examples
    --------
    >>> Site("local").batch
    <Services of the site 'local'>
    """

    def __init__(self, name: str) -> None:
        self.name = name

    @functools.cached_property
    def batch(self) -> Services:
        """Batch jobs by name, which outlive this process: `batch.spawn("sleep 60", name="nap")`, `batch.kill("nap")`.

        Raises
        ------
        SiteUnknown
            No site of that name is configured.
        SettingsInvalid
            It has no batch system.
        """
        return services_of(self.name, load())

    def __repr__(self) -> str:
        return f"Site({self.name!r})"
