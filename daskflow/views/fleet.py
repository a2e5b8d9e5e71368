"""Agents as batch jobs of a site: `daskflow work run --pilots N`."""

from __future__ import annotations

import functools
import os
import uuid
from pathlib import Path
from typing import Any

import typer

from daskflow.errors import AgentsLost
from daskflow.execution.agents.terms import Terms
from daskflow.execution.agents.upkeep import Tally, Upkeep
from daskflow.settings.buckets import buckets_of, is_server
from daskflow.settings.options import Settings, variables_to_hand_on, without_password
from daskflow.settings.pilots import batch_of
from daskflow.settings.places import services_of
from daskflow.sites.batch.services import Services
from daskflow.views.exits import DONE, FAILED
from daskflow.views.stopping import told_to_stop
from daskflow.views.terminal import say, show_json


def spawn_agents(  # noqa: PLR0913, what the command line says
    settings: Settings,
    terms: Terms,
    count: int,
    options: dict[str, Any],
    *,
    config: Path | None,
    as_json: bool,
    keep: bool = False,
) -> None:
    """Submit agents as batch jobs, and print their names.

    Parameters
    ----------
    options
        Those of services: `pool`, `walltime`, `cores`, `memory`.
    config
        The configuration file that was named; agents read it as well.
    keep
        Stay, and replace agents that are lost while works wait; leaves with the exit code that says how that ended.

    Raises
    ------
    SettingsInvalid
        The site has no batch system.
    BatchError
        It does not take them.

    Notes
    -----
    The agents see the files that this command sees; where the works are in a file, that is one of them. They have the
    variables that set options here, but for those that hold secrets. A password in the address of the works is handed
    on neither: what stands on a command line, anybody on the machine may read.
    """
    site = terms.wanted.site
    _, plan = batch_of(site, settings)
    services = services_of(site, settings)
    prefix = f"agent-{terms.wanted.pipelines[0]}-{uuid.uuid4().hex[:6]}"
    command = [plan.python, "-m", "daskflow", "work", "run", *arguments(settings, terms, config)]
    given = {name: value for name, value in options.items() if value is not None}
    given["env"] = variables_to_hand_on()
    found = [service.standing() for service in services.spawn(command, name=prefix, count=count, **given)]
    if as_json:
        show_json([one._asdict() for one in found])
    else:
        say(*[f"{one.id}  {one.name}" for one in found])
    if keep:
        with buckets_of(settings) as buckets:
            upkeep = Upkeep(
                services,
                lambda name: services.spawn(command, name=name, **given),
                buckets,
                terms.wanted,
                functools.partial(say, error=as_json),
                lease=settings.works.lease,
            )
            raise typer.Exit(_kept(upkeep, services, prefix, count, as_json=as_json))


def _kept(upkeep: Upkeep, services: Services, prefix: str, count: int, *, as_json: bool) -> int:
    """Look after agents until they have ended; the exit code."""
    with told_to_stop() as stop:
        try:
            tally = upkeep.keep(prefix, count, stop)
        except AgentsLost as error:
            say(str(error), error=True)
            return FAILED
    left = [one.name for one in services.ls(f"^{prefix}-") if one.living]
    if left:
        say(
            f"Nobody looks after these agents any more, which go on: {', '.join(left)}. End them: daskflow batch kill "
            f"{' '.join(left)} --site {services.site}",
            error=as_json,
        )
    elif not stop.is_set():
        _tell_end(upkeep, tally, as_json=as_json)
    return DONE


def _tell_end(upkeep: Upkeep, tally: Tally, *, as_json: bool) -> None:
    left = upkeep.left()
    say(
        f"All agents have ended: {', '.join(f'{each} {kind}' for kind, each in tally._asdict().items() if each)}."
        + (f" {left.told[0].upper()}{left.told[1:]}." if left is not None and any(left) else ""),
        error=as_json,
    )


def arguments(settings: Settings, terms: Terms, config: Path | None) -> list[str]:
    """What follows `daskflow work run` for an agent elsewhere on the same terms."""
    wanted = terms.wanted
    several = [
        *[text for tag in wanted.tags for text in ("--tag", tag)],
        *[text for event in wanted.events for text in ("--event", str(event))],
        *[text for parent in wanted.parents for text in ("--parent", parent)],
    ]
    named = {
        "--site": wanted.site,
        "--user": wanted.user or None,
        "--priority": wanted.priority,
        "--function": terms.function or None,
        "--command": terms.command[0] if terms.command else None,
        "--lives": terms.lives,
        "--sleep": terms.sleep,
        "--idle": terms.idle,
        "--grace": terms.grace,
        "--workers": terms.workers,
        "--argsource": terms.argsource,
        "--url": _absolute(without_password(settings.works.store or settings.store)),
        "--config": None if config is None else config.absolute(),
    }
    single = [text for name, value in named.items() if value is not None for text in (name, str(value))]
    return [*wanted.pipelines, *several, *single]


def _absolute(store: str) -> str:
    """Where works are, as it is known in any directory."""
    kind, mark, rest = store.partition("://")
    if not mark:
        return os.path.abspath(os.path.expanduser(store))
    return f"sqlite:///{os.path.abspath(rest[1:])}" if kind == "sqlite" and not is_server(store) else store
