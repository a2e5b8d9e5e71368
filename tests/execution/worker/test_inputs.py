from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from daskflow.artifacts.contents.digests import digest_path, seal_path
from daskflow.errors import InputChanged
from daskflow.execution.worker.inputs import check_unchanged
from daskflow.model.outcome import InputFile
from tests.conftest import Lab


def as_it_is(path: Path) -> InputFile:
    return InputFile(str(path), seal_path(path), digest_path(path))


def longer(path: Path) -> None:
    path.write_text("other content")


def of_equal_length(path: Path) -> None:
    path.write_text("two")
    os.utime(path, ns=(1, 1))


@pytest.mark.parametrize("change", [longer, of_equal_length, Path.unlink])
@pytest.mark.parametrize("folder", [False, True])
def test_other_content_is_refused(tmp_path: Path, change: Callable[[Path], None], folder: bool) -> None:
    path = tmp_path / "data" / "file"
    path.parent.mkdir()
    path.write_text("one")
    known = as_it_is(path.parent if folder else path)
    check_unchanged([known])
    change(path)
    with pytest.raises(InputChanged, match="changed after the call"):
        check_unchanged([known])


def test_equal_content_is_not_whoever_wrote_it(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("one")
    known = as_it_is(path)
    shutil.copy(path, tmp_path / "copy")
    os.replace(tmp_path / "copy", path)
    assert seal_path(path) != known.seal
    check_unchanged([known])


def test_files_that_are_the_same_are_not_read(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("one")
    check_unchanged([InputFile(str(path), seal_path(path), "of another content")])


@pytest.mark.parametrize("site", ["synchronous", "local"])
def test_nothing_is_remembered_of_content_that_came_later(lab: Lab, tmp_path: Path, site: str) -> None:
    path = tmp_path / "data.txt"
    path.write_text("one")

    @lab.task
    def read(files: list[Path]) -> str:
        return files[0].read_text()

    @lab.flow(site=site)
    def study(change: bool) -> Any:
        job = read([path])
        if change:
            longer(path)
        return job.result(60, raise_on_failure=False)

    assert "InputChanged" in str(study(True))
    assert study(False) == "other content"
    path.write_text("one")
    assert study(False) == "one", "nothing was stored for the first content"
