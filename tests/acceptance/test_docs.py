"""The examples of a page go on from each other: together they are a script, which is run as a user would."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance.shell import environment

DOCS = Path(__file__).parents[2] / "docs"
_BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)


PAGES = [
    "agents.md",
    "artifacts.md",
    "batch-jobs.md",
    "chime.md",
    "commands.md",
    "containers.md",
    "control.md",
    "efficiency.md",
    "formats.md",
    "jobs-in-buckets.md",
    "pilots-and-time.md",
    "prominence.md",
    "reading-data.md",
    "server.md",
    "services.md",
    "works.md",
]


@pytest.mark.parametrize("page", PAGES)
def test_the_examples_run(page: str, tmp_path: Path) -> None:
    blocks = _BLOCK.findall((DOCS / page).read_text("utf-8"))
    assert blocks
    (tmp_path / "page.py").write_text("\n\n".join(blocks))
    command = [sys.executable, "-W", "error", "page.py"]
    done = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
