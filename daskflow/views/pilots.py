"""Shows the pilots of a run, and where people can watch its sites."""

from __future__ import annotations

import getpass
import os
from collections.abc import Sequence
from typing import Any

from daskflow.execution.insight.pilots import Dashboard, PilotLife
from daskflow.views.terminal import say, show_table
from daskflow.views.units import duration, moment

_LISTED = 20


def pilot_fields(life: PilotLife) -> dict[str, Any]:
    """A pilot as JSON shows it."""
    return {**life._asdict(), "waited": life.waited, "worked": life.worked}


def show_pilots(lives: Sequence[PilotLife]) -> None:
    """Print the latest pilots, and how many there were before."""
    if not lives:
        return
    columns = ["pilot", "site", "pool", "node", "stage", "submitted", "waited", "worked", "why"]
    rows = [
        [
            life.id,
            life.site,
            life.pool,
            life.node,
            life.stage,
            moment(life.submitted),
            duration(life.waited),
            duration(life.worked),
            ": ".join(text for text in (life.error, life.reason) if text),
        ]
        for life in lives[-_LISTED:]
    ]
    show_table(columns, rows)
    if len(lives) > _LISTED:
        say(f"and {len(lives) - _LISTED} pilots before them")


def show_dashboards(found: Sequence[Dashboard]) -> None:
    """Print the addresses of dashboards; with the command for a tunnel where this machine has no browser for them."""
    for one in found:
        say(f"dashboard: {one.address} (site {one.site})")
        if one.far or not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
            say(f"           from your own machine: {one.tunnel(getpass.getuser())}   then {one.nearby}")
