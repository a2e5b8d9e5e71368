"""What the batch systems of the qsub family share."""

from __future__ import annotations

import os
import re
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from daskflow.sites.batch.calls import call
from daskflow.sites.batch.system import Ask

_CLUSTER = ("PBS_DEFAULT", "PBS_SERVER", "PBS_CONF_FILE", "SGE_ROOT", "SGE_CELL", "SGE_QMASTER_PORT")
"""Variables that say which of several clusters is meant."""
_ATTRIBUTE = re.compile(r"\s+([A-Za-z_][\w.]*) = (.*)")


class Grid:
    """A batch system with qsub, qstat and qdel."""

    launch = "mpirun"

    def __init__(self, timeout: float, *options: object) -> None:
        self._timeout = timeout
        self._identity = (type(self), timeout, *options, *(os.environ.get(name, "") for name in _CLUSTER))

    def __eq__(self, other: object) -> bool:
        """Whether one query serves both."""
        return isinstance(other, Grid) and self._identity == other._identity

    def __hash__(self) -> int:
        return hash(self._identity)

    def _call(self, *argv: str, pardon: re.Pattern[str] | None = None) -> str:
        return call(argv, timeout=self._timeout, pardon=pardon)

    def _qsub(self, script: str, *arguments: str) -> str:
        """What qsub says to a job script."""
        with script_file(script) as path:
            return self._call("qsub", *arguments, path).strip()


@contextmanager
def script_file(script: str) -> Iterator[str]:
    """A file that holds a job script for as long as it is submitted."""
    with tempfile.TemporaryDirectory(prefix="daskflow-batch-") as directory:
        path = Path(directory, "job.sh")
        path.write_text(script)
        path.chmod(0o700)
        yield str(path)


def log_path(ask: Ask, index: str) -> str:
    """Path of the log in a head; `index` is the system's word for what tells the jobs of an array apart."""
    return ask.log.replace("%s", index if ask.count > 1 else "0")


def quoted(path: str) -> str:
    """A path as it stands in a head."""
    return f'"{path}"' if " " in path else path


def blocks(text: str, title: str) -> dict[str, dict[str, str]]:
    """What `qstat -f` and `pbsnodes` say: attributes by the title of their block.

    Notes
    -----
    Long values go on in lines that begin with a tab.
    """
    found: dict[str, dict[str, str]] = {}
    current: dict[str, str] = {}
    last = ""
    for line in text.splitlines():
        if line and not line[0].isspace():
            name = line.removeprefix(title).strip()
            current, last = found.setdefault(name, {}), ""
        elif attribute := _ATTRIBUTE.fullmatch(line):
            last = attribute.group(1)
            current[last] = attribute.group(2)
        elif last and line.strip():
            current[last] += line.strip()
    return found


def as_epoch(text: str) -> float | None:
    """A time such as `Sun Nov 22 01:34:02 2026`, of this place [s since the epoch]."""
    try:
        return time.mktime(time.strptime(text.strip(), "%a %b %d %H:%M:%S %Y"))
    except ValueError:
        return None


def as_duration(text: str) -> float | None:
    """A time such as `25:00:01` or `90` [s]; None: there is none."""
    parts = text.strip().split(":")
    if not all(part.isdigit() for part in parts):
        return None
    seconds = 0.0
    for part in parts:
        seconds = seconds * 60 + int(part)
    return seconds


def in_portions(ids: Iterable[str], size: int = 100) -> Iterator[Sequence[str]]:
    """Ids, each once, in portions that fit a command line."""
    items = list(dict.fromkeys(ids))
    for start in range(0, len(items), size):
        yield items[start : start + size]
