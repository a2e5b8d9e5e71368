from __future__ import annotations

import collections
import os
import zipfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from daskflow.artifacts.contents.digests import digest_file
from daskflow.errors import ArgumentsInvalid, InstallFailed
from daskflow.execution.supply import sources
from daskflow.execution.supply.sources import local_package
from tests.execution.models import Model, written_in_a_moment


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Model]:
    written_in_a_moment(monkeypatch)
    made = Model(tmp_path / "project", backend=True)
    yield made
    made.forget()


def test_a_module_of_a_project(model: Model) -> None:
    found = local_package(model.write(1, "1.2"))
    assert (found.name, found.module, found.version) == (model.name, model.name, "1.2")
    assert (found.root, found.inside, found.below, found.project) == (model.folder, "src", "src", True)
    assert found.files == ("backend.py", "pyproject.toml", f"src/{model.name}.py")
    assert local_package(model.folder) == found, "the same by its path"


def test_a_module_that_belongs_to_no_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written_in_a_moment(monkeypatch)
    (tmp_path / ".git").mkdir()
    model = Model(tmp_path / "analysis")
    try:
        (model.folder / "other.py").write_text("")
        found = local_package(model.write(1))
        assert (found.version, found.files, found.project) == ("1.0", (f"{model.name}.py",), False)
        assert (found.inside, found.below) == (".", "analysis")
        assert local_package(model.folder / f"{model.name}.py").files == found.files
    finally:
        model.forget()


def test_a_package_that_belongs_to_no_project(tmp_path: Path) -> None:
    package = tmp_path / "fits"
    for place in ("deep", "__pycache__", ".hidden", "env"):
        (package / place).mkdir(parents=True)
        (package / place / "file.py").write_text("")
    (package / "env" / "pyvenv.cfg").write_text("")
    (package / "__init__.py").write_text("")
    (package / ".swp").write_text("")
    assert local_package(package).files == ("fits/__init__.py", "fits/deep/file.py")


def test_an_editable_package_by_its_name(tmp_path: Path, model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    model.write(1)
    about = tmp_path / "site" / f"{model.name}-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {model.name}\nVersion: 1.0\n")
    (about / "direct_url.json").write_text(f'{{"url": "{model.folder.as_uri()}", "dir_info": {{"editable": true}}}}')
    monkeypatch.syspath_prepend(tmp_path / "site")
    assert local_package(model.name) == local_package(model.folder)


def test_the_digest_follows_the_sources_and_nothing_else(model: Model) -> None:
    first = local_package(model.write(1)).digest(digest_file)
    (model.folder / "build").mkdir()
    (model.folder / "build" / "junk.py").write_text("")
    os.utime(model.folder / "backend.py", (1, 1))
    assert local_package(model.folder).digest(digest_file) == first
    assert local_package(model.write(2)).digest(digest_file) != first
    assert local_package(model.write(1)).digest(digest_file) == first


def test_equal_sources_make_equal_archives(model: Model) -> None:
    first = local_package(model.write(1)).archive()
    os.utime(model.folder / "backend.py", (1, 1))
    assert local_package(model.write(1)).archive() == first
    assert zipfile.ZipFile(BytesIO(first)).namelist() == list(local_package(model.folder).files)


def test_what_is_not_ones_own(tmp_path: Path) -> None:
    with pytest.raises(ArgumentsInvalid, match=rf"install\(numpy\): .*numpy {np.__version__}.*installed at the site"):
        local_package(np)
    with pytest.raises(ArgumentsInvalid, match="no package of your own, but python"):
        local_package(collections)
    for path in (tmp_path, tmp_path / "nowhere", "no-such-package"):
        with pytest.raises(ArgumentsInvalid, match="neither a project"):
            local_package(path)


def test_a_module_without_a_file() -> None:
    made: Any = type(collections)("made_by_hand")
    with pytest.raises(ArgumentsInvalid, match=r"install\(made_by_hand\): this module lies in no file"):
        local_package(made)


def test_data_is_no_code(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "_LARGEST", 10)
    with pytest.raises(InstallFailed, match="Put its data elsewhere"):
        local_package(model.write(1))
