"""The pilots that a fleet knows, and those that it is just submitting."""

from __future__ import annotations

from collections import Counter

from daskflow.sites.pilots.pilot import Pilot, Stage

COMING = (Stage.submitted, Stage.started)
"""The stages of a pilot whose worker has not arrived."""


class Roll:
    """The pilots of a fleet.

    Notes
    -----
    The fleet's thread alone changes it; any thread may ask for `all` and `get`.
    """

    def __init__(self) -> None:
        self.flying: Counter[str] = Counter()
        """How many of each pool are being submitted now."""
        self._pilots: dict[str, Pilot] = {}

    def add(self, pilot: Pilot) -> None:
        """A pilot was submitted."""
        self._pilots[pilot.id] = pilot

    def get(self, id: str) -> Pilot | None:
        """The pilot whose batch job has an id."""
        return self._pilots.get(id)

    def all(self) -> list[Pilot]:
        """All that ever were, in the order of their submission."""
        return list(self._pilots.values())

    def there(self, pool: str | None = None) -> list[Pilot]:
        """Those that are not gone."""
        return [one for one in self.all() if one.stage is not Stage.gone and pool in (None, one.pool)]

    def coming(self, pool: str) -> list[Pilot]:
        """Those whose worker has not arrived."""
        return [one for one in self.there(pool) if one.stage in COMING]

    def serving(self, pool: str) -> list[Pilot]:
        """Those that get work."""
        return [one for one in self.there(pool) if one.stage is Stage.arrived]

    def lost(self, pool: str, since: float) -> int:
        """How many were lost after a moment, while they got work."""
        return sum(one.lost is not None and one.lost >= since for one in self.all() if one.pool == pool)

    def count(self, pool: str | None = None) -> int:
        """How many are there or are being submitted."""
        return len(self.there(pool)) + (self.flying.total() if pool is None else self.flying[pool])
