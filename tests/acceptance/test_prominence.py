"""PROMINENCE jobs in processes of their own: created here, found there, ended, begun again."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from daskflow.compat.prominence import (
    Artifact,
    Dependency,
    ExecError,
    InputFile,
    Job,
    ParameterSet,
    ParameterSweep,
    Repeat,
    Resources,
    Task,
    Workflow,
    Zip,
    starting,
)
from daskflow.compat.prominence.ledger import Entry
from daskflow.settings.front import launcher
from tests.acceptance.shell import environment
from tests.compat.prominence.jobs import made
from tests.execution.patience import alive, until
from tests.services.images import make_rootfs
from tests.services.programs import needs

_LONG = 120.0
"""More than anything here takes [s]."""
MELT = """\
variable        nsteps equal %d # simulation steps
units           lj
atom_style      atomic
lattice         fcc 0.8442
region          box block 0 4 0 4 0 4
create_box      1 box
create_atoms    1 box
mass            1 1.0
velocity        all create 3.0 87287 loop geom
pair_style      lj/cut 2.5
pair_coeff      1 1 1.0 1.0 2.5
fix             1 all nve
dump            1 all custom ${nsteps} dump.atoms id x y z
thermo          10
run             ${nsteps}
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    launcher.close()
    (tmp_path / "daskflow.yaml").write_text("site: threads\ncontainers: [charliecloud, bubblewrap]\n")
    monkeypatch.chdir(tmp_path)
    launcher.project()
    yield tmp_path
    batch = starting.services("local")
    for one in batch.ls("^prominence-", states=["pending", "running"]):
        batch.kill(one.name)
    launcher.close()


def elsewhere(program: str) -> str:
    """What a program prints in a process of its own."""
    command = [sys.executable, "-W", "error", "-c", f"from daskflow.compat.prominence import *\n{program}"]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def pids_in(path: Path, count: int) -> list[int]:
    """The process ids in a file, as soon as there are so many."""
    until(lambda: path.exists() and len(path.read_text().split()) >= count)
    return [int(word) for word in path.read_text().split()]


def test_workflows_as_code(here: Path) -> None:
    """The page of the documentation of PROMINENCE, from its first line to its last."""
    # Parameters in command line arguments.
    frame = 7
    task = Task()
    task.command = "echo -b classroom/classroom.blend -o frame_### -f %d" % frame  # noqa: UP031, as it stands there
    render = Job()
    render.tasks.append(task)
    render.create()

    # Small input files.
    nsteps = 200
    job = Job()
    contents = "variable nsteps equal %d # simulation steps" % nsteps  # noqa: UP031
    job.input_files.append(InputFile("sample.in", contents))

    # Large input files.
    (here / "largefile.h5").write_bytes(bytes(range(256)))
    artifact = Artifact("largefile.h5")
    artifact.upload(str(here / "largefile.h5"))
    job.artifacts.append(artifact)

    # Extracting information from standard output, by a task that reads what another one has written.
    job.tasks.append(Task(command="/bin/sh -c 'wc -c < largefile.h5 > output1.txt; cp largefile.h5 output2.txt'"))
    job.tasks.append(Task(command="cat sample.in output1.txt"))
    job.output_files = ["output1.txt", "output2.txt"]
    job.create()
    assert job.wait(_LONG)
    assert job.status == "completed"
    assert job.stdout() == "variable nsteps equal 200 # simulation steps256\n"
    assert job.stderr() == ""

    # Accessing output files.
    output1 = job.get_output_file("output1.txt")
    assert output1 == "256\n"
    job.get_output_file("output2.txt", save_as=str(here / "output2.txt"))
    assert (here / "output2.txt").read_bytes() == bytes(range(256))
    assert render.wait(_LONG)
    assert render.stdout() == "-b classroom/classroom.blend -o frame_### -f 7\n"


@needs("lmp")
def test_a_simulation_whose_length_the_last_one_says(here: Path) -> None:
    nsteps, lengths = 20, list[int]()
    while not lengths or lengths[-1] < 80:
        job = made(
            "lmp -in melt.in -log log.lammps -screen none",
            "grep -c '^ATOMS\\|^Loop' log.lammps",
            "tail -n 1 dump.atoms",
        )
        job.input_files.append(InputFile("melt.in", MELT % nsteps))
        job.output_files = ["dump.*", "log.lammps"]
        job.create()
        assert job.wait(_LONG)
        assert job.status == "completed", job.error
        log = job.get_output_file("log.lammps")
        assert isinstance(log, str)
        (loop,) = re.findall(r"for (\d+) steps with 256 atoms", log)
        lengths.append(int(loop))
        nsteps *= 2
    assert lengths == [20, 40, 80]


def test_a_job_goes_on_without_who_created_it(here: Path) -> None:
    program = f"""
import os
job = Job()
job.name = "lasting"
job.tasks.append(Task(command="/bin/sh -c 'echo begun; until [ -e {here}/go ]; do sleep 0.02; done; echo done > out'"))
job.output_files.append("out")
print(job.create(), flush=True)
os.kill(os.getpid(), 9)
"""
    command = [sys.executable, "-c", f"from daskflow.compat.prominence import *\n{program}"]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL
    job = Job(id=done.stdout.strip())
    until(lambda: job.status == "running" and job.stdout(), _LONG)
    assert job.stdout() == "begun\n", "what it has written is there while it runs"
    assert not job.wait(0.05)
    (here / "go").touch()
    assert job.wait(_LONG)
    told = elsewhere(f"job = Job(id='{job.id}'); print(job.status, job.name, job.get_output_file('out'), end='')")
    assert told == "completed lasting done\n"


def test_what_is_deleted_is_dead(here: Path) -> None:
    pids = here / "pids"
    job = made(f"/bin/sh -c 'echo $$ >> {pids}; sleep 1000 & echo $! >> {pids}; wait'")
    job.create()
    found = pids_in(pids, 2)
    assert job.delete()
    assert not [pid for pid in found if alive(pid)]
    assert (job.status, job.status_reason) == ("deleted", "Job deleted by user")
    assert not job.delete()
    assert job.remove()


def test_a_job_whose_process_is_killed(here: Path) -> None:
    pids = here / "pids"
    job = made(f"/bin/sh -c 'echo $$ $PPID >> {pids}; sleep 1000'")
    job.create()
    shell, driver = pids_in(pids, 2)
    until(lambda: job.status == "running", _LONG)
    os.kill(driver, signal.SIGKILL)
    assert job.wait(_LONG)
    assert (job.status, job.status_reason) == ("failed", "Job was evicted")
    until(lambda: not alive(shell))


def test_limits(here: Path) -> None:
    slow = made("sleep 1000", name="slow", resources=Resources(walltime=0.02))
    greedy = made("python3 -c 'x = b\"1\" * 300_000_000; import time; time.sleep(100)'", name="greedy")
    greedy.resources = Resources(memory=0.1)
    both = Workflow()
    both.jobs = [slow, greedy]
    both.create()
    assert both.wait(_LONG)
    assert (slow.status, slow.status_reason) == ("killed", "Walltime limit exceeded")
    assert (greedy.status, greedy.status_reason) == ("killed", "Job used too much memory")


def test_factories_and_dependencies(here: Path) -> None:
    part = made(
        "/bin/sh -c 'echo \"$x and ${y}\" > part-$x-$y; cat part-$x-$y'", name="part", output_files=["part-$x-$y"]
    )
    pair = made("/bin/sh -c 'echo $a $b $PROMINENCE_PARAMETER_a'", name="pair")
    same = made("printenv PROMINENCE_JOB_ID PROMINENCE_WORKFLOW_ID", name="same")
    last = made("echo last", name="last")
    whole = Workflow()
    whole.name = "sweeps"
    whole.jobs = [last, part, pair, same]
    whole.factories = [
        ParameterSweep("grid", [part], [ParameterSet("x", 0, 0.3, 0.1), ParameterSet("y", values=["k=v", 1.0])]),
        Zip("pairs", [pair], [ParameterSet("a", values=["u", "v"]), ParameterSet("b", 1, 2, 1)]),
        Repeat("again", [same], 2),
    ]
    whole.dependencies = [Dependency(part, [last]), Dependency(pair, [last]), Dependency(same, [last])]
    whole.create()
    assert whole.wait(_LONG)
    assert whole.status == "completed"
    assert whole.progress == {"total": 13, "done": 13, "failed": 0, "queued": 0, "waiting": 0}
    parts = whole.get_jobs("part")
    assert [job.stdout() for job in parts] == [
        f"{x} and {y}\n" for x in ("0", "0.1", "0.2", "0.3") for y in ("k=v", "1")
    ]
    assert parts[2].get_output_file("part-0.1-k=v") == "0.1 and k=v\n", "all parameters stand in names"
    assert [job.stdout() for job in whole.get_jobs("pair")] == ["u 1 u\n", "v 2 v\n"]
    assert [job.stdout().split() for job in whole.get_jobs("same")] == [
        [job.id, whole.id] for job in whole.get_jobs("same")
    ]
    ends = [job.events.end for job in whole.get_jobs() if job.name != "sweeps/last"]
    start = last.events.start
    assert start is not None
    assert all(end is not None and end <= start for end in ends)


def test_a_workflow_is_begun_again_under_its_id(here: Path) -> None:
    good = made(f"/bin/sh -c 'echo >> {here}/good'", name="good")
    bad = made(f"/bin/sh -c 'test -e {here}/mended'", name="bad")
    after = made("echo after", name="after")
    chain = Workflow()
    chain.jobs, chain.dependencies = [good, bad, after], [Dependency(good, [bad]), Dependency(bad, [after])]
    id = chain.create()
    assert chain.wait(_LONG)
    assert (chain.status, chain.progress["failed"], chain.progress["waiting"]) == ("failed", 1, 1)
    (here / "mended").touch()
    assert chain.rerun() == id
    assert chain.wait(_LONG)
    assert (chain.status, chain.progress["done"], after.stdout()) == ("completed", 3, "after\n")
    assert (here / "good").read_text() == "\n", "what completed is not done again"
    assert chain.remove()


def test_a_workflow_is_deleted_with_its_jobs(here: Path) -> None:
    pids = here / "pids"
    first = made(f"/bin/sh -c 'echo $$ >> {pids}; sleep 1000'", name="first")
    alone = made(f"/bin/sh -c 'echo $$ >> {pids}; sleep 1000'", name="alone")
    after = made("true", name="after")
    chain = Workflow()
    chain.jobs, chain.dependencies = [first, alone, after], [Dependency(first, [after])]
    chain.create()
    found = pids_in(pids, 2)
    assert alone.delete()
    until(lambda: sum(alive(pid) for pid in found) == 1)
    until(lambda: (chain.status, first.status) == ("running", "running"), _LONG)
    assert chain.delete()
    assert not [pid for pid in found if alive(pid)]
    assert (chain.status, chain.status_reason) == ("deleted", "Workflow deleted by user")
    assert [job.status for job in (first, alone, after)] == ["deleted"] * 3
    assert alone.status_reason == "Job deleted by user"
    assert after.status_reason == "Job part of a workflow which was deleted by user"


@needs("ch-run")
def test_each_task_in_its_container(here: Path) -> None:
    for name in ("one", "two"):
        (make_rootfs(here / name) / "etc/image").write_text(f"{name}\n")
    (here / "data").mkdir()
    (here / "data" / "x").write_text("mounted\n")
    artifact = Artifact("sets/data", "data", "/mnt/data")
    artifact.upload(here / "data")
    line = "/bin/sh -c 'cat /etc/image in || echo none; cat /mnt/data/x; echo $HOME >> place'"
    job = made(line, line, "/bin/sh -c 'test ! -e /mnt/data/x; sort -u place | wc -l'", output_files=["place"])
    job.tasks[0].image, job.tasks[1].image = "./one", str(here / "two")
    job.input_files.append(InputFile("in", b"\x01\n"))
    job.artifacts.append(artifact)
    job.create()
    assert job.wait(_LONG)
    assert job.status == "completed", job.error
    assert job.stdout() == "one\n\x01\nmounted\ntwo\n\x01\nmounted\n1\n"


@needs("ch-run")
def test_what_runs_is_looked_at_from_elsewhere(here: Path) -> None:
    make_rootfs(here / "image")
    first = made("/bin/sh -c 'echo one > x; until [ -e go ]; do sleep 0.05; done; cat go'", name="first")
    first.tasks[0].image = "./image"
    second = made("sleep 1000", name="second")
    both = Workflow()
    both.jobs = [first, second]
    both.create()
    until(lambda: (first.status, second.status) == ("running", "running"), _LONG)
    told = elsewhere(
        f"""
job = Job(id='{first.id}')
print(job.execute("cat /etc/image x"), job.get_snapshot("x"))
try: job.execute("cat none")
except ExecError as error: print(error)
try: job.get_snapshot("none")
except SnapshotCreateError as error: print(error)
Job(id='{second.id}').delete()
job.execute("/bin/sh -c 'echo gone > go'")
"""
    )
    assert told.startswith("a small image\none\n b'one\\n'\n'cat none' ended with exit code 1. cat: none: No such file")
    assert "there is no 'none' in the scratch directory" in told
    assert both.wait(_LONG)
    assert (first.status, first.stdout(), second.status) == ("completed", "gone\n", "deleted")
    with pytest.raises(ExecError, match="is completed, and has to run"):
        first.execute("date")


def test_no_runtime_for_an_image_is_told(here: Path) -> None:
    (here / "daskflow.yaml").write_text("site: threads\ncontainers: []\n")
    job = made("true")
    job.tasks[0].image = "docker://example.org/no:such"
    job.create()
    assert job.wait(_LONG)
    assert (job.status, job.status_reason) == ("failed", "Container image pull failed")
    assert "example.org/no:such" in job.error


def test_nobody_else_knows_the_job(here: Path) -> None:
    job = made("true")
    job.create()
    (here / "other").mkdir()
    program = f"import os; os.chdir('other')\ntry: Job(id='{job.id}')\nexcept JobGetError as error: print(error)"
    assert "Look where it was created" in elsewhere(program)
    assert Entry("job", str(job.id)).has("request")
