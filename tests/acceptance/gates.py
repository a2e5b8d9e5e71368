"""Jobs that end when, and as, a test says."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from daskflow.sites import Site
from tests.conftest import Lab

PATIENCE = 60.0


def gate(directory: str, name: str) -> str:
    """Wait for a word in a file of that name: `good` or `bad`."""
    Path(directory, f"began-{name}").touch()
    path = Path(directory, name)
    end = time.monotonic() + PATIENCE
    while not path.exists():
        if time.monotonic() > end:
            raise TimeoutError(f"nobody opened the gate {name}")
        time.sleep(0.005)
    if path.read_text() == "bad":
        raise ValueError(f"{name} is bad")
    return name


def passed(value: Any) -> Any:
    """What depends on a gate."""
    return value


def let(directory: str, name: str, word: str = "good") -> None:
    """Open a gate, or have its job fail."""
    path = Path(directory, f".{name}")
    path.write_text(word)
    os.replace(path, Path(directory, name))


def began(directory: str, name: str) -> bool:
    """Whether the job behind a gate runs, or did."""
    return Path(directory, f"began-{name}").exists()


def with_site(lab: Lab, site: Site) -> Lab:
    """Let a laboratory use one more site, which others may share."""
    lab.project._sites[site.name] = site
    lab.project._makers = {**lab.project._makers, site.name: lambda: site}
    return lab
