from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from daskflow.execution.bucketing import sources
from daskflow.execution.bucketing.sources import sources_of


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory with modules of which some are imported."""
    files = {
        "my_flow.py": "import my_package.deep.part\nimport my_helper\n",
        "my_helper.py": "X = 1\n",
        "my_stranger.py": "X = 2\n",
        "my_package/__init__.py": "",
        "my_package/deep/__init__.py": "",
        "my_package/deep/part.py": "Y = 3\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.import_module("my_flow")
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith("my_")]:
        del sys.modules[name]


def test_a_module_goes_along_with_those_beside_it_that_are_imported(project: Path) -> None:
    beside = {"my_flow.py", "my_helper.py", "my_package/__init__.py", "my_package/deep/__init__.py"}
    found = sources_of(["my_flow"])
    assert set(found) == beside | {"my_package/deep/part.py"}
    assert found["my_helper.py"] == b"X = 1\n"
    assert sources_of(["my_package.deep.part"]) == found


@pytest.mark.parametrize("name", ["json", "numpy", "pytest", "daskflow.graph.task", "sys", "not_imported", "__main__"])
def test_what_is_installed_does_not(name: str) -> None:
    assert sources_of([name]) == {}


def test_what_was_loaded_by_its_path_does_not(project: Path) -> None:
    spec = importlib.util.spec_from_file_location("my_other_name", project / "my_stranger.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["my_other_name"] = module
    spec.loader.exec_module(module)
    assert sources_of(["my_other_name"]) == {}


def test_a_whole_package_of_some_size_is_to_be_installed(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "LIMIT", 20)
    assert sources_of(["my_flow"]) == {}
