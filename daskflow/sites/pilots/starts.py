"""The notes by which pilots tell that they started and ended, in the directory that driver and nodes share."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
from pathlib import Path
from typing import NamedTuple

_BEGAN = ".began"
_ENDED = ".ended"
_IDS = "ids"


class Start(NamedTuple):
    """What a pilot told when its script began."""

    id: str
    node: str
    pool: str
    time: float
    """By the clock of its node; seconds since the epoch [s]."""
    log: str
    """Path of its log as its node sees it; may be empty."""


class End(NamedTuple):
    """What a pilot told when its script ended."""

    id: str
    code: int
    """Exit code of its worker, or of what kept the worker from being started."""


class Notes:
    """The directory of the pilots of one driver, and all names in it.

    Parameters
    ----------
    home
        Directory that driver and nodes share.
    token
        What tells the drivers apart.

    Notes
    -----
    Pilots write a note to a file of its own and rename it, so that it is whole when it is seen. Not safe for threads.
    """

    def __init__(self, home: str, token: str) -> None:
        self.token = token
        self.folder = os.path.join(shelf(home), token)
        self._seen: set[str] = set()

    @property
    def owner(self) -> str:
        """Path of the file that says whose pilots these are."""
        return os.path.join(self.folder, "owner")

    def make(self) -> None:
        """Make the directory; nobody else may look into it."""
        os.makedirs(self.folder, mode=0o700, exist_ok=True)

    def log(self, serial: int, count: int) -> str:
        """Path of the log of the pilots of one submission, with `%s` for what tells those of an array apart."""
        return os.path.join(self.folder, f"{serial:04}-%s.log" if count > 1 else f"{serial:04}.log")

    def shell(self, own_id: str, own_node: str, pool: str) -> tuple[list[str], list[str]]:
        """Lines of shell that write the note of a start, and the body of a function that writes the one of an end.

        Parameters
        ----------
        own_id, own_node
            Shell text that gives id and node of a batch job within it.
        """
        folder = shlex.quote(self.folder)
        name = f'{folder}/"$daskflow_id"'
        hidden = f'{folder}/."$daskflow_id"'
        began = [
            f'daskflow_id="{own_id}"',
            f'daskflow_node="{own_node}"',
            "daskflow_log=$(readlink /proc/$$/fd/2 2>/dev/null)",
            f'printf \'%s\\n\' "$daskflow_node" {shlex.quote(pool)} "$(date +%s)" "$daskflow_log" '
            f"> {hidden}{_BEGAN} && mv {hidden}{_BEGAN} {name}{_BEGAN} "
            f'|| {{ echo "daskflow: $daskflow_node cannot write to {self.folder}: let \\`shared\\` of the site name '
            'a directory that all its nodes see" >&2; exit 74; }',
        ]
        ended = [f"printf '%s\\n' \"$1\" > {hidden}{_ENDED} && mv {hidden}{_ENDED} {name}{_ENDED}"]
        return began, ended

    def news(self) -> tuple[list[Start], list[End]]:
        """What has been told since the last look."""
        try:
            found = {name for name in os.listdir(self.folder) if not name.startswith(".")} - self._seen
        except OSError:  # not there for the moment
            return [], []
        starts, ends = [], []
        for name in sorted(found):
            stem, suffix = os.path.splitext(name)
            if suffix not in (_BEGAN, _ENDED):
                self._seen.add(name)
                continue
            lines = self._lines(name)
            if lines is None:
                continue
            self._seen.add(name)
            if suffix == _BEGAN:
                starts.append(_start(stem, lines))
            else:
                ends.append(End(stem, int(lines[0]) if lines and lines[0].isdigit() else 1))
        return starts, ends

    def _lines(self, name: str) -> list[str] | None:
        try:
            return Path(self.folder, name).read_text(errors="replace").splitlines()
        except OSError:  # a network filesystem lists it before it shows it
            return None

    def submitted(self, ids: list[str]) -> None:
        """Write down pilots that were submitted, for those who look after a driver that was killed."""
        with open(os.path.join(self.folder, _IDS), "a", encoding="utf-8") as file:
            file.write("".join(f"{id}\n" for id in ids))

    def living(self) -> list[str]:
        """Ids of all pilots that were submitted, or started, and have not told that they ended."""
        with contextlib.suppress(OSError):
            names = os.listdir(self.folder)
            known = self._lines(_IDS) or []
            known += [name.removesuffix(_BEGAN) for name in names if name.endswith(_BEGAN) and name[0] != "."]
            ended = {name.removesuffix(_ENDED) for name in names if name.endswith(_ENDED)}
            return [id for id in dict.fromkeys(known) if id and id not in ended]
        return []


def shelf(home: str) -> str:
    """Where the directories of all drivers are."""
    return os.path.join(home, "pilots")


def log_of(pattern: str, id: str) -> str:
    """Path of the log of one pilot of an array: the last number of its id tells it apart.

    Examples
    --------
    >>> log_of("/shared/0001-%s.log", "123_4"), log_of("/shared/0001-%s.log", "123[4].server01")
    ('/shared/0001-4.log', '/shared/0001-4.log')
    """
    numbers = re.findall(r"\d+", id.partition(".")[0] if "[" in id else id)
    return pattern.replace("%s", numbers[-1] if numbers else "")


def _start(id: str, lines: list[str]) -> Start:
    node, pool, time, log = (*lines, "", "", "", "")[:4]
    try:
        began = float(time)
    except ValueError:
        began = 0.0
    return Start(id, node, pool, began, log)
