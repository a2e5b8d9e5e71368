"""The processes that perform jobs and workflows: services, which go on when the one that created them has ended."""

from __future__ import annotations

import functools
import os
import sys
import time
from typing import Any

from daskflow import Site
from daskflow.compat.prominence.errors import ConnectionError
from daskflow.compat.prominence.ledger import FINAL, Entry
from daskflow.compat.prominence.reasons import (
    DELETED,
    DELETED_WITH,
    DELETED_WORKFLOW,
    SKIPPED,
    UNDEPLOYED,
    ending_of_process,
)
from daskflow.errors import FitsNowhere, NotFound
from daskflow.settings.kinds import BATCHING
from daskflow.settings.options import load
from daskflow.settings.sites import built_in

SITE = "PROMINENCE_SITE"
"""Variable that names the site whose batch system runs these processes; by default `local`, this machine."""
_DRIVER = "import sys; from daskflow.compat.prominence.driver import main; main(*sys.argv[1:])"
_PATIENCE = 120.0
"""Who was killed while it started one has not done so after this time [s]."""
OUT, ERR = "1|", "2|"
"""What stands before the lines of a job that runs, in the log of its process."""
_LINES = 20
"""So many of the last lines tell why a process ended."""
_OWN = "DASKFLOW_"
_FACTS = ("SERVICE", "INDEX", "NODES", "CORES", "TASKS", "MEMORY", "BATCH_ID", "BATCH_FOLDER", "RUN", "JOB", "ATTEMPT")
"""What variables of daskflow tell of the process itself, and not of the configuration."""


def services(site: str) -> Any:
    """The services of a site, as they are configured here."""
    return _services(site, os.getcwd())


def sites() -> list[str]:
    """The sites where such processes may be, wherever new ones are started: this machine, and all with batch jobs."""
    settings = load()
    known = [name for name, site in {**built_in(), **settings.sites}.items() if site.kind in BATCHING]
    return list(dict.fromkeys([os.environ.get(SITE, "local"), *known]))


@functools.lru_cache(maxsize=64)
def _services(site: str, directory: str) -> Any:
    # Each directory may have a configuration of its own.
    return Site(site).batch


def start(entry: Entry, begun: int = 0) -> None:
    """Have a job or workflow performed.

    Parameters
    ----------
    begun
        How often it was before.

    Raises
    ------
    DaskflowError
        The site does not take it.
    """
    site = os.environ.get(SITE, "local")
    name = f"prominence-{entry.kind}-{entry.id}" + (f"-{begun}" if begun else "")
    # Before it is there: who looks for it in between waits for it.
    entry.write("process", {"site": site, "name": name, "time": time.time(), "begun": begun})
    command = [sys.executable, "-P", "-c", _DRIVER, entry.kind, entry.id]
    configured = {
        variable: value
        for variable, value in os.environ.items()
        if variable.startswith(_OWN) and variable.removeprefix(_OWN) not in _FACTS
    }
    batch = services(site)
    # On this machine the workers of a built-in site belong to the process, and share its memory.
    cores = os.cpu_count() or 1 if site == "local" else 1
    try:
        batch.spawn(command, name=name, cores=cores, env=configured)
    except FitsNowhere:
        batch.spawn(command, name=name, env=configured)


def stop(entry: Entry) -> None:
    """End the process that performs something, if it lives, with all that it started; returns when it is dead."""
    process = entry.read("process")
    if process is not None:
        try:
            services(process["site"]).kill(process["name"])
        except NotFound:
            return


def said(entry: Entry) -> str:
    """What the process has printed so far; empty where nobody knows."""
    process = entry.read("process")
    if process is None:
        return ""
    try:
        return str(services(process["site"]).logs(process["name"]))
    except NotFound:
        return ""


def forget(entry: Entry) -> None:
    """Remove what is kept of the processes of something, which have ended."""
    process = entry.read("process")
    if process is not None:
        services(process["site"]).prune(f"^prominence-{entry.kind}-{entry.id}(-[0-9]+)?$", failed=True)


def look(entry: Entry) -> dict[str, Any]:
    """How a job or workflow stands: `status`, `statusReason`, and what its process told of it."""
    owner = entry.workflow
    if owner is not None:
        return look_below(entry, look(owner))
    # In this order: what ends between both looks has told its state before.
    living, ending = _living(entry)
    state: dict[str, Any] = entry.read("state") or {}
    if state.get("status") in FINAL and not (living and _newer(entry, state)):
        return state
    if entry.has("deleted"):
        return {**state, "status": "deleted", "statusReason": DELETED if entry.kind == "job" else DELETED_WORKFLOW}
    if living:
        # What stands there may be of the former process.
        return {"status": "idle"} if state.get("status") in FINAL or not state else state
    return {**state, "status": ending.status, "statusReason": ending.reason, "error": _last_words(entry)}


def look_below(entry: Entry, above: dict[str, Any]) -> dict[str, Any]:
    """The same for a job of a workflow that stands so."""
    state: dict[str, Any] = entry.read("state") or {"status": "idle"}
    if state["status"] in FINAL:
        return state
    if entry.has("deleted"):
        return {**state, "status": "deleted", "statusReason": DELETED}
    if above["status"] not in FINAL:
        return state
    if above["status"] == "deleted":
        return {**state, "status": "deleted", "statusReason": DELETED_WITH}
    told = {name: above[name] for name in ("statusReason", "error") if above.get(name)}
    if state["status"] == "idle" and not told:
        return {**state, "status": "deleted", "statusReason": SKIPPED}
    # Its process went away before it told how this one ends.
    return {**state, "status": "failed", **told}


def _last_words(entry: Entry) -> str:
    """The end of what a process said, without what its job wrote."""
    lines = [line for line in said(entry).splitlines() if not line.startswith((OUT, ERR))]
    return "\n".join(lines[-_LINES:])


def _newer(entry: Entry, state: dict[str, Any]) -> bool:
    process = entry.read("process") or {}
    return bool(process.get("begun", 0) > state.get("begun", 0))


def _living(entry: Entry) -> tuple[bool, Any]:
    """Whether the process that performs something waits or runs, and if not, how that ended for what it performed."""
    process = entry.read("process")
    if process is None and not entry.has("request"):
        raise ConnectionError(
            f"What is known of the {entry.kind} {entry.id} cannot be read: its store is away, or it was removed."
        )
    if process is None:
        return False, ending_of_process("StartupFailed")._replace(reason=UNDEPLOYED)
    try:
        standing = services(process["site"]).standing(process["name"])
    except NotFound:
        return time.time() - process["time"] < _PATIENCE, ending_of_process("StartupFailed")
    return standing.living and not standing.hopeless, ending_of_process(standing.error, standing.exit_code)
