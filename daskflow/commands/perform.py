"""Performs a command job on its node: scratch directory, inputs, commands, outputs."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from daskflow.commands.guard import GUARD
from daskflow.commands.order import Done, Order, Tools
from daskflow.commands.outputs import find, nearby
from daskflow.commands.running import Running
from daskflow.commands.scratch import FULL, Scratch, sweep
from daskflow.commands.strays import kill_strays
from daskflow.commands.templates import fill_content
from daskflow.errors import CommandFailed, OutputMissing, ScratchFull

_AT_ONCE = 8
"""So many outputs are kept at a time."""
_SHORT = 5.0
"""What took less is not looked through for processes that left their group [s]."""
_swept: set[Path] = set()


def perform(order: Order, tools: Tools) -> Done:
    """Perform one attempt at a command job.

    Returns
    -------
    Done
        What it left; whatever failed is told there, not raised.

    Notes
    -----
    What `tools.watch` raises that is no `Exception` goes through, when nothing of the job is alive any more. Where this
    process dies, all commands are killed, and the scratch directory is removed by the next one.
    """
    if tools.root not in _swept:
        _swept.add(tools.root)
        sweep(tools.root)
    try:
        scratch = Scratch(tools.root, tools.job, keep=order.keep)
    except Exception as error:
        return Done((), {}, b"", b"", error)
    with scratch, GUARD.guarding(scratch.work):
        return _Attempt(order, tools, scratch).done()


class _Attempt:
    """One attempt, from its inputs to its outputs; the first failure is the one that counts."""

    def __init__(self, order: Order, tools: Tools, scratch: Scratch) -> None:
        self._order = order
        self._tools = tools
        self._scratch = scratch
        self._running = Running(order, tools, scratch)
        self._check: Callable[[], object] | None = None
        self._failure: Exception | None = None

    def done(self) -> Done:
        self._try(self._prepare)
        if self._failure is None:
            self._try(self._run)
        if self._check is not None:
            self._try(self._check)
        outputs: dict[str, Any] = {}
        for folders, patterns in ((False, self._order.files), (True, self._order.folders)):
            for pattern in patterns:
                self._try(partial(self._keep, pattern, folders, outputs))
        stdout = self._take(self._tools.stdout or self._scratch.stdout)
        stderr = self._take(self._tools.stderr or self._scratch.stderr)
        kept = self._scratch.path if self._order.keep else None
        return Done(self._running.ended, dict(sorted(outputs.items())), stdout, stderr, self._failure, kept)

    def _try(self, step: Callable[[], object]) -> None:
        try:
            step()
        except Exception as error:
            self._failure = self._failure or self._told(error)

    def _told(self, error: Exception) -> Exception:
        full = isinstance(error, OSError) and error.errno in FULL
        if full or (isinstance(error, CommandFailed) and self._scratch.full()):
            made = ScratchFull(
                f"No room is left in the scratch directory {self._scratch.path}. Free some space, or name another "
                f"directory by `scratch`. What failed: {error}"
            )
            made.__cause__ = error
            return made
        return error

    def _prepare(self) -> None:
        self._check = self._tools.stage(self._scratch)
        for file in self._order.inputs:
            content = file.content
            if isinstance(content, str):
                content = fill_content(content, self._order.parameters).encode(errors="surrogateescape")
            self._scratch.write(file.name, content, executable=file.executable)

    def _run(self) -> None:
        start = time.monotonic()
        calm = False
        try:
            self._running.run()
            calm = not self._running.killed
        except Exception:
            calm = not self._running.killed
            raise
        finally:
            # To look through all processes takes some milliseconds, too much where a command takes no longer.
            if not calm or time.monotonic() - start > _SHORT:
                kill_strays([os.fsencode(self._scratch.work)], calm=calm)

    def _keep(self, pattern: str, folders: bool, outputs: dict[str, Any]) -> None:
        found = find(self._scratch, pattern, folders=folders)
        new = [output for output in found if output.name not in outputs]
        if len(new) == 1:
            outputs[new[0].name] = self._tools.store(new[0].path, new[0].name)
        elif new:
            # The store may be far away: keeping a small file is mostly waiting.
            with ThreadPoolExecutor(_AT_ONCE, "daskflow-outputs") as pool:
                going = {output.name: pool.submit(self._tools.store, output.path, output.name) for output in new}
            # One that cannot be kept takes none of the others along.
            outputs.update({name: one.result() for name, one in going.items() if one.exception() is None})
            for one in going.values():
                one.result()
        if not found and self._failure is None:
            kind, other = ("directory", "file") if folders else ("file", "directory")
            what = f"{kind} matches {pattern!r}"
            if find(self._scratch, pattern, folders=not folders):
                raise OutputMissing(f"No {what}, but a {other} does: name it among those to be kept.")
            raise OutputMissing(f"No {what} in the scratch directory after the last command. {nearby(self._scratch)}")

    def _take(self, path: Path) -> Any:
        if path.is_symlink():  # what somebody has put there is no output
            return b""
        try:
            return self._tools.take(path)
        except FileNotFoundError:  # no command was started
            return b""
        except Exception as error:
            self._failure = self._failure or error
            return b""
