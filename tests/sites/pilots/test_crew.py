from __future__ import annotations

from daskflow.sites.pilots.crew import Crew
from daskflow.sites.pilots.hands import Hands


def test_the_hands_of_the_placer_are_a_crew() -> None:
    asked = {name for name in vars(Crew) if not name.startswith("_")}
    assert asked == {"close", "dismiss", "give_up", "pool_of", "posts", "waiting"}
    assert asked <= set(vars(Hands))
