"""What a server works with, as configured."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable

from daskflow.errors import SettingsInvalid
from daskflow.execution.gateway.bell import Bell
from daskflow.execution.gateway.desk import WorkDesk
from daskflow.execution.gateway.door import Door
from daskflow.execution.gateway.gateway import Gateway
from daskflow.execution.gateway.objects import ObjectDesk
from daskflow.execution.gateway.rates import Rates
from daskflow.execution.gateway.recorded import RunDesk
from daskflow.execution.insight.garbage import store_of
from daskflow.execution.project import Project
from daskflow.model.records import RunRecord
from daskflow.settings.buckets import is_server, sites_of
from daskflow.settings.options import Settings
from daskflow.settings.parts import open_project
from daskflow.stores.buckets.table import WorkTable
from daskflow.stores.database import Database
from daskflow.stores.requests import Requests
from daskflow.stores.tokens import Tokens


def database_of(settings: Settings) -> Database:
    """Where a server keeps works and tokens.

    Raises
    ------
    SettingsInvalid
        Works are kept by another server.
    """
    url = settings.works.store or settings.store
    if is_server(url):
        raise SettingsInvalid(f"Works are kept by the server {url}; a server keeps them in a store of its own.")
    return Database(os.path.expanduser(url))


def open_gateway(settings: Settings, let_go: Callable[[Project, RunRecord, bool], object]) -> Gateway:
    """All that a server works with.

    Parameters
    ----------
    let_go
        Cancels the batch job of the driver of a run that was cancelled; it is told whether the run has ended.

    Raises
    ------
    SettingsInvalid
        Works are kept by another server.
    """
    database = database_of(settings)
    # Drivers tell of their runs themselves.
    project = open_project(settings.model_copy(update={"notifications": ()}))
    shelf = WorkTable(database)
    bell = Bell(lambda timeout: shelf.await_deposit((), timeout))
    return Gateway(
        WorkDesk(shelf, Requests(database), sites=sites_of(settings), rung=bell.ring),
        RunDesk(project, functools.partial(let_go, project)),
        ObjectDesk(store_of(project), project.claim),
        door=Door(Tokens(database), open=settings.server.open),
        bell=bell,
        rates=Rates(settings.server.rate),
        request_limit=settings.server.request_limit,
    )
