from __future__ import annotations

import json
from pathlib import Path

import h5py
import pytest

from daskflow.examples.burst.measure import measure
from daskflow.examples.burst.simulation import Burst, write_waterfall


def test_results_products_and_plots(burst: Burst, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_waterfall(tmp_path / "event-7.h5", burst, 7)
    results, products, plots = measure(str(tmp_path / "event-7.h5"), dm_max=500.0)
    assert json.loads(json.dumps(results)) == results
    assert set(results) == {"dm", "dm_error", "snr", "arrival", "width", "width_error"}
    assert results["dm"] == pytest.approx(burst.dm, abs=1)
    assert [Path(each).name for each in products] == ["event-7.straight.h5"]
    assert Path(plots[0]).read_bytes().startswith(b"\x89PNG")
    with h5py.File(products[0]) as file:
        assert file["intensity"].attrs["dm"] == pytest.approx(results["dm"], abs=1e-5)
    assert "event-7.h5: DM" in capsys.readouterr().out


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        measure(str(tmp_path / "none.h5"))
