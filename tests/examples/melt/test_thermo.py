from __future__ import annotations

from types import SimpleNamespace

import pytest

from daskflow.examples.melt.simulation import EVERY
from daskflow.examples.melt.thermo import COLUMNS, measure, read_table


def test_the_table_is_read_with_its_units(table: str) -> None:
    found = read_table(table)
    assert found.sizes == {"step": 201}
    assert {name: found[name].attrs["units"] for name in found.data_vars} == COLUMNS
    assert float(found["potential"][7]) == -4.3


@pytest.mark.parametrize("text", ["1 2 3\n", "0 1 2 3 4 5\n"])
def test_another_table_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="has 5 columns, this one begins with"):
        read_table(text)


def test_only_the_liquid_is_averaged(table: str) -> None:
    crystal = table.replace(table.splitlines()[3], f"{3 * EVERY} 100 100 -1.8 1000")
    found = measure.function(SimpleNamespace(stdout=lambda: crystal))
    assert found.nsteps == 2000
    assert found.temperature == pytest.approx(1.6)
    assert found.pressure == pytest.approx(5.0, abs=4 * found.error)
    assert found.error == pytest.approx(0.1 / 181**0.5, rel=0.4)
    assert EVERY <= found.correlation < 2 * EVERY
    assert found.drift == pytest.approx(-2e-4)
