"""Opens the scheduler that pilots come to: in the driver, reachable from the nodes, without workers of its own."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from daskflow.errors import SettingsInvalid
from daskflow.sites.clusters import silence
from daskflow.sites.pilots.plan import SitePlan

_MISSED = "60 s"
"""A worker that was not heard of for so long is lost."""


def open_harbour(plan: SitePlan, security: Any, plugins: Sequence[Any]) -> Any:
    """Start a scheduler; dask's cluster object, which has no workers.

    Parameters
    ----------
    security
        Certificates; None: driver and workers talk without TLS.
    plugins
        Parts of the scheduler.

    Raises
    ------
    SettingsInvalid
        There is no such network interface.
    """
    import dask
    from distributed import Scheduler
    from distributed.deploy.spec import SpecCluster

    check_interface(plan.interface)
    silence()
    options: dict[str, Any] = {
        "dashboard": bool(plan.dashboard),
        "dashboard_address": plan.dashboard or "127.0.0.1:0",
        "protocol": "tls://" if security is not None else "tcp://",
        "interface": plan.interface or None,
        "security": security,
        # Nobody is suspected for the end of a pilot: the undertaker judges.
        "allowed_failures": 1 << 30,
        "plugins": list(plugins),
    }
    with dask.config.set({"distributed.scheduler.worker-ttl": _MISSED}):
        return SpecCluster(
            workers={},
            scheduler={"cls": Scheduler, "options": options},
            security=security,
            silence_logs=logging.ERROR,
        )


def check_interface(name: str) -> None:
    """See that this machine has a network interface.

    Raises
    ------
    SettingsInvalid
        It has none of that name; the message lists those that there are.
    """
    from psutil import net_if_addrs

    there = net_if_addrs() if name else {}
    if name and name not in there:
        raise SettingsInvalid(
            f"This machine has no network interface {name!r}; there are {', '.join(sorted(there))}. "
            "Set the option `interface` of the site."
        )
