"""Tasks that count how often they are really performed, in files."""

from __future__ import annotations

import os
from pathlib import Path


def count(directory: str, name: str) -> None:
    """Note that something was performed; works from any process."""
    descriptor = os.open(os.path.join(directory, name), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(descriptor, b"x")
    os.close(descriptor)


def counted(directory: str | Path) -> dict[str, int]:
    """How often each name was noted."""
    return {path.name: path.stat().st_size for path in sorted(Path(directory).iterdir())}
