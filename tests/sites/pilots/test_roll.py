from __future__ import annotations

from daskflow.sites.pilots.pilot import Pilot, Stage
from daskflow.sites.pilots.roll import Roll


def test_who_is_where() -> None:
    roll = Roll()
    for number, stage in enumerate(Stage):
        roll.add(Pilot(str(number), "a", 0.0, "", stage=stage))
    roll.add(Pilot("9", "b", 0.0, ""))
    roll.flying["b"] += 2
    assert [one.id for one in roll.there()] == ["0", "1", "2", "3", "9"]
    assert [one.id for one in roll.there("a")] == ["0", "1", "2", "3"]
    assert [one.id for one in roll.coming("a")] == ["0", "1"]
    assert [one.id for one in roll.serving("a")] == ["2"]
    assert len(roll.all()) == 6
    assert (roll.count("a"), roll.count("b"), roll.count()) == (4, 3, 7)
    assert roll.get("9") is roll.all()[-1]
    assert roll.get("10") is None
