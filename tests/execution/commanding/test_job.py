"""Command jobs, as their users make and use them."""

from __future__ import annotations

import io
import tarfile
import time
from pathlib import Path
from typing import Any

import pytest

from daskflow.artifacts.artifact import Artifact
from daskflow.errors import (
    ArgumentsInvalid,
    ArtifactMissing,
    CommandFailed,
    CommandMissing,
    InputChanged,
    JobFailed,
    JobTimeout,
    NotInTask,
    OutOfMemory,
    OutputMissing,
    PathRefused,
    RunFailed,
    UsageError,
)
from daskflow.execution.commanding.job import CommandJob
from daskflow.execution.credentials import credentials
from daskflow.graph.lenient import allow_failure
from daskflow.model.command import Command, InputFile
from daskflow.model.policy import Resources
from daskflow.model.states import JobState
from tests.conftest import Lab

AWKWARD = ["with space", 'quote\'d "name"', "grüße", "semi;colon", "$HOME", "-rf", "new\nline"]


def failure_of(job: CommandJob) -> BaseException:
    """What failed in a job."""
    with pytest.raises(JobFailed) as caught:
        job.result(60)
    assert caught.value.__cause__ is not None
    return caught.value.__cause__


def test_commands_in_sequence_in_one_directory(lab: Lab) -> None:
    job = lab.command(["echo one > a.txt", ["cat", "a.txt"], Command("wc -l < a.txt >&2")], output_files=["a.txt"])
    assert repr(job) == "<CommandJob echo created>"
    assert job.stdout() == "one\n"
    assert job.stderr().strip() == "1"
    assert job.exit_codes == (0, 0, 0)
    assert job.get_output_file("a.txt") == b"one\n"
    assert job.get_output_file("a.txt", text=True) == "one\n"
    assert job.state is JobState.succeeded
    assert "$ echo one > a.txt" in job.log()


def test_files_are_saved_where_they_are_wanted(lab: Lab, tmp_path: Path) -> None:
    job = lab.command(
        ["mkdir -p out/below; echo x > out/below/x; echo y > y"], output_files=["y"], output_directories=["out"]
    )
    assert job.get_output_file("y", save_as=tmp_path / "saved") == tmp_path / "saved"
    assert (tmp_path / "saved").read_text() == "y\n"
    job.get_output_directory("out", tmp_path / "folder")
    assert (tmp_path / "folder" / "below" / "x").read_text() == "x\n"
    assert sorted(job.files()) == ["out", "y"]
    with pytest.raises(OutputMissing, match="no output file 'z'"):
        job.get_output_file("z")


def test_globs_keep_all_matches(lab: Lab) -> None:
    job = lab.command(
        ["for i in 1 2 3; do echo $i > dump.$i; done; mkdir d; echo 4 > d/4.png"], output_files=["dump.*", "**/*.png"]
    )
    assert {name: artifact.path().read_text() for name, artifact in job.files().items()} == {
        "d/4.png": "4\n",
        "dump.1": "1\n",
        "dump.2": "2\n",
        "dump.3": "3\n",
    }


def test_a_failed_command_fails_the_job_and_what_it_left_is_kept(lab: Lab) -> None:
    job = lab.command(["echo half > out; echo oh >&2; exit 3", "echo never"], output_files=["out", "not-yet"])
    error = failure_of(job)
    assert isinstance(error, CommandFailed)
    assert "ended with exit code 3" in str(error)
    assert "oh" in str(error)
    assert job.exit_codes == (3,)
    assert job.stderr() == "oh\n"
    assert job.get_output_file("out") == b"half\n"


def test_going_on_after_a_failure(lab: Lab) -> None:
    job = lab.command(["exit 3", "echo on"], check=False)
    assert job.result(60).exit_codes == (3, 0)
    assert job.stdout() == "on\n"


def test_what_is_missing_is_named(lab: Lab) -> None:
    assert isinstance(failure_of(lab.command([["no-such-program", "-x"]])), CommandMissing)
    assert "nothing.*" in str(failure_of(lab.command(["true"], output_files=["nothing.*"])))
    with pytest.raises(ArtifactMissing, match="no-such-artifact"):
        lab.command(["true"], artifacts=[_pin(lab, "no-such-artifact")]).as_job()


def _pin(lab: Lab, name: str) -> Artifact:
    made = Artifact(name)
    made._url = lab.launcher.store().url
    return made


@pytest.mark.parametrize("name", AWKWARD)
def test_awkward_names_and_values(lab: Lab, name: str) -> None:
    job = lab.command(
        ["cat < {name}; cp -- {name} copy; printf %s {name}"],
        parameters={"name": name},
        input_files=[InputFile(name, "content")],
        output_files=["copy"],
    )
    assert job.stdout() == f"content{name}"
    assert job.get_output_file("copy") == b"content"


@pytest.mark.parametrize("name", ["../x", "/tmp/x", "a/../../x"])
def test_nothing_leads_out_of_the_scratch_directory(lab: Lab, name: str) -> None:
    given: list[dict[str, Any]] = [
        {"input_files": [InputFile(name, "x")]},
        {"output_files": [name]},
        {"artifacts": [CommandJob.staged(lab.artifact("a", b"x"), name)]},
    ]
    for one in given:
        with pytest.raises(PathRefused):
            lab.command(["true"], **one).as_job()


def test_parameters_in_commands_variables_and_files(lab: Lab) -> None:
    job = lab.command(
        [Command("echo $SIZE {size:.2f} $OTHER; cat in", env={"OTHER": "<{name}>"})],
        env={"SIZE": "{size}"},
        input_files=[InputFile("in", "n={name} {size} {unknown} ${{size}}\n")],
        parameters={"size": 1.5, "name": "x y"},
    )
    assert job.stdout() == "1.5 1.50 <x y>\nn=x y 1.5 {unknown} ${size}\n"


def test_a_misspelt_parameter_is_named_with_the_nearest(lab: Lab) -> None:
    job = lab.command(["echo {sise}"], parameters={"size": 1})
    with pytest.raises(ArgumentsInvalid, match=r"(?s){sise}.*{size}"):
        job.result(60)


def test_results_of_other_jobs_are_parameters_and_inputs(lab: Lab) -> None:
    @lab.task
    def double(x: int) -> int:
        return 2 * x

    @lab.flow
    def study() -> Any:
        first = lab.command(["echo 7; echo data > out.dat"], output_files=["out.dat"])
        return lab.command(
            ["echo {n} {said} {file}; cat {file} again.dat"],
            parameters={"n": double(4), "said": first, "file": first.file("out.dat")},
            artifacts=[CommandJob.staged(first.file("out.dat"), "again.dat")],
        )

    assert study().stdout() == "8 7 out.dat\ndata\ndata\n"


def test_python_tasks_use_files_of_commands(lab: Lab) -> None:
    @lab.task
    def count(artifact: Any, files: Any) -> tuple[int, list[str]]:
        with artifact.open() as file:
            return len(file.read()), sorted(files)

    @lab.flow
    def study() -> Any:
        job = lab.command(["printf 12345 > five; touch none"], output_files=["five", "none"])
        return count(job.file("five"), job.output.files)

    assert study() == (5, ["five", "none"])


def test_artifacts_are_staged_unpacked_and_copied(lab: Lab) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        info = tarfile.TarInfo("inner/file")
        info.size = 3
        tar.addfile(info, io.BytesIO(b"abc"))
    job = lab.command(
        ["cat data/inner/file big.bin; echo more >> mine; cat mine; ./tool"],
        artifacts=[
            lab.artifact("big.bin", b"big "),
            CommandJob.staged(lab.artifact("x.tgz", packed.getvalue()), "data", unpack=True),
            CommandJob.staged(lab.artifact("m", b"m"), "mine", writable=True),
            CommandJob.staged(lab.artifact("tool", b"#!/bin/sh\necho tool\n"), executable=True),
        ],
    )
    assert job.stdout() == "abcbig mmore\ntool\n"


def test_local_paths_are_staged_too_and_count_by_content(lab: Lab, tmp_path: Path) -> None:
    path = tmp_path / "in.txt"
    path.write_text("one")
    first = lab.command(["cat in.txt"], artifacts=[path])
    assert first.stdout() == "one"
    path.write_text("two")
    again = lab.command(["cat {file}"], parameters={"file": path})
    assert again.stdout() == "two"
    assert lab.command(["cat in.txt"], artifacts=[path]).key != first.key


def test_who_changes_what_others_use_is_told(lab: Lab) -> None:
    shared = lab.artifact("shared", b"x" * 100)
    job = lab.command(["chmod +w shared; echo more >> shared"], artifacts=[shared])
    assert isinstance(failure_of(job), InputChanged)
    replaced = lab.command(["rm -f fresh; echo own > fresh; cat fresh"], artifacts=[lab.artifact("fresh", b"y")])
    assert replaced.stdout() == "own\n", "what replaces a shared file is the job's own"


def test_two_things_of_one_name_are_refused(lab: Lab) -> None:
    job = lab.command(["true"], artifacts=[lab.artifact("a/x", b"1"), lab.artifact("b/x", b"2")])
    error = failure_of(job)
    assert isinstance(error, ArgumentsInvalid)
    assert "'x'" in str(error)


def test_lists_grow_until_the_job_is_planned(lab: Lab) -> None:
    job = lab.command(["cat a b"])
    job.input_files.append(InputFile("a", "1"))
    job.artifacts.append(lab.artifact("b", b"2"))
    job.output_files.append("a")
    assert job.stdout() == "12"
    with pytest.raises(UsageError, match="the job was planned"):
        job.input_files.append(InputFile("c", "3"))


def test_in_a_flow_they_run_though_nobody_asks(lab: Lab, tmp_path: Path) -> None:
    @lab.flow
    def study() -> None:
        for name in "ab":
            job = lab.command([f"cat in > {tmp_path}/{name}"])
            job.input_files.append(InputFile("in", name))

    study()
    assert (tmp_path / "a").read_text() + (tmp_path / "b").read_text() == "ab"


def test_remembered_by_commands_inputs_and_outputs(lab: Lab) -> None:
    def key(**changes: Any) -> str:
        given: dict[str, Any] = {
            "commands": ["cat in"],
            "input_files": [InputFile("in", "x")],
            "parameters": {"n": 1},
            "output_files": ["in"],
            "env": {"A": "1"},
        }
        return lab.command(**{**given, **changes}).key

    assert key() == key()
    assert key() == key(timeout=100, retries=3, resources=Resources(cores=2), site="threads")
    others = [
        key(commands=["cat  in"]),
        key(input_files=[InputFile("in", "y")]),
        key(input_files=[InputFile("in", b"x")]),
        key(input_files=[InputFile("in", "x", executable=True)]),
        key(parameters={"n": 2}),
        key(output_files=["in", "out"]),
        key(output_files=[], output_directories=["in"]),
        key(env={"A": "2"}),
        key(check=False),
        key(artifacts=[lab.artifact("a", b"1")]),
        key(artifacts=[lab.artifact("a", b"2")]),
        key(commands=[Command("cat in", stdin="x")]),
    ]
    assert len({key(), *others}) == len(others) + 1


def test_the_second_run_does_nothing_and_usage_is_remembered(lab: Lab, tmp_path: Path) -> None:
    @lab.flow
    def study() -> CommandJob:
        job = lab.command([f"echo ran >> {tmp_path}/count; echo said"])
        job.result()
        made.append(job)
        return job

    made: list[CommandJob] = []
    assert study().stdout() == study().stdout() == "said\n"
    assert (tmp_path / "count").read_text() == "ran\n"
    assert [job.state for job in made] == [JobState.succeeded, JobState.cached]
    first, second = made[0].usage, made[1].usage
    assert first == second
    assert first.wall > 0


def test_large_input_files_go_to_the_store_once(lab: Lab) -> None:
    text = "a long line\n" * 10000
    first = lab.command(["wc -c < in"], input_files=[InputFile("in", text)])
    second = lab.command(["wc -l < in"], input_files=[InputFile("in", text.encode(), executable=True)])
    assert first.stdout().strip() == str(len(text))
    assert second.stdout().strip() == "10000"
    templated = lab.command(["tail -n 1 in"], input_files=[InputFile("in", text + "{n}")], parameters={"n": 5})
    assert templated.stdout() == "5"
    escaped = lab.command(["tail -n 1 in"], input_files=[InputFile("in", text + "{{n}}")], parameters={"n": 5})
    assert escaped.stdout() == "{n}", "as in small files"


def test_large_output_is_whole(lab: Lab) -> None:
    job = lab.command(["seq 1 100000; seq 1 20000 >&2; exit 1"])
    assert job.stdout() == "".join(f"{number}\n" for number in range(1, 100001))
    assert job.stderr(tail=1) == "20000\n"


def test_environment_of_a_command(lab: Lab) -> None:
    job = lab.command(
        ["env | grep ^DASKFLOW_; echo threads $OMP_NUM_THREADS"],
        parameters={"n": 3},
        resources=Resources(cores=2, memory=500 << 20),
        timeout="1 min",
    )
    said = dict(line.split("=", 1) for line in job.stdout().splitlines() if "=" in line)
    assert said["DASKFLOW_CORES"] == "2"
    assert said["DASKFLOW_MEMORY"] == str(500 << 20)
    assert said["DASKFLOW_JOB"] == job.key
    assert said["DASKFLOW_ATTEMPT"] == "1"
    assert said["DASKFLOW_PARAM_N"] == "3"
    assert 0 < float(said["DASKFLOW_TIME_LEFT"]) <= 60
    assert not Path(said["DASKFLOW_SCRATCH_DIR"]).exists(), "it is removed at the end"
    assert "threads 2" in job.stdout()


def test_limits_keep_what_there_is(lab: Lab) -> None:
    start = time.monotonic()
    slow = lab.command(["echo begun; echo part > out; sleep 1000"], output_files=["out"], timeout=4)
    assert isinstance(failure_of(slow), JobTimeout)
    assert slow.stdout() == "begun\n"
    assert slow.get_output_file("out") == b"part\n"
    hungry = lab.command(
        [["python3", "-c", "x = bytearray(300 << 20); import time; time.sleep(1000)"]],
        resources=Resources(memory=100 << 20),
    )
    assert isinstance(failure_of(hungry), OutOfMemory)
    assert time.monotonic() - start < 60


def test_retries_of_jobs_and_of_commands(lab: Lab, tmp_path: Path) -> None:
    count = f"echo x >> {tmp_path}/count; test $(wc -l < {tmp_path}/count) -ge"
    assert lab.command([f"{count} 3"], retries=2).result(60).exit_codes == (0,)
    assert lab.command([Command(f"{count} 6", retries=2)]).result(60).exit_codes == (0,)


def test_usage_is_that_of_the_commands(lab: Lab) -> None:
    # Memory is looked at now and then: what is there for a moment only may be missed.
    job = lab.command([["python3", "-c", "import time; x = bytearray(200 << 20); sum(range(10**6)); time.sleep(2)"]])
    usage = job.usage
    assert usage.memory > 200 << 20
    assert 0 < usage.cpu <= 10 * usage.wall


def test_sweeps(lab: Lab) -> None:
    @lab.flow
    def study() -> list[Any]:
        pattern = lab.command(["echo {a} {b}"], parameters={"b": 0})
        jobs = pattern.product(a=[1, 2], b=CommandJob.span(0, 0.2, 0.1))
        repeated = lab.command(["echo again {repeat}"]).repeat(2)
        beside = lab.command(["echo {a} {b}"]).zip(a=["x", "y"], b=[8, 9])
        return [*jobs, *repeated, *beside]

    said = [result.stdout().strip() for result in study()]
    assert said[:6] == ["1 0.0", "1 0.1", "1 0.2", "2 0.0", "2 0.1", "2 0.2"]
    assert said[6:] == ["again 1", "again 2", "x 8", "y 9"]


def test_bad_sweeps(lab: Lab) -> None:
    pattern = lab.command(["echo {a} {b}"])
    with pytest.raises(ArgumentsInvalid, match="unequal length"):
        pattern.map(a=[1], b=[1, 2])
    with pytest.raises(ArgumentsInvalid, match="give a list"):
        pattern.product(a="text")
    jobs = pattern.map(a=[1], b=[2])
    with pytest.raises(UsageError, match="pattern of a sweep"):
        pattern.result()
    assert jobs[0].stdout() == "1 2\n"
    with pytest.raises(UsageError, match="planned already"):
        jobs[0].repeat(2)


def test_conditions_and_failures_as_values(lab: Lab) -> None:
    @lab.flow
    def study() -> str:
        bad = lab.command(["exit 1"])
        lab.command(["echo not"], when=bad.succeeded)
        repair = lab.command(["echo repaired"], when=bad.failed)
        return repair.stdout()

    assert study() == "repaired\n"


def test_a_failed_command_fails_its_flow(lab: Lab) -> None:
    @lab.flow
    def study() -> None:
        lab.command(["echo went wrong >&2; exit 9"], name="careful")

    with pytest.raises(RunFailed, match=r"(?s)careful.*exit code 9.*went wrong"):
        study()


def test_in_a_task_none_can_be_made(lab: Lab) -> None:
    inner = lab.task(_make)
    with pytest.raises(JobFailed) as caught:
        inner().result(60)
    assert isinstance(caught.value.__cause__, NotInTask)


def _make() -> object:
    return CommandJob(["true"])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"commands": []}, "needs a command"),
        ({"commands": [""]}, "is empty"),
        ({"commands": [3]}, "is no command"),
        ({"commands": [Command("sleep 1", sidecar=True)]}, "no sidecar"),
        ({"commands": ["true"], "tiemout": 3}, "tiemout"),
        ({"commands": ["true"], "input_files": "in"}, "give a list"),
        ({"commands": ["true"], "input_files": [3]}, "is no input file"),
        ({"commands": ["true"], "input_files": [InputFile("a", "1"), InputFile("a", "2")]}, "2 input files 'a'"),
        ({"commands": ["true"], "output_files": [3]}, "is no name of an output file"),
        ({"commands": ["true"], "artifacts": ["name"]}, "cannot be staged"),
    ],
)
def test_what_does_not_fit_is_named(lab: Lab, given: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentsInvalid, match=message):
        lab.command(**given).as_job()


def test_sidecars_run_beside(lab: Lab) -> None:
    job = lab.command(
        [
            Command("echo ready > begun; mv begun flag; exec sleep 1000", sidecar=True),
            "while [ ! -e flag ]; do sleep 0.01; done; cat flag",
        ]
    )
    assert job.stdout() == "ready\n"
    assert job.exit_codes == (0,)


def test_it_shows_itself_in_notebooks(lab: Lab) -> None:
    html = lab.command(["echo '<x>'"])._repr_html_()
    assert "&lt;x&gt;" in html


def test_an_archive_may_be_unpacked_where_the_commands_run(lab: Lab) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("inner"), io.BytesIO())
    job = lab.command(["ls"], artifacts=[CommandJob.staged(lab.artifact("x.tar", packed.getvalue()), unpack=True)])
    assert job.stdout() == "inner\n"


def test_where_a_killed_command_is_no_failure_its_limit_counts(lab: Lab) -> None:
    def killed(timeout: float) -> CommandJob:
        return lab.command([Command("sleep 2; echo slept", timeout=timeout)], check=False)

    assert killed(0.1).exit_codes == (143,)
    assert killed(60).stdout() == "slept\n"
    assert lab.command([Command("true", timeout=1)]).key == lab.command([Command("true", timeout=2)]).key


def test_outputs_with_names_that_are_no_text(lab: Lab) -> None:
    job = lab.command([r"printf 1 > $(printf '\377'); printf 2 > $(printf '%0200d' 0)x"], output_files=["*"])
    assert sorted(artifact.path().read_bytes() for artifact in job.files().values()) == [b"1", b"2"]


def test_what_was_lost_is_made_again(lab: Lab, tmp_path: Path) -> None:
    made: list[CommandJob] = []

    @lab.flow
    def study() -> str:
        job = lab.command([f"echo made >> {tmp_path}/count; echo data > out"], output_files=["out"])
        made.append(job)
        return lab.command(["cat {file}"], parameters={"file": job.file("out")}, cache=False).stdout()

    assert study() == study() == "data\n"
    lab.launcher.store().remove(made[0].files()["out"].digest)
    assert study() == "data\n"
    assert (tmp_path / "count").read_text() == "made\n" * 2


def test_what_was_refused_is_not_refused_again_in_the_place_of_others(lab: Lab) -> None:
    @lab.flow
    def study() -> str:
        bad = lab.command(["true"], output_files=["../x"], name="bad")
        with pytest.raises(PathRefused, match="CommandJob bad: "):
            bad.result()
        return lab.command(["echo good"]).stdout()

    assert study() == "good\n"


def test_items_of_parameters(lab: Lab) -> None:
    given = {"files": {"a": lab.artifact("in.txt", b"x"), "n": lab.command(["echo 4"])}}
    assert lab.command(["cat {files[a]}; echo {files[n]}"], parameters=given).stdout() == "x4\n"


def test_secrets_are_neither_in_keys_nor_in_the_journal(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DASKFLOW_CREDENTIALS_ARCHIVE", "hunter2-secret")
    job = lab.command(["printf %s $TOKEN | wc -c"], env={"TOKEN": credentials("archive")}, site="local")
    assert job.stdout().strip() == "14"
    lab.close()
    assert b"hunter2-secret" not in Path(lab.settings.store).read_bytes()


def test_a_failure_may_be_a_parameter(lab: Lab) -> None:
    @lab.flow
    def study() -> str:
        bad = lab.command(["exit 3"], name="bad")
        return lab.command(["echo {y}"], parameters={"y": allow_failure(bad)}).stdout()

    assert study().startswith("daskflow.errors.CommandFailed: `exit 3` ended with exit code 3")


def test_jobs_of_a_sweep_share_their_lists(lab: Lab) -> None:
    pattern = lab.command(["cat in; echo {n}"])
    pattern.input_files.append(InputFile("in", "x"))
    jobs = pattern.map(n=[1, 2])
    with pytest.raises(UsageError, match="pattern of a sweep"):
        jobs[0].input_files.append(InputFile("other", "y"))
    assert [job.stdout() for job in jobs] == ["x1\n", "x2\n"]


def test_the_order_of_variables_does_not_count(lab: Lab) -> None:
    assert lab.command(["true"], env={"A": "1", "B": "2"}).key == lab.command(["true"], env={"B": "2", "A": "1"}).key


def test_memory_is_that_of_all_commands_together(lab: Lab) -> None:
    block = "import sys, time; x = bytearray(80 << 20); print('full', flush=True); time.sleep(100)"
    both = [Command(["python3", "-c", block], sidecar=True), ["python3", "-c", block]]
    assert isinstance(failure_of(lab.command(both, resources=Resources(memory=130 << 20))), OutOfMemory)


def test_secrets_are_no_parameters(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DASKFLOW_CREDENTIALS_ARCHIVE", "hunter2-secret")
    with pytest.raises(ArgumentsInvalid, match=r"Give it by env=\{'TOK': <Credentials archive>\}"):
        lab.command(["echo {tok}"], parameters={"tok": credentials("archive")}).as_job()
    with pytest.raises(ArgumentsInvalid, match=r"env=\{'A': None\}"):
        lab.command(["true"], env={"A": None})
    assert lab.command(["echo $N"], env={"N": 3}).stdout() == "3\n"


def test_a_job_that_keeps_a_directory_and_its_files_can_be_staged_whole(lab: Lab) -> None:
    first = lab.command(["mkdir a; echo x > a/x; echo y > y"], output_files=["a/*", "y"], output_directories=["a"])
    assert lab.command(["cat a/x y"], artifacts=[CommandJob.staged(first)]).stdout() == "x\ny\n"
    other = lab.command(["true"], artifacts=[CommandJob.staged(first), CommandJob.staged(first.file("y"), "a/x")])
    assert "'a/x'" in str(failure_of(other))


def test_rights_that_a_job_gives_to_shared_files_are_taken_away(lab: Lab) -> None:
    shared = lab.artifact("shared", b"x")
    assert lab.command(["chmod 666 shared"], artifacts=[shared]).exit_codes == (0,)
    assert not shared.path().stat().st_mode & 0o222


def test_what_a_failed_job_left_may_be_much(lab: Lab) -> None:
    line = "for i in $(seq 1 900); do echo $i > some-rather-long-name-of-an-output-file-$i; done; exit 1"
    job = lab.command([line], output_files=["some-*"], site="local")
    assert isinstance(failure_of(job), CommandFailed)
    assert len(job.files()) == 900
    assert job.get_output_file("some-rather-long-name-of-an-output-file-7") == b"7\n"
