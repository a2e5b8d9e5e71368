from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import dask
import pytest

from daskflow.sites.batch.scripts import clock, directives, header, import_early, joined, mebibytes, plain_name, warner
from daskflow.sites.batch.system import Ask

ASK = Ask("name", 2, 3 * 2**30, 60.0, "/log")


def test_the_lines_are_those_of_dask_jobqueue() -> None:
    lines = header("slurm", ASK, queue="long", walltime="00:01:00")
    assert lines == [
        "#SBATCH -J name",
        "#SBATCH -p long",
        "#SBATCH -n 1",
        "#SBATCH --cpus-per-task=2",
        "#SBATCH --mem=3G",
        "#SBATCH -t 00:01:00",
    ]
    assert header("slurm", ASK, skip=["-n 1", "--mem"]) == ["#SBATCH -J name", "#SBATCH --cpus-per-task=2"]


@pytest.mark.parametrize("kind", ["slurm", "pbs", "sge", "lsf", "oar"])
def test_what_users_configured_for_dask_is_not_in_the_head(kind: str) -> None:
    theirs: dict[str, Any] = {
        "queue": "theirs",
        "account": "theirs",
        "project": "theirs",
        "walltime": "9:9",
        "job-extra": ["--theirs"],
        "job-extra-directives": ["--theirs"],
        "log-directory": "/theirs",
        "resource-spec": "theirs",
        "extra": ["theirs"],
    }
    import_early()
    with dask.config.set({f"jobqueue.{kind}": theirs}):
        text = "\n".join(header(kind, ASK))
    assert "theirs" not in text
    assert "9:9" not in text


def test_handlers_of_signals_stay_as_they_were_whoever_imports() -> None:
    script = """
import signal, threading
from daskflow.sites.batch.scripts import import_early
before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
threads = [threading.Thread(target=import_early) for _ in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
import_early()
import dask_jobqueue, distributed
print([signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before, signal.signal.__module__)
"""
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=120)
    assert answer.stdout.split()[0] == "True"
    assert "Error" not in answer.stderr


def test_memory_is_never_less_than_asked_for() -> None:
    assert [mebibytes(size) for size in (1, 2**20, 2**20 + 1, 6000 * 2**20)] == [1, 1, 2, 6000]


def test_walltimes_are_never_shorter_than_asked_for() -> None:
    assert [clock(seconds) for seconds in (0.0, 59.1, 3600.0, 360000.0)] == [
        "00:00:01",
        "00:01:00",
        "01:00:00",
        "100:00:00",
    ]


def test_names_are_plain() -> None:
    assert plain_name("run/job 1 $(rm)") == "run/job-1-rm-"
    assert plain_name("1st", allowed="a-z0-9") == "j1st"
    assert len(plain_name("x" * 999, longest=15)) == 15


def test_people_may_write_the_prefix_or_not() -> None:
    assert directives("#PBS", ["-l a=b", "#PBS -m n"]) == ["#PBS -l a=b", "#PBS -m n"]


def test_a_script_has_its_head_before_its_body() -> None:
    assert joined(["#X a"], ["b", "c"]) == "#!/usr/bin/env bash\n#X a\n\nb\nc\n"


def warned(*body: str, walltime: float) -> str:
    script = joined([], [*warner(ASK._replace(walltime=walltime, warn=1.0)), *body])
    answer = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False, timeout=120)
    return answer.stdout


def test_a_script_can_warn_itself() -> None:
    assert warner(ASK) == []
    wait = "while :; do sleep 0.1; done"
    assert warned("trap 'echo warned; exit' USR1", wait, walltime=3.0) == "warned\n"
    # Whatever takes the place of the shell has its id.
    python = "import signal; signal.signal(signal.SIGUSR1, lambda *_: print('told')); signal.pause()"
    assert warned(f'exec {sys.executable} -S -c "{python}"', walltime=6.0) == "told\n"


def test_a_script_that_ended_is_not_warned(tmp_path: Path) -> None:
    # `ps` says that the parent is another one.
    (tmp_path / "ps").write_text("#!/bin/sh\necho 1\n")
    (tmp_path / "ps").chmod(0o755)
    path = f"PATH={tmp_path}:$PATH"
    (line,) = warner(ASK._replace(walltime=1.0, warn=1.0))
    script = joined([], [path, "trap 'echo warned' USR1", line, "wait"])
    answer = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True, timeout=120)
    assert answer.stdout == ""
