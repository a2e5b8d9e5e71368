"""Files in the buckets of S3 and its likes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import unquote, urlsplit

from daskflow.artifacts.contents.frames import Buffer
from daskflow.artifacts.fetching.sources import Broken, Reading, Seen, shown
from daskflow.artifacts.places.forks import load
from daskflow.errors import FetchFailed

if TYPE_CHECKING:
    from obstore.store import S3Store

_BLOCK = 1 << 20


class BucketSource:
    """An object that a URL `s3://bucket/key` names; the environment tells where and how (`AWS_ENDPOINT_URL` ...).

    Parameters
    ----------
    url
        Its address.
    login
        Access key and secret key; None: those of the environment.
    timeouts
        How long connecting, and a whole request, may take [s].
    """

    def __init__(
        self, url: str, login: tuple[str, str] | None = None, timeouts: tuple[float, float] = (10.0, 86400.0)
    ) -> None:
        self._url = url
        self._key = unquote(urlsplit(url).path.lstrip("/"))
        self._login = login
        self._timeouts = timeouts

    def look(self) -> Seen:
        """What the store tells of the object."""
        try:
            return _seen(self._store().head(self._key))
        except Exception as error:
            self._fail(error)

    def read(self, start: int, known: Seen) -> Reading:
        """Read from a byte on, as long as the object is still the known one; else from its beginning."""
        from obstore.exceptions import PreconditionError

        options: Any = {"range": {"offset": start}, "if_match": known.etag} if start and known.etag else {}
        try:
            found = self._store().get(self._key, options=options)
        except PreconditionError:
            return self.read(0, known)
        except Exception as error:
            self._fail(error)
        return Reading(_seen(found.meta), found.range[0], self._blocks(found))

    def _blocks(self, found: Any) -> Iterator[Buffer]:
        try:
            for block in found.stream(min_chunk_size=_BLOCK):
                yield memoryview(block)
        except Exception as error:
            raise Broken(f"{shown(self._url)} broke off: {_first_line(error)}") from error

    def _store(self) -> S3Store:
        load()
        from obstore.store import S3Store

        connect, whole = (f"{seconds:g}s" for seconds in self._timeouts)
        config: Any = {}
        if self._login is not None:
            config = {"access_key_id": self._login[0], "secret_access_key": self._login[1]}
        return S3Store(
            urlsplit(self._url).netloc,
            config=config,
            client_options={"connect_timeout": connect, "timeout": whole, "allow_http": True},
            # Retries are made, and told of, one floor up.
            retry_config={"max_retries": 0},
        )

    def _fail(self, error: Exception) -> NoReturn:
        from obstore.exceptions import PermissionDeniedError, UnauthenticatedError

        message = f"{shown(self._url)} cannot be fetched: "
        if isinstance(error, FileNotFoundError):
            raise FetchFailed(f"{message}nothing is there. Look whether the address is right.") from None
        if isinstance(error, (PermissionDeniedError, UnauthenticatedError)):
            raise FetchFailed(f"{message}its store refuses. Say `auth=credentials(...)` of who may read it.") from None
        raise Broken(message + _first_line(error)) from None


def _seen(meta: Any) -> Seen:
    return Seen(meta["e_tag"] or "", meta["last_modified"].isoformat(), int(meta["size"]))


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
