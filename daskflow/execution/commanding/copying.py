"""Copies what running commands write, as it is now; a copy can be given up."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

_BLOCK = 1 << 22
"""After so much it is asked whether to go on [bytes]."""


def copy_now(source: Path, target: Path, check: Callable[[], object]) -> None:
    """Copy a file, or a directory with all that is in it; links stay links.

    Parameters
    ----------
    check
        Called again and again; raises to give up. What is there of the copy then is left to the caller.

    Raises
    ------
    OSError
        Something cannot be read or written, or is neither file nor directory nor link.

    Notes
    -----
    What vanishes from a directory while it is copied is left out: programs remove their own temporary files.
    """
    if not source.is_dir():
        _copy_file(source, target, check)
        return

    def copy(file: str, place: str) -> None:
        # Removed and written again at once it counts as removed.
        with suppress(FileNotFoundError):
            _copy_file(file, place, check)

    try:
        shutil.copytree(source, target, symlinks=True, copy_function=copy)
    except shutil.Error as error:
        left = [(path, why) for path, _, why in error.args[0] if os.path.lexists(path)]
        if left:
            path, why = left[0]
            raise OSError(f"{os.path.relpath(path, source)!r} cannot be copied: {why}") from error


def _copy_file(source: Any, target: Any, check: Callable[[], object]) -> None:
    # A pipe in which nobody writes must not keep us waiting.
    descriptor = os.open(source, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb", buffering=0) as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise shutil.SpecialFileError(f"{os.fspath(source)!r} is no file")
        with open(target, "wb", buffering=0) as copy:
            check()
            while block := file.read(_BLOCK):
                copy.write(block)
                check()
    with suppress(FileNotFoundError):
        shutil.copystat(source, target)
