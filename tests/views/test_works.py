"""The commands below `daskflow work`."""

from tests.views.conftest import Place


def test_all_commands_are_told(place: Place) -> None:
    told = place.run("work", "--help")
    for name in ("run", "deposit", "view", "show", "status", "audit", "rm", "lock", "unlock"):
        assert f"  {name} " in told
