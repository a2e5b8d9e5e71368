from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from daskflow.compat.chime.examples.function import math


def test_results_come_without_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert math(3, 4) == ({"sum": 7, "difference": -1, "product": 12, "quotient": 0.75}, [], [])
    assert list(tmp_path.iterdir()) == []


def test_products_and_plots_are_files(tmp_path: Path) -> None:
    results, products, plots = math(alpha=0, beta=2, directory=str(tmp_path))
    assert [json.loads(Path(product).read_text()) for product in products] == [results]
    (chart,) = [ElementTree.fromstring(Path(plot).read_text()) for plot in plots]
    assert len(list(chart)) == 2 * len(results)
    assert all(Path(path).parent == tmp_path for path in (*products, *plots))


def test_what_cannot_be_divided_is_an_error() -> None:
    with pytest.raises(ZeroDivisionError):
        math(1, 0)
    assert math(0.0, 1.0)[0]["quotient"] == 0
