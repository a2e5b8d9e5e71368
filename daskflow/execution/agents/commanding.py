"""Performs the commands of works."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import threading
from collections import deque
from collections.abc import Sequence
from typing import IO, Any

from daskflow.errors import CommandMissing
from daskflow.execution.agents.outcome import Outcome, Unfit, outcome_of
from daskflow.model.quantities import as_bytes
from daskflow.model.work import Work

_KEPT = 512 << 10
"""Of each stream the last so many bytes are kept in the results [bytes]."""
_TOLD = 20
"""So many lines of standard error tell why a command failed."""
_PATIENCE = 2.0
"""What a process has left behind may hold its streams open; it is not waited for longer [s]."""
_TRIPLE = 3
_PARAMETER = "DASKFLOW_PARAM_"
_ROOM = 128 << 10
"""What Linux lets one variable, or one argument, have [bytes]."""


def perform_command(command: Sequence[str], work: Work) -> Outcome:
    """Perform a command: a list without a shell, one text alone as a line for the shell.

    Returns
    -------
    Outcome
        Of the last line that it printed, where that is a JSON dictionary, or a list of results, products and plots;
        else `args`, `stdout`, `stderr` and `returncode`. A command that failed also has these.

    Raises
    ------
    CommandMissing
        There is no such program.
    Unfit
        It is given more than the system lets a command have.

    Notes
    -----
    All that it prints goes to the log as well. Parameters are told by variables `DASKFLOW_PARAM_NAME`.
    """
    argv = ["/bin/sh", "-c", command[0]] if len(command) == 1 else list(command)
    try:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **_variables(work.parameters or {})},
        )
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno == errno.E2BIG:
            raise Unfit(_too_long(argv, work)) from None
        reason = getattr(error, "strerror", None) or error
        raise CommandMissing(f"{argv[0]!r} cannot be started: {reason}.") from None
    stdout, stderr = _Heard(process.stdout, 1), _Heard(process.stderr, 2)
    code = process.wait()
    out, err = stdout.lines(), stderr.lines()
    results = {"args": list(command), "stdout": out, "stderr": err, "returncode": code}
    if code:
        return Outcome(results, error=_why(code, err[-_TOLD:]))
    return _told(out) or outcome_of(results)


def _too_long(argv: Sequence[str], work: Work) -> str:
    given = {f"parameter {name[len(_PARAMETER) :]}": text for name, text in _variables(work.parameters or {}).items()}
    given |= {f"argument {place}": text for place, text in enumerate(argv)}
    name, text = max(given.items(), key=lambda each: len(each[1].encode()))
    return (
        f"{argv[0]!r} cannot be started: it is given more than a command can get. The {name} takes "
        f"{as_bytes(len(text.encode()))}, and one may take at most {as_bytes(_ROOM)}. Write it to a file, and give its "
        "path."
    )


def _why(code: int, tail: list[str]) -> str:
    how = f"ended with the exit code {code}" if code > 0 else f"was ended by the signal {-code}"
    end = "\n".join(tail)
    return f"The command {how}." + (f" Its standard error ended with:\n{end}" if end else "")


def _variables(parameters: dict[str, Any]) -> dict[str, str]:
    return {
        f"{_PARAMETER}{name.upper()}": value if isinstance(value, str) else json.dumps(value)
        for name, value in parameters.items()
        if name.isidentifier()
    }


def _told(lines: list[str]) -> Outcome | None:
    """What the last line says; None where it says nothing of results."""
    last = next((line for line in reversed(lines) if line.strip()), "").strip()
    try:
        value = json.loads(last)
        if not isinstance(value, dict) and not (isinstance(value, list) and len(value) == _TRIPLE):
            return None
        # A list of JSON is what a function gives as a tuple.
        outcome = outcome_of(tuple(value) if isinstance(value, list) and isinstance(value[0], dict) else value)
    except (ValueError, RecursionError, Unfit):
        return None
    # A list of three other things is just what it printed.
    return None if isinstance(outcome.results, list) else outcome


class _Heard:
    """Takes what comes from a stream to the log, and keeps the end of it."""

    def __init__(self, stream: IO[bytes] | None, log: int) -> None:
        self._kept: deque[bytes] = deque()
        self._size = 0
        self._cut = False
        self._thread = threading.Thread(target=self._hear, args=(stream, log), daemon=True)
        self._thread.start()

    def _hear(self, stream: Any, log: int) -> None:
        with stream:
            while chunk := os.read(stream.fileno(), 1 << 16):
                os.write(log, chunk)
                self._keep(chunk)

    def _keep(self, chunk: bytes) -> None:
        self._kept.append(chunk)
        self._size += len(chunk)
        while self._size - len(self._kept[0]) > _KEPT:
            self._size -= len(self._kept.popleft())
            self._cut = True

    def lines(self) -> list[str]:
        """Its lines; the first is `...` where earlier ones were dropped."""
        self._thread.join(_PATIENCE)
        found = b"".join(list(self._kept)).decode(errors="replace").splitlines()
        return ["...", *found[1:]] if self._cut else found
