from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from daskflow.commands import strays as program
from daskflow.commands.strays import kill_strays, strays
from tests.execution.patience import alive, until

# A daemon: no parent, no group and no session of the first process. Its own child has forgotten its environment.
FAMILY = """
setsid sh -c 'env -i sleep 1000 & echo $! >> pids; echo $$ >> pids; mv pids all; wait' &
"""


def family(tmp_path: Path) -> list[int]:
    env = {**os.environ, "DASKFLOW_SCRATCH_DIR": str(tmp_path)}
    subprocess.run(["sh", "-c", FAMILY], cwd=tmp_path, env=env, check=True)
    until((tmp_path / "all").exists)
    return [int(line) for line in (tmp_path / "all").read_text().split()]


def test_processes_that_slipped_away(tmp_path: Path) -> None:
    pids = family(tmp_path)
    assert strays([os.fsencode(tmp_path)]) == set(pids)
    assert strays([os.fsencode(tmp_path) + b"x"]) == strays([]) == set()
    assert kill_strays([os.fsencode(tmp_path)])
    assert not any(map(alive, pids))
    assert kill_strays([os.fsencode(tmp_path)], calm=True)


def test_the_program_kills_when_its_input_ends(tmp_path: Path) -> None:
    paths = [tmp_path / "a", tmp_path / "b"]
    for path in paths:
        path.mkdir()
    pids, other = map(family, paths)
    guarded, left = map(os.fsencode, paths)
    text = b"+%b\0+%b\0-%b\0" % (guarded, left, left)
    subprocess.run([sys.executable, "-I", "-S", program.__file__], input=text, check=True)
    assert not any(map(alive, [*pids, *other])), "what has ended, and what has not"
