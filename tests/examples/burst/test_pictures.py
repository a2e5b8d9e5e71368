from __future__ import annotations

from pathlib import Path

from daskflow.examples.burst.pictures import portrait
from daskflow.examples.burst.search import Waterfall, find


def test_the_picture_shows_burst_and_search(clean: Waterfall, tmp_path: Path) -> None:
    found = find(clean, 400.0)
    figure = portrait(clean, found, "event 7")
    assert len(figure.axes) == 3
    titles = " ".join(axes.get_title() for axes in figure.axes)
    assert "event 7" in titles
    assert f"DM {found.dm:.2f}" in titles
    figure.savefig(tmp_path / "seven.png")
    assert (tmp_path / "seven.png").stat().st_size > 10_000
