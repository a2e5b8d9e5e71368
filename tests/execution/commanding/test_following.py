"""Output of command jobs, as it is written."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from daskflow.errors import ArgumentsInvalid
from daskflow.execution.commanding import following
from daskflow.execution.commanding.following import live_directory, live_paths
from tests.conftest import Lab


def test_lines_come_while_the_job_runs(lab: Lab, tmp_path: Path) -> None:
    go = tmp_path / "go"
    job = lab.command([f"echo one; echo two; while [ ! -e {go} ]; do sleep 0.01; done; echo three"], site="threads")
    lines = job.follow()
    assert [next(lines), next(lines)] == ["one\n", "two\n"]
    assert not job.state.final
    go.touch()
    assert list(lines) == ["three\n"]


def test_standard_error_may_be_followed_and_a_failed_job_too(lab: Lab) -> None:
    job = lab.command(["echo out; echo err >&2; printf half >&2; exit 1"])
    assert list(job.follow("stderr")) == ["err\n", "half"]
    assert list(job.follow()) == ["out\n"]
    with pytest.raises(ArgumentsInvalid, match="there are stdout and stderr"):
        job.follow("stdin")


def test_a_job_that_ended_before_gives_all(lab: Lab) -> None:
    job = lab.command(["seq 3"])
    job.result(60)
    assert list(job.follow()) == ["1\n", "2\n", "3\n"]


def test_what_a_failed_attempt_wrote_is_not_taken_for_that_of_the_next(lab: Lab, tmp_path: Path) -> None:
    @lab.flow
    def study() -> list[str]:
        count = f"echo x >> {tmp_path}/count; n=$(wc -l < {tmp_path}/count)"
        job = lab.command([f"{count}; echo attempt $n; [ $n -ge 2 ]"], retries=1)
        return list(job.follow())

    assert study()[-1] == "attempt 2\n"


def test_each_attempt_is_followed(lab: Lab, tmp_path: Path) -> None:
    line = (
        f"echo x >> {tmp_path}/count; n=$(wc -l < {tmp_path}/count); echo attempt $n\n"
        f"while [ ! -e {tmp_path}/seen$n ]; do sleep 0.01; done; echo end $n; [ $n = 3 ]"
    )

    @lab.flow
    def study() -> list[str]:
        lines = lab.command([line], retries=2, site="threads").follow()
        found: list[str] = []
        for number in (1, 2, 3):
            # Each waits until it was seen; its last line may be seen or not.
            while f"attempt {number}\n" not in found:
                found.append(next(lines))
            (tmp_path / f"seen{number}").touch()
        return [*found, *lines]

    found = study()
    assert [line for line in found if "attempt" in line] == [f"attempt {number}\n" for number in (1, 2, 3)]
    assert found[-1] == "end 3\n"


def test_what_a_killed_attempt_left_is_not_followed(lab: Lab, tmp_path: Path) -> None:
    go = tmp_path / "go"
    job = lab.command([f"echo one; while [ ! -e {go} ]; do sleep 0.01; done"], retries=3, site="threads")
    lines = job.follow()
    own = job.as_job()
    host: Any = own.task.launcher_of(own).adopt(own)
    (left, _) = live_paths(str(host.project.logs / host.id), own.key, 3)
    live_directory(str(host.project.logs / host.id))
    left.write_text("left\n")
    os.utime(left, (0, 0))
    assert next(lines) == "one\n"
    go.touch()
    assert list(lines) == []


def test_an_attempt_that_was_counted_before_its_job_ended_is_not_given_twice(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = tmp_path / "go"
    job = lab.command([f"echo one; while [ ! -e {go} ]; do sleep 0.01; done; echo two"], site="threads")
    lines = job.follow()
    assert next(lines) == "one\n"
    looked: list[list[str]] = []
    look = following._Reader.lines

    def between(reader: Any) -> list[str]:
        if looked:
            return look(reader)
        # As another thread may see it: the attempt has ended, and the job not yet.
        own = job.as_job()
        own.attempts += 1
        looked.append(look(reader))
        own.attempts -= 1
        go.touch()
        return looked[0]

    monkeypatch.setattr(following._Reader, "lines", between)
    assert list(lines) == ["two\n"]
    assert looked == [[]]


def test_two_threads_may_follow_a_job_that_nobody_has_begun(lab: Lab) -> None:
    job = lab.command(["echo out; echo err >&2"], site="threads")
    with ThreadPoolExecutor(2) as threads:
        found = list(threads.map(lambda stream: list(job.follow(stream)), ["stdout", "stderr"]))
    assert found == [["out\n"], ["err\n"]]


def test_lines_end_where_a_line_feed_is_whatever_the_bytes(lab: Lab, tmp_path: Path) -> None:
    go = tmp_path / "go"
    line = rf"printf '\377t 1\n\377t 2\r...\n'; while [ ! -e {go} ]; do sleep 0.01; done; printf '\3773\n'"
    lines = lab.command([line], site="threads").follow()
    assert [next(lines), next(lines)] == ["\ufffdt 1\n", "\ufffdt 2\r...\n"]
    go.touch()
    assert list(lines) == ["\ufffd3\n"]


def test_nothing_is_left_among_the_logs(lab: Lab) -> None:
    job: Any = lab.command(["echo x"])
    job.result(60)
    logs = lab.project.logs / job.as_job().host.id
    assert list((logs / "live").iterdir()) == []


def test_names_of_live_files_are_plain(tmp_path: Path) -> None:
    out, err = live_paths(str(tmp_path), "echo-1/2 3", 4)
    assert (out.name, err.name) == ("echo-1-2-3.4.stdout", "echo-1-2-3.4.stderr")
    assert live_directory(str(tmp_path))
    (tmp_path / "file").touch()
    assert not live_directory(str(tmp_path / "file"))


def test_no_live_files_are_written_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "live").symlink_to(tmp_path / "elsewhere")
    assert not live_directory(str(tmp_path))
