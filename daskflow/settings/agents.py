"""Agents as configured: for the command line, for programs, and for tasks of a dask cluster."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from daskflow.artifacts.cache import NodeCache
from daskflow.artifacts.store import ObjectStore
from daskflow.execution.agents.agent import Agent
from daskflow.execution.agents.archive import Archivist
from daskflow.execution.agents.functions import find
from daskflow.execution.agents.notices import Notices
from daskflow.execution.agents.settling import NOT_GIVEN_BACK, NOT_WRITTEN, Told
from daskflow.execution.agents.terms import Allowed, Terms
from daskflow.execution.bucketing.parcel import PERFORM
from daskflow.execution.served import ServedStore, freight_of
from daskflow.settings.buckets import buckets_of, check_site
from daskflow.settings.options import Settings, load
from daskflow.settings.signing import prepare_agent
from daskflow.stores.buckets import Buckets
from daskflow.stores.buckets.shelf import Wanted

_LOG = logging.getLogger("daskflow")
_ARTIFACTS = "artifacts"
"""Stands for the artifact store where the archive is named."""


def agent_of(
    settings: Settings, buckets: Buckets, terms: Terms, tell: Callable[[Told], object] = lambda told: None
) -> Agent:
    """An agent on some terms, with what else the configuration says of agents.

    Raises
    ------
    ImportError
        There is no such function as the terms name.
    """
    # Jobs of flows are signed, which their own performer sees to.
    prepare_agent(settings)
    allowed = Allowed((PERFORM, *settings.works.functions), settings.works.commands)
    return Agent(
        buckets,
        terms._replace(lease=settings.works.lease, allowed=allowed),
        function=find(terms.function) if terms.function else None,
        archivist=archivist_of(settings, buckets),
        notices=Notices(settings.notifications, links=settings.works.links, buckets=buckets),
        tell=tell,
    )


def archivist_of(settings: Settings, buckets: Buckets) -> Archivist:
    """What keeps what works have made, as configured.

    Parameters
    ----------
    buckets
        Where the works are. Artifacts go to the store of the server that keeps them, unless `artifacts` names an object
        storage: a directory of this machine would be of no use to others.
    """

    def store() -> ObjectStore:
        options = {name: value.get_secret_value() for name, value in settings.storage.items()}
        configured = ObjectStore(settings.artifacts, options, NodeCache(settings.cache, settings.cache_limit))
        freight = freight_of(buckets.shelf) if configured.local else None
        return configured if freight is None else ServedStore(freight)

    where = settings.works.archive
    directory = Path(where).expanduser() if where not in ("", _ARTIFACTS) else None
    return Archivist(directory, store, uploads=where == _ARTIFACTS)


def serve(
    pipelines: str | Iterable[str],
    *,
    site: str,
    url: str | None = None,
    function: str = "",
    lives: int = -1,
    idle: float | None = None,
    **terms: Any,
) -> dict[str, int]:
    """Be an agent in this process, for instance in a task of a dask cluster, until it has nothing more to do.

    Parameters
    ----------
    pipelines
        Names of the buckets that are served.
    site
        Works of this site are performed; empty: of all.
    url
        Where the works are; None: as configured where this is executed.
    function
        Performs all works; empty: what they name, as far as the configuration allows it.
    lives
        So many works are performed; -1: any number.
    idle
        It ends when there was nothing to do for so long [s]; None: it waits for ever.
    **terms
        Other fields of `Terms`, and of `Wanted`: `tags`, `events`, `user`, `priority`, `parents`.

    Returns
    -------
    dict
        How many works ended how: `success`, `failure`, `refused`, `lost`, `given back`; `not written` and `not given
        back` are also logged: their store was away to the end.

    Raises
    ------
    SiteUnknown
        Works of that site can never be deposited.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from daskflow import Buckets, Work
    >>> with TemporaryDirectory() as place, Buckets(f"{place}/works.db") as buckets:
    ...     work = Work(pipeline="sample", site="local", user="ada", function="statistics.fmean")
    ...     work.parameters = {"data": [1, 3]}
    ...     id = buckets.deposit(work)
    ...     serve("sample", site="local", url=f"{place}/works.db", function="statistics.fmean", lives=1)
    {'success': 1}

    As a task of a dask cluster: ``client.submit(serve, "sample", site="cedar", url="https://works.example.org")``.
    """
    settings = load()
    if url is not None:
        settings = settings.model_copy(update={"works": settings.works.model_copy(update={"store": url})})
    if doubt := check_site(settings, site):
        _LOG.warning("%s", doubt)
    names = (pipelines,) if isinstance(pipelines, str) else tuple(pipelines)
    filters = {name: terms.pop(name) for name in Wanted._fields if name in terms}
    wanted = Wanted(names, site, **filters)
    with buckets_of(settings) as buckets:
        return agent_of(settings, buckets, Terms(wanted, function, lives=lives, idle=idle, **terms), _warned).run()


def _warned(told: Told) -> None:
    """Log what nobody else knows."""
    if told.kind in (NOT_WRITTEN, NOT_GIVEN_BACK):
        _LOG.warning("%s", told.text)
