"""Agents as batch jobs of a site: `daskflow work run --pilots N`."""

from __future__ import annotations

import os
import uuid
from pathlib import Path
from typing import Any

from daskflow.execution.agents.terms import Terms
from daskflow.settings.buckets import is_server
from daskflow.settings.options import Settings, variables_to_hand_on, without_password
from daskflow.settings.pilots import batch_of
from daskflow.settings.places import services_of
from daskflow.views.terminal import say, show_json


def spawn_agents(
    settings: Settings, terms: Terms, count: int, options: dict[str, Any], *, config: Path | None, as_json: bool
) -> None:
    """Submit agents as batch jobs, and print their names.

    Parameters
    ----------
    options
        Those of services: `pool`, `walltime`, `cores`, `memory`.
    config
        The configuration file that was named; agents read it as well.

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
    given = {name: value for name, value in options.items() if value is not None}
    spawned = services_of(site, settings).spawn(
        [plan.python, "-m", "daskflow", "work", "run", *arguments(settings, terms, config)],
        name=f"agent-{terms.wanted.pipelines[0]}-{uuid.uuid4().hex[:6]}",
        count=count,
        env=variables_to_hand_on(),
        **given,
    )
    found = [service.standing() for service in spawned]
    if as_json:
        show_json([one._asdict() for one in found])
    else:
        say(*[f"{one.id}  {one.name}" for one in found])


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
