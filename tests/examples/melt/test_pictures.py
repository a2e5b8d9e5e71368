from __future__ import annotations

import numpy as np

from daskflow.examples.melt import pictures
from daskflow.examples.melt.thermo import Round, read_table


def test_pressure_and_errors_are_drawn(table: str) -> None:
    rounds = [
        Round(nsteps=n, temperature=1.6, pressure=5.0, error=0.1 / n, correlation=20, drift=0) for n in (400, 2000)
    ]
    left, right = pictures.convergence(read_table(table), rounds, 0.01).axes
    low, high = left.get_ylim()
    assert low < 4.8
    assert high > 5.2
    assert list(np.asarray(right.lines[0].get_xdata())) == [400, 2000]
    assert "[ε/σ³]" in left.get_title() + right.get_title()
