"""What those who start and stop pilots know of the work, and of the pilots that have arrived."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from daskflow.model.needs import Needs
from daskflow.sites.pools import Pool


class Post(NamedTuple):
    """One pilot whose worker has arrived."""

    id: str
    """Id of its batch job."""
    pool: str
    busy: int
    """How many nodes it performs."""
    idle_since: float | None
    """Since when it performs nothing [s since the epoch]; None: it performs something."""
    ends: float
    """When its walltime is over [s since the epoch]."""
    cores: int
    memory: int
    """[bytes]"""
    gpus: int
    """What it has free now."""
    node: str
    address: str
    free_at: float | None
    """When what it performs now will have ended [s since the epoch]; None: nobody knows, because of some of it nobody
    knows how long it takes, or it takes longer than that."""
    needed: bool = False
    """Whether it performs nothing, but its worker alone holds what others wait for."""


class Crew(Protocol):
    """Who gives work to pilots.

    Notes
    -----
    Any thread may call; nothing blocks for long.
    """

    def waiting(self) -> Sequence[Needs]:
        """What waits for a pilot, most urgent first; `seconds` is what was declared or learned, None where unknown."""

    def pool_of(self, needs: Needs) -> Pool | None:
        """The pool that a node goes to; None where none will ever hold it."""

    def posts(self) -> Mapping[str, Post]:
        """The pilots that have arrived, by the id of their batch job."""

    def close(self, id: str) -> None:
        """Give nothing more to a pilot."""

    def dismiss(self, id: str) -> None:
        """Let a pilot go that performs nothing: what it holds moves to others, then its batch job ends by itself."""

    def give_up(self, pool: str, error: Exception) -> None:
        """No pilot of this pool will come: what fits into no other pool that is not given up is lost."""
