"""Finds pilots whose driver was killed, by what each driver leaves in the directory that it shares with its pilots."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import time
from pathlib import Path
from typing import Any

from daskflow.sites.batch.system import BatchSystem, Phase
from daskflow.sites.pilots.starts import Notes, shelf

_KEPT = 14 * 86400.0
"""Notes and logs of drivers that are gone are removed after this time [s]."""
_START = 19
"""Place of the start time in /proc/<pid>/stat, counted from the state."""


def new_token() -> str:
    """What tells a driver apart from all others, in the names of its pilots."""
    return secrets.token_hex(4)


def sign(notes: Notes, site: str) -> None:
    """Say that the pilots of a directory belong to this process."""
    notes.make()
    hidden = notes.owner + ".new"
    Path(hidden).write_text(json.dumps({"site": site, **_identity(os.getpid())}))
    os.replace(hidden, notes.owner)


def resign(notes: Notes) -> None:
    """Say that nobody has to look for pilots of a directory any more."""
    with contextlib.suppress(OSError):
        os.unlink(notes.owner)


def sweep(home: str, site: str, system: BatchSystem) -> list[str]:
    """Cancel the pilots of drivers of a site that were killed on this machine; returns their ids.

    Raises
    ------
    BatchError
        They could not be cancelled. The next sweep will find them.

    Notes
    -----
    Drivers on other machines are left alone: nobody here knows whether they live. Their pilots end by themselves as
    soon as their scheduler is gone, and so do those that the sweep does not know.
    """
    dead = []
    for folder in _folders(home):
        notes = Notes(home, folder.name)
        if _is_dead(notes.owner, site):
            dead.append(notes)
        elif not os.path.exists(notes.owner):
            _remove_old(folder)
    orphans = {id: notes.folder for notes in dead for id in notes.living()}
    if orphans:
        # Ids are used again, sooner or later: only what still bears the name that its driver gave it is cancelled.
        found = system.standings(orphans).values()
        lives = [one for one in found if one.phase is not Phase.ended]
        ids = [one.id for one in lives if not one.name or one.name.endswith(os.path.basename(orphans[one.id]))]
        if ids:
            system.cancel(ids)
    else:
        ids = []
    for notes in dead:
        resign(notes)
    return ids


def _folders(home: str) -> list[Path]:
    try:
        return [Path(entry.path) for entry in os.scandir(shelf(home)) if entry.is_dir()]
    except OSError:
        return []


def _remove_old(folder: Path) -> None:
    with contextlib.suppress(OSError):
        if time.time() - folder.stat().st_mtime > _KEPT:
            shutil.rmtree(folder)


def _is_dead(owner: str, site: str) -> bool:
    try:
        signed = json.loads(Path(owner).read_text())
        if signed.pop("site") != site:
            return False
        here = _identity(signed["pid"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False
    if signed["host"] != here["host"]:
        return False
    if signed["boot"] != here["boot"]:
        return True
    # In another container on the same machine the process may live under a number that is not known here.
    return bool(signed["space"] == here["space"] and signed["began"] != here["began"])


def _identity(pid: int) -> dict[str, Any]:
    """What tells a process apart: machine, its latest boot, space of process numbers, number and start."""
    return {
        "host": os.uname().nodename,
        "boot": _read("/proc/sys/kernel/random/boot_id"),
        "space": _link("/proc/self/ns/pid"),
        "pid": pid,
        "began": _began(pid),
    }


def _began(pid: int) -> str:
    """When a process began, in ticks since the boot; empty where there is none, or only a zombie."""
    # The second field is the program's name in brackets, which may itself hold blanks and brackets.
    fields = _read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    if not fields:  # no /proc at all, or no such process
        return "" if os.path.isdir("/proc/self") or not _answers(pid) else "?"
    return "" if fields[0] in "ZX" else fields[_START]


def _answers(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _read(path: str) -> str:
    try:
        return Path(path).read_text(errors="replace").strip()
    except OSError:
        return ""


def _link(path: str) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return ""
