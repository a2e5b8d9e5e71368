"""`python -m tests.services.demo`: the demo of daskflow on a real Slurm of this machine, which is gone afterwards."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.services.slurm import Slurm, running

_SITE = """\
site: laptop

sites:
  laptop:
    kind: slurm
    queue: main
    cores: 2
    memory: 2 GiB
    walltime: 10 min
    max_pilots: {pilots}
    # Scheduler and workers are on one machine.
    interface: lo
"""
_NODES = 3
_REPORT = "daskflow-demo-report.html"


def configure(directory: Path, pilots: int) -> Path:
    """Write the configuration of a site on that Slurm; returns its file."""
    file = directory / "daskflow.yaml"
    file.write_text(_SITE.format(pilots=pilots))
    return file


def main() -> None:
    """Start a Slurm, run the demo on it, tell what ran where, and stop it."""
    with tempfile.TemporaryDirectory(prefix="daskflow-slurm-", ignore_cleanup_errors=True) as name:
        directory = Path(name)
        began = time.monotonic()
        try:
            with running(directory / "slurm", nodes=_NODES) as cluster:
                print(f"A Slurm of {_NODES} nodes runs after {time.monotonic() - began:.1f} s, in {cluster.directory}.")
                code = _demo(cluster, directory)
        except RuntimeError as error:
            sys.exit(str(error))
        print("Slurm is stopped, and its directory removed.")
    sys.exit(code)


def _demo(cluster: Slurm, directory: Path) -> int:
    configure(directory, _NODES)
    print(f"\n{directory / 'daskflow.yaml'}:\n{(directory / 'daskflow.yaml').read_text()}")
    env = {**os.environ, **cluster.env}
    code = subprocess.run([sys.executable, "-m", "daskflow", "demo"], cwd=directory, env=env, check=False).returncode
    print("\nThe batch jobs, as Slurm tells it:")
    for line in cluster.run("scontrol", "-o", "show", "jobs").splitlines():
        job = dict(word.split("=", 1) for word in line.split() if "=" in word)
        if "JobId" in job:
            print("  {JobId:>4}  {JobName}  on {NodeList}  {NumCPUs} cores  {RunTime}  {JobState}".format_map(job))
    if (directory / _REPORT).exists():
        shutil.copy(directory / _REPORT, _REPORT)
        print(f"\nThe report is here: {_REPORT}")
    return code


if __name__ == "__main__":
    main()
