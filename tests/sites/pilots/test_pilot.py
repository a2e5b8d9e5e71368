from __future__ import annotations

from daskflow.sites.pilots.pilot import Pilot, Stage


def test_a_pilot_was_submitted_first() -> None:
    pilot = Pilot("17_3", "main", 1.0, "log")
    assert (pilot.stage, pilot.ends) == (Stage.submitted, None)
