"""The chapter of tokens: who may use a server. Of a token the store has a digest only."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Collection

from daskflow.errors import NotFound, TokenRefused, WorkInvalid
from daskflow.model.access import Scope, TokenRecord
from daskflow.stores.chapter import Chapter, few
from daskflow.stores.dialect import Row

_PREFIX = "dft"
_UNKNOWN = "The token is not known. Ask for one of this server: `daskflow token create NAME`."
_NOBODY: Row = (*[None] * 6, "", 0.0)


class Tokens(Chapter):
    """Who may use a server.

    Notes
    -----
    A token is 256 random bits behind a public id, so a digest without salt tells nothing of it. What is revoked is
    refused from then on, by all servers of this store.
    """

    def create(self, name: str, scopes: Collection[Scope | str], lifetime: float | None = None) -> tuple[str, str]:
        """Make a token; it is shown this once.

        Parameters
        ----------
        name
            Whose it is.
        lifetime
            After this time it ends [s]; None: never.

        Returns
        -------
        tuple
            The id, and the token itself.

        Raises
        ------
        WorkInvalid
            It has no name, allows nothing, or something that is not known.
        """
        if not name or not name.isprintable():
            raise WorkInvalid("A token needs the name of somebody, in letters that can be printed.")
        known = {scope.value for scope in Scope}
        wrong = sorted({str(scope) for scope in scopes} - known)
        if wrong or not scopes:
            raise WorkInvalid(f"A token allows some of {', '.join(Scope)}, not {', '.join(wrong) or 'nothing'}.")
        if lifetime is not None and not lifetime > 0:
            raise WorkInvalid("A token that has ended already lets nobody in.")
        id, secret = secrets.token_hex(8), secrets.token_urlsafe(32)
        with self.database.transaction():
            self.database.write(
                "add_token",
                id=id,
                name=name,
                digest=_digest(secret),
                scopes=",".join(sorted({str(scope) for scope in scopes})),
                lifetime=lifetime,
            )
        return id, f"{_PREFIX}_{id}_{secret}"

    def check(self, token: str) -> TokenRecord:
        """Whose token it is, if it is one.

        Raises
        ------
        TokenRefused
            It is not known, was revoked, or has ended.
        """
        prefix, _, rest = token.partition("_")
        id, _, secret = rest.partition("_")
        if prefix != _PREFIX or not id.isalnum() or not id.isascii() or not secret.isascii():
            raise TokenRefused(_UNKNOWN)
        found = self.database.rows("token", id=id)
        *fields, digest, now = found[0] if found else _NOBODY
        # Both ways take as long: the time of an answer tells nothing of what the store has.
        if not hmac.compare_digest(_digest(secret), digest) or not found:
            raise TokenRefused(_UNKNOWN)
        record = _record(tuple(fields))
        if record.revoked is not None:
            raise TokenRefused(f"The token {record.id} of {record.name} was revoked. Ask for another one.")
        if record.expires is not None and record.expires <= now:
            raise TokenRefused(f"The token {record.id} of {record.name} has ended. Ask for another one.")
        return record

    def all(self) -> list[TokenRecord]:
        """All tokens that were ever made, in order of their creation."""
        return [_record(row) for row in self.database.rows("tokens")]

    def revoke(self, ident: str) -> list[TokenRecord]:
        """Let nobody in any more by a token, by its id, or by all tokens of a name; those that were good until now.

        Raises
        ------
        NotFound
            There is none.
        """
        known = self.all()
        meant = [record for record in known if record.id == ident] or [r for r in known if r.name == ident]
        if not meant:
            names = few(sorted({record.name for record in known})) or "none"
            raise NotFound(f"There is no token {ident!r}, nor anybody of this name who has one. There are: {names}.")
        gone = {id for (id,) in self.database.change("revoke_tokens", ids=[record.id for record in meant])}
        return [record for record in meant if record.id in gone]


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _record(row: Row) -> TokenRecord:
    id, name, scopes, created, expires, revoked = row
    return TokenRecord(
        id=id,
        name=name,
        scopes=frozenset(Scope(each) for each in str(scopes).split(",")),
        created=created,
        expires=expires,
        revoked=revoked,
    )
