"""What other threads know of the placer: who waits, which pilots have arrived, and which of them are to go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from daskflow.model.needs import Needs
from daskflow.sites.pilots.crew import Post
from daskflow.sites.pilots.placer import Placer
from daskflow.sites.pilots.room import Room
from daskflow.sites.pools import Pool


class Hands:
    """The `Crew` of a placer.

    Parameters
    ----------
    placer
        Gives nodes to pilots, in the scheduler's thread.

    Notes
    -----
    Safe for threads.
    """

    def __init__(self, placer: Placer) -> None:
        self._placer = placer

    def waiting(self) -> Sequence[Needs]:
        """What waits for a pilot, most urgent first, with what is known of how long it takes."""
        return self._placer.needs_waiting()

    def pool_of(self, needs: Needs) -> Pool | None:
        """The pool that a node goes to: the first that holds it, was not given up, and lives long enough."""
        return self._placer.pool_of(needs)

    def posts(self) -> Mapping[str, Post]:
        """The pilots that have arrived, by the id of their batch job."""
        return {room.id: room.post() for room in self._placer.rooms()}

    def _room(self, id: str) -> Room | None:
        return next((room for room in self._placer.rooms() if room.id == id), None)

    def close(self, id: str) -> None:
        """Give nothing more to a pilot."""
        room = self._room(id)
        if room is not None:
            room.closed = True

    def dismiss(self, id: str) -> None:
        """Let a pilot go that performs nothing."""
        room = self._room(id)
        if room is not None:
            room.closed = True
            self._placer.later(self._placer.dismiss, room)

    def give_up(self, pool: str, error: Exception) -> None:
        """No pilot of this pool will come."""
        self._placer.later(self._placer.give_up, pool, error)
