"""Files of a project on a real S3 server, from the command line: what goes, what stays, and who is asked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.shell import daskflow, ran, run
from tests.services.counting import Counting
from tests.services.s3 import S3

FLOWS = """
from daskflow import Artifact, flow, task

@task
def cut(cube, start):
    with cube.open() as file:
        file.seek(start)
        data = file.read(200_000)
    return Artifact(f"cuts/{start}").upload(data)

@task
def total(cut):
    return sum(cut.open().read())

@flow
def study(parts: int = 2):
    return sum([total(cut(Artifact("cube"), 200_000 * number)).result() for number in range(parts)])
"""

LARGE = 40 << 20


def project(directory: Path, url: str) -> Path:
    """A project that keeps its artifacts under a URL."""
    directory.mkdir()
    (directory / "flows.py").write_text(FLOWS)
    (directory / "daskflow.yaml").write_text(f"artifacts: {url}\nsite: synchronous\ncache: {directory}/cache\n")
    return directory


@pytest.fixture
def server(s3: S3, counting: Counting) -> S3:
    return s3.through(counting.endpoint)


def asked(directory: Path, *arguments: str, **variables: str) -> Any:
    return json.loads(daskflow(directory, "artifact", *arguments, "--json", code=0, **variables))


def test_what_was_uploaded_is_not_sent_again_and_goes_when_nobody_needs_it(
    tmp_path: Path, server: S3, counting: Counting, prefix: str
) -> None:
    place, variables = project(tmp_path / "project", server.url(prefix)), server.environ
    content = bytes(range(256)) * (LARGE // 256)
    (place / "cube").write_bytes(content)
    put = asked(place, "put", "cube", **variables)
    sent = counting.received
    assert asked(place, "put", "cube", "again", **variables)["digest"] == put["digest"]
    assert counting.received - sent < 100_000
    daskflow(place, "artifact", "get", "again", "copy", code=0, **variables)
    assert (place / "copy").read_bytes() == content
    daskflow(place, "artifact", "rm", "cube", code=0, **variables)
    assert asked(place, "gc", "--grace", "0", **variables)["freed"] == 0
    daskflow(place, "artifact", "rm", "again", code=0, **variables)
    assert asked(place, "gc", "--grace", "0", "--dry-run", **variables)["size"] > 0
    assert asked(place, "gc", "--grace", "0", **variables)["kept"] == 0
    assert asked(place, "gc", "--grace", "0", **variables)["objects"] == []


def test_what_results_refer_to_stays_without_its_name(tmp_path: Path, s3: S3, prefix: str) -> None:
    place, variables = project(tmp_path / "project", s3.url(prefix)), s3.environ
    (place / "cube").write_bytes(bytes(range(251)) * 2000)
    daskflow(place, "artifact", "put", "cube", code=0, **variables)
    first = run(place, "flows.py:study", **variables)
    assert ran(first) == {"cut", "total"}
    cut = asked(place, "info", "cuts/0", **variables)
    assert [row["name"] for row in cut["referring"]] == ["cut"]
    daskflow(place, "artifact", "rm", "cuts/0", "cuts/200000", code=0, **variables)
    (place / "spare").write_text("spare")
    spare = asked(place, "put", "spare", **variables)["digest"]
    daskflow(place, "artifact", "rm", "spare", code=0, **variables)
    found = asked(place, "gc", "--grace", "0", **variables)
    assert [each["digest"] for each in found["objects"]] == [spare]
    assert asked(place, "info", cut["digest"], **variables)["present"]
    assert ran(run(place, "flows.py:study", **variables)) == set()


def test_a_store_of_two_projects_is_swept_only_with_both(tmp_path: Path, s3: S3, prefix: str) -> None:
    variables = s3.environ
    ours, theirs = (project(tmp_path / name, s3.url(prefix)) for name in ("ours", "theirs"))
    (theirs / "cube").write_bytes(bytes(500_000))
    daskflow(theirs, "artifact", "put", "cube", code=0, **variables)
    run(theirs, "flows.py:study", **variables)
    for name in ("cube", "cuts/0", "cuts/200000"):
        daskflow(theirs, "artifact", "rm", name, code=0, **variables)
    (ours / "note").write_text("ours")
    daskflow(ours, "artifact", "put", "note", code=0, **variables)
    # What their results refer to is needed, seen from ours as well; only the cube itself is not.
    found = asked(ours, "gc", "--grace", "0", "--dry-run", **variables)
    assert [each["size"] for each in found["objects"]] == [500_000]
    (theirs / ".daskflow").rename(theirs / "hidden")
    refused = daskflow(ours, "artifact", "gc", "--grace", "0", code=2, **variables)
    assert str(theirs) in refused
    gone = refused.rpartition("--gone ")[2].split()[0]
    found = asked(ours, "gc", "--grace", "0", "--gone", gone, **variables)
    assert found["removed"] == len(found["objects"]) > 1
    daskflow(ours, "artifact", "get", "note", "copy", code=0, **variables)
