"""Every notebook runs from its first cell to its last, in a directory of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from daskflow import Buckets, Work
from daskflow.model.work import WorkStatus

FOLDER = Path(__file__).parents[2] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"), key=lambda path: int(path.name.partition("-")[0]))


def _read(path: Path) -> Any:
    return nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs(path: Path, tmp_path: Path) -> None:
    notebook = _read(path)
    NotebookClient(notebook, timeout=240, resources={"metadata": {"path": str(tmp_path)}}).execute()


def test_the_notebook_of_works_runs_beside_other_works(tmp_path: Path) -> None:
    (path,) = [path for path in NOTEBOOKS if path.stem.endswith("-works")]
    other = Work(pipeline="other", site="local", user="ada", function="math.sqrt", event=[4200], tags=["notebook"])
    with Buckets(f"{tmp_path}/.daskflow/journal.db") as buckets:
        buckets.deposit([other])
        work = buckets.withdraw("other")
        assert work is not None
        work.status, work.results = WorkStatus.success, {"delay": 9000.0}
        buckets.update(work)
        test_notebook_runs(path, tmp_path)
        assert buckets.pipelines() == ["other"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_committed_without_outputs(path: Path) -> None:
    cells = [cell for cell in _read(path).cells if cell.cell_type == "code"]
    assert all(not cell.outputs and cell.execution_count is None for cell in cells)


def test_notebooks_are_numbered() -> None:
    assert [path.name.partition("-")[0] for path in NOTEBOOKS] == [str(n) for n in range(1, len(NOTEBOOKS) + 1)]
