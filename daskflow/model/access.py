"""Who may do what at a server."""

from __future__ import annotations

from enum import StrEnum

from daskflow.model.records import Record


class Scope(StrEnum):
    """What a token allows."""

    read = "read"
    """Look at works, runs, questions and artifacts."""
    deposit = "deposit"
    """Bring works, change, lock and delete them; store artifacts; answer questions."""
    perform = "perform"
    """What agents need: withdraw works and write what came of them, read and store artifacts."""
    admin = "admin"
    """All of it; and cancel runs."""


class TokenRecord(Record):
    """Who may use a server; the token itself is kept nowhere."""

    id: str
    """Its public part."""
    name: str
    """Whose it is, for people."""
    scopes: frozenset[Scope]
    """What it allows."""
    created: float
    """When it was made; seconds since the epoch [s]."""
    expires: float | None = None
    """When it ends; seconds since the epoch [s]; None: never."""
    revoked: float | None = None
    """When it was revoked; seconds since the epoch [s]."""

    def allows(self, *wanted: Scope) -> bool:
        """Whether one of these is allowed.

        Examples
        --------
        >>> TokenRecord(id="1", name="ada", scopes={"read"}, created=0.0).allows(Scope.deposit, Scope.perform)
        False
        """
        return Scope.admin in self.scopes or not self.scopes.isdisjoint(wanted)
