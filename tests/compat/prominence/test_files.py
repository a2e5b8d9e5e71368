from __future__ import annotations

from pathlib import Path

import pytest

import daskflow
from daskflow.compat.prominence.errors import FileUploadError, JobCreationError
from daskflow.compat.prominence.files import Artifact, InputFile


@pytest.mark.parametrize("content", ["variable nsteps equal 200\n", b"\x00\xff\xfe", "", b""])
def test_content_of_any_kind_comes_back(content: str | bytes) -> None:
    made = InputFile.from_dict(InputFile("a", content).to_dict())
    assert made.data == (content.encode() if isinstance(content, str) else content)


def test_an_empty_content_is_one(here: Path) -> None:
    Path("sample.in").write_text("the local file")
    assert InputFile("sample.in", "").data == b""
    assert InputFile("sample.in").text == "the local file"


def test_a_local_file_keeps_the_last_part_of_its_name(tmp_path: Path) -> None:
    (tmp_path / "run.sh").write_text("date")
    made = InputFile(str(tmp_path / "run.sh"), executable=True)
    assert made.to_dict() == {"filename": "run.sh", "content": "ZGF0ZQ==", "executable": True}


def test_what_cannot_be_a_file_is_told_at_once() -> None:
    with pytest.raises(JobCreationError, match=r"no-such\.in cannot be read"):
        InputFile("no-such.in")
    with pytest.raises(JobCreationError, match="is a int"):
        InputFile("a", 3)  # type: ignore[arg-type]


def test_artifacts_are_uploaded_under_their_names(here: Path) -> None:
    Path("local.dat").write_bytes(b"large")
    Artifact("data/large.h5").upload("local.dat")
    assert daskflow.Artifact("data/large.h5").path().read_bytes() == b"large"
    with pytest.raises(FileUploadError, match=r"no-such\.dat"):
        Artifact("data/large.h5").upload("no-such.dat")


def test_artifacts_come_back_from_their_descriptions() -> None:
    plain = Artifact("large.h5")
    assert plain.to_dict() == {"url": "large.h5"}
    mounted = Artifact("a.tgz", "data", "/data", executable=True)
    assert mounted.to_dict() == {"url": "a.tgz", "mountpoint": "data:/data", "executable": True}
    assert vars(Artifact.from_dict(mounted.to_dict())) == vars(mounted)
