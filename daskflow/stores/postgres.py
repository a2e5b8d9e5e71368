"""PostgreSQL as a place for the journal: connecting, its words, and locks that order what is written."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote, unquote, urlencode

from daskflow.errors import ExtraMissing, SettingsInvalid, StoreError
from daskflow.stores.dialect import PATIENCE, Connection, printable
from daskflow.stores.link import Link
from daskflow.stores.refusals import refusal, unreachable

if TYPE_CHECKING:
    import psycopg

SCHEMA = "daskflow"
"""The schema of a journal whose URL names none."""
PAUSE = 20.0
"""Who does nothing for so long in the midst of a transaction loses it, for others wait for it [s]."""

_OLDEST = 120000
_DEFAULTS = {
    "application_name": "daskflow",
    "connect_timeout": "10",
    # A server that vanished is noticed in a minute; systems wait for hours.
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "60000",
}
_SECRETS = ("password", "sslpassword")
_HERE = ("localhost", "127.0.0.1", "::1")
_SCHEMA_NAME = re.compile(r"(?!pg_)[a-z_][a-z0-9_]{0,39}")
_WORDS = {
    "INTEGER": "BIGINT",
    "REAL": "DOUBLE PRECISION",
    "BLOB": "BYTEA",
    "SERIAL": "BIGSERIAL",
    "JSON": "JSONB",
    "CLOCK": "CAST(EXTRACT(EPOCH FROM clock_timestamp()) AS DOUBLE PRECISION)",
}
_TOKEN = re.compile(
    r"--[^\n]*|'(?:[^']|'')*'|::|:(?P<parameter>\w+)|\{(?P<list>\w+)\}|%|\b(?P<word>"
    + "|".join([*_WORDS, "TEXT"])
    + r")\b"
)
_NAMED = re.compile(r"%\(\w+\)s")


class PostgreSQL:
    """A journal in one schema of a database of PostgreSQL.

    Parameters
    ----------
    url
        As libpq takes it, `postgresql://user@host/database`; `?schema=name` tells journals in one database apart.
    readonly
        Never make or change anything.

    Raises
    ------
    SettingsInvalid
        The URL is none.
    ExtraMissing

    Notes
    -----
    Ordered transactions hold an advisory lock, one for each schema: of them one goes on at a time, as in SQLite. What
    an error, `place` and `url` show of the URL holds no password.

    References
    ----------
    https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING-URIS
    """

    def __init__(self, url: str, *, readonly: bool = False) -> None:
        self._options, self.schema = _parted(url)
        self.readonly = readonly
        self._lock = _number(f"daskflow {self.schema}")
        self._guard = _Guard(self)

    @property
    def kind(self) -> str:
        """`postgresql`."""
        return "postgresql"

    @property
    def place(self) -> str:
        """The URL without the password."""
        return _shown(self._options, self.schema)

    @property
    def url(self) -> str:
        """The same."""
        return self.place

    @property
    def shared(self) -> bool:
        """Whether the server is named as other machines would."""
        host = self._options.get("host") or self._options.get("hostaddr") or ""
        return bool(host or "service" in self._options) and not host.startswith("/") and host not in _HERE

    def connect(self, *, writing: bool) -> Link:
        """Open a connection that begins and ends no transaction by itself."""
        import psycopg

        try:
            raw = psycopg.connect(**cast(Any, {**_DEFAULTS, **self._options}), client_encoding="utf8", autocommit=True)
        except psycopg.Error as error:
            raise unreachable(error, self.place) from error
        link = Link(raw)
        try:
            with self.guarded(writing=writing):
                self._settle(raw)
        except BaseException:
            link.close()
            raise
        return link

    def _settle(self, raw: psycopg.Connection[Any]) -> None:
        from psycopg.types.numeric import Int8Dumper

        if raw.info.server_version < _OLDEST or raw.info.parameter_status("server_encoding") != "UTF8":
            raise StoreError(
                f"{self.place} is PostgreSQL {raw.info.server_version // 10000} with the encoding "
                f"{raw.info.parameter_status('server_encoding')}. A journal needs {_OLDEST // 10000} or later, and "
                "UTF8: createdb --encoding UTF8 --template template0 NAME"
            )
        # Else each size of a number would make another statement to prepare.
        raw.adapters.register_dumper(int, Int8Dumper)
        options = {
            "search_path": self.schema,
            "lock_timeout": f"{PATIENCE * 1000:.0f}",
            "idle_in_transaction_session_timeout": f"{PAUSE * 1000:.0f}",
            "default_transaction_isolation": "read committed",
            "default_transaction_read_only": "on" if self.readonly else "off",
            "standard_conforming_strings": "on",
            "jit": "off",
        }
        raw.execute("; ".join(f"SET {name} = '{value}'" for name, value in options.items()).encode(), prepare=False)

    def begin(self, connection: Connection, *, ordered: bool) -> None:
        """Begin a transaction; an ordered one waits until no other ordered one goes on."""
        connection.execute(f"BEGIN; {self._queue()}" if ordered else "BEGIN")

    def order(self, connection: Connection) -> None:
        """Make the transaction that goes on an ordered one from now on."""
        connection.execute(self._queue())

    def _queue(self) -> str:
        # It is given back after the end of the transaction has become visible.
        return f"SELECT pg_advisory_xact_lock({self._lock})"

    def has_tables(self, connection: Connection) -> bool:
        """Whether the table of migrations is there."""
        sql = "SELECT 1 FROM pg_catalog.pg_tables WHERE schemaname = %(schema)s AND tablename = 'schema_version'"
        return bool(connection.execute(sql, {"schema": self.schema}).fetchall())

    def prepare(self, connection: Connection) -> None:
        """Make the schema; who may not make one may be given one."""
        sql = "SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = %(schema)s"
        if not connection.execute(sql, {"schema": self.schema}).fetchall():
            connection.execute(f"CREATE SCHEMA {self.schema}")

    def render(self, sql: str) -> str:
        """Lists are arrays of texts: one parameter whatever their length, and one query plan."""
        # Else the order of texts and what LIKE finds by an index would depend on the language of the database.
        text = 'TEXT COLLATE "C"' if sql.lstrip().startswith(("CREATE TABLE", "ALTER TABLE")) else "TEXT"
        words = {**_WORDS, "TEXT": text}

        def replaced(found: re.Match[str]) -> str:
            if name := found["parameter"]:
                return f"%({name})s"
            if name := found["list"]:
                return f"(SELECT value FROM unnest(CAST(%({name})s AS TEXT[])) AS given (value))"
            return words.get(found["word"] or "", found[0].replace("%", "%%"))

        return _TOKEN.sub(replaced, sql)

    def positional(self, sql: str) -> str:
        """The parameters in order of appearance."""
        return _NAMED.sub("%s", sql)

    def pack(self, values: list[Any]) -> list[str]:
        """The texts."""
        return [self.stored(str(value)) for value in values]

    def stored(self, value: Any) -> Any:
        """A text has no NUL and is UTF-8; a truth value is a number, as in SQLite."""
        if isinstance(value, str):
            if "\0" in value:
                value = value.replace("\0", "\\x00")
            return value if value.isascii() else printable(value)
        return int(value) if isinstance(value, bool) else value

    def channel(self, name: str) -> str:
        """What the server calls a channel: all journals of a database share its channels."""
        return f"daskflow_{name}_{self._lock & 0xFFFFFFFF:08x}"

    def guarded(self, *, writing: bool) -> _Guard:
        """Turn errors of PostgreSQL into errors of daskflow.

        Raises
        ------
        StoreFull
            The server's disk is full.
        StoreUnavailable
            The server is away, ended the connection, or others hold what is wanted; trying again can help.
        StoreError
            Anything else that PostgreSQL complains of.
        """
        return self._guard


class _Guard:
    """Turns errors; has no state, so that one is enough: each statement is guarded."""

    def __init__(self, dialect: PostgreSQL) -> None:
        self._dialect = dialect

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is None:
            return
        import psycopg

        if isinstance(error, psycopg.Error):
            raise refusal(error, self._dialect.place) from error


def _parted(url: str) -> tuple[dict[str, str], str]:
    """What libpq is told, and the schema."""
    try:
        import psycopg
        from psycopg.conninfo import conninfo_to_dict
    except ImportError:
        raise ExtraMissing(
            "A store in PostgreSQL needs psycopg. Install it: pip install 'daskflow[postgres]'"
        ) from None
    base, _, query = url.partition("?")
    parts = [part for part in query.split("&") if part]
    schemas = [unquote(part.partition("=")[2]) for part in parts if part.startswith("schema=")]
    rest = "&".join(part for part in parts if not part.startswith("schema="))
    try:
        found = conninfo_to_dict(f"{base}?{rest}" if rest else base)
    except psycopg.Error:  # its text may hold a part of the password
        found = {"dbname": "@"}
    options = {name: str(value) for name, value in found.items() if value is not None}
    if "@" in options.get("dbname", ""):
        raise SettingsInvalid(
            "The URL of the store in PostgreSQL does not fit. Write postgresql://user@host:port/database, with odd "
            "signs as %40, with no options but `schema` and those of libpq, and with the password in ~/.pgpass or in "
            "the variable PGPASSWORD."
        )
    schema = schemas[-1] if schemas else SCHEMA
    if not _SCHEMA_NAME.fullmatch(schema):
        raise SettingsInvalid(
            f"{schema!r} is no name of a schema: write up to 40 small letters, digits and underscores, and nothing "
            "that begins with pg_."
        )
    return options, schema


def _shown(options: Mapping[str, str], schema: str) -> str:
    kept = {name: value for name, value in options.items() if name not in _SECRETS}
    user, database = kept.pop("user", ""), kept.pop("dbname", "")
    hosts = ""
    if not kept.get("host", "/").startswith("/"):
        names, ports = kept.pop("host").split(","), kept.pop("port", "").split(",")
        pairs = zip(names, ports * len(names) if len(ports) == 1 else ports, strict=False)
        hosts = ",".join((f"[{name}]" if ":" in name else name) + (f":{port}" if port else "") for name, port in pairs)
    if schema != SCHEMA:
        kept["schema"] = schema
    query = f"?{urlencode(kept, safe='/', quote_via=quote)}" if kept else ""
    return f"postgresql://{quote(user, safe='') + '@' if user else ''}{hosts}/{quote(database, safe='')}{query}"


def _number(text: str) -> int:
    """A number of 64 bits with a sign for a text."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big", signed=True)
