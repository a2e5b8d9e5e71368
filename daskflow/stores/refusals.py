"""What the errors of PostgreSQL mean to who uses a store, and what helps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from daskflow.errors import StoreError, StoreFull, StoreUnavailable

if TYPE_CHECKING:
    import psycopg

_UNKNOWN = ("authentication failed", "no password supplied", "no pg_hba.conf entry", 'role "')
_CROWDED = ("too many clients", "too many connections", "connection slots are reserved")
_AGAIN = "Try again."
_CURES = {
    "53100": "Free some space on the disk of the server, then resume the run: what was recorded is good.",
    "53300": "All connections of the server are taken. Try again later, or raise its max_connections.",
    "55P03": "Another process has kept it locked for too long. Try again when it is done.",
    "25P03": "This process did nothing for too long in the midst of writing. Try again.",
    "25006": "This server only lets us read: it may be a standby. Name the primary in `store`.",
    "42501": "Ask who administers the database for the right to do this: "
    "GRANT CREATE ON DATABASE ..., or CREATE SCHEMA ... AUTHORIZATION ...",
}
"""What helps, by SQLSTATE."""
_PASSING = ("08", "40", "53", "55", "57", "25P03", "25006", "58000")
"""How the SQLSTATE begins of what trying again can help with."""


def unreachable(error: psycopg.Error, place: str) -> StoreError:
    """Why no connection came about.

    Notes
    -----
    The driver hands on only the server's text, so that this is what is looked at.

    References
    ----------
    https://www.postgresql.org/docs/current/errcodes-appendix.html
    """
    text = _line(str(error))
    if any(part in text for part in _CROWDED):
        return StoreUnavailable(f"{place} cannot be opened: {text}. {_CURES['53300']}")
    if 'database "' in text and "does not exist" in text:
        return StoreError(f"{place} cannot be opened: {text}. Make the database with `createdb`, or name another one.")
    if any(part in text for part in _UNKNOWN):
        return StoreError(
            f"{place} does not let us in: {text}. Check the user, and give the password in ~/.pgpass or by the "
            "variable PGPASSWORD."
        )
    return StoreUnavailable(
        f"{place} does not answer: {text}. Check that the server runs and can be reached from here, then try again."
    )


def refusal(error: psycopg.Error, place: str) -> StoreError:
    """Why a statement did not do what it should.

    References
    ----------
    https://www.postgresql.org/docs/current/errcodes-appendix.html
    """
    code = error.sqlstate
    text = _line(error.diag.message_primary or str(error))
    if code is None and _is_lost(error):
        return StoreUnavailable(
            f"The connection to {place} was lost: {text}. Try again when the server is back; what was about to be "
            "written may be there or not."
        )
    if code == "53100":
        return StoreFull(f"{place} cannot be written: {text}. {_CURES[code]}")
    cure = _CURES.get(code or "", "")
    if code is not None and code.startswith(_PASSING):
        return StoreUnavailable(f"{place} refused: {text}. {cure or _AGAIN}")
    return StoreError(f"{place} refused: {text}. {cure}".rstrip())


def _is_lost(error: psycopg.Error) -> bool:
    import psycopg

    return isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)


def _line(text: str) -> str:
    """A text of one line, without the stop at its end."""
    return " ".join(text.split()).rstrip(".")
