"""Gives the output of a command job as it is written."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from daskflow.execution.commanding.result import lines_of
from daskflow.graph.job import Job

LIVE = "live"
"""Directory of what running command jobs write, among the logs of their run."""
_LOOK = 0.2
"""How often it is looked what was written [s]."""


def live_paths(logs: str, key: str, attempt: int) -> tuple[Path, Path]:
    """Where an attempt writes its standard output and standard error, below the logs of its run."""
    stem = _stem(key)
    return Path(logs, LIVE, f"{stem}.{attempt}.stdout"), Path(logs, LIVE, f"{stem}.{attempt}.stderr")


def _stem(key: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.\-]+", "-", key)


def follow(job: Job, stream: str, whole: Callable[[], bytes]) -> Iterator[str]:
    """The lines of an output stream, until the job has ended; of an attempt that failed, those that were seen.

    Parameters
    ----------
    stream
        `stdout` or `stderr`.
    whole
        Gives what the last attempt wrote, once the job has ended.
    """
    host: Any = job.host or job.task.launcher_of(job).adopt(job)
    reader = _Reader(host.project.logs / host.id, job, stream)
    while True:
        with contextlib.suppress(TimeoutError):
            host.wait(job, _LOOK)
        if job.state.final:
            break
        yield from reader.lines()
    yield from reader.rest(whole())


class _Reader:
    """Reads what the attempts of a job write, the latest attempt first of all."""

    def __init__(self, logs: Path, job: Job, stream: str) -> None:
        self._live, self._job = logs / LIVE, job
        self._name = re.compile(rf"{re.escape(_stem(job.key))}\.(\d+)\.{stream}")
        self._attempt = 0
        self._place = 0
        self._begun = b""

    def lines(self) -> list[str]:
        """The whole lines that were written since this was asked last."""
        try:
            attempt, path = self._latest()
            same = attempt == self._attempt
            with open(path, "rb") as file:
                file.seek(self._place if same else 0)
                new = file.read()
        except FileNotFoundError:
            # An attempt that ends is counted before it is known that it was the last: what was given of it is not
            # forgotten until there is a next one.
            return []
        if not same:
            self._attempt, self._place, self._begun = attempt, 0, b""
        self._place += len(new)
        *whole, self._begun = (self._begun + new).split(b"\n")
        return [f"{line.decode(errors='replace')}\n" for line in whole]

    def _latest(self) -> tuple[int, Path]:
        """What is written now; attempts that follow each other on one worker are counted after the last of them."""
        found = []
        for entry in os.scandir(self._live):
            name = self._name.fullmatch(entry.name)
            if name is not None and (attempt := int(name[1])) > self._job.attempts:
                # One that was killed with its driver may have left a file of a higher number.
                found.append((entry.stat().st_mtime_ns, attempt, Path(entry.path)))
        if not found:
            raise FileNotFoundError(self._live)
        return max(found)[1:]

    def rest(self, whole: bytes) -> list[str]:
        """What was not given yet of the whole."""
        given = self._place - len(self._begun) if self._job.attempts <= self._attempt else 0
        return lines_of(whole[given:].decode(errors="replace"))


def live_directory(logs: str) -> bool:
    """Make the directory in which attempts write; False where they have to write elsewhere."""
    folder = os.path.join(logs, LIVE)
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError:
        return False
    # Where others may write among the logs a link would lead the output anywhere.
    return not os.path.islink(folder)
