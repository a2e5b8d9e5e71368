"""Saying how something is staged."""

from pathlib import Path

import pytest

from daskflow.artifacts.artifact import Artifact
from daskflow.errors import ArgumentsInvalid
from daskflow.execution.commanding.staged import Staged, all_staged, name_of, staged
from tests.conftest import Lab


def test_artifacts_paths_and_jobs_may_be_staged(lab: Lab) -> None:
    artifact, path = Artifact("big/x.h5"), Path("y.dat")
    job = lab.command(["true"], output_files=["z"])
    part = job.file("z")
    assert all_staged([artifact, path, part, staged(artifact, "other", writable=True)]) == [
        Staged(artifact),
        Staged(path),
        Staged(part),
        Staged(artifact, "other", writable=True),
    ]
    assert staged(job).source is job.as_job()


@pytest.mark.parametrize("what", ["x.h5", 3, None, b"bytes"])
def test_other_things_are_refused(what: object) -> None:
    with pytest.raises(ArgumentsInvalid, match=r"cannot be staged. Give an Artifact, a pathlib.Path"):
        staged(what)


def test_the_last_part_of_its_own_name() -> None:
    assert name_of(Artifact("big/x.h5")) == "x.h5"
    assert name_of(Path("here/y.dat")) == "y.dat"
