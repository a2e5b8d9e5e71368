"""Files of web servers.

By urllib3, and not by the HTTP store of obstore: that one takes a URL for a path and loses what stands after `?`, by
which archives name their files; nor does it tell a file that changed during its transfer from a connection that broke.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import urlsplit

from daskflow.artifacts.contents.frames import Buffer
from daskflow.artifacts.fetching.sources import NOTHING, Broken, Reading, Seen, shown
from daskflow.errors import FetchFailed

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse, PoolManager

_BLOCK = 1 << 18
_PASSING = {408, 425, 429, 500, 502, 503, 504}
"""Answers after which trying again can help."""
_NO_HEAD = {400, 403, 405, 501}
"""Answers to HEAD of servers that give the file all the same: signed URLs, for instance, are good for GET only."""
_LONGEST_PAUSE = 60.0


class HttpSource:
    """A file of a web server.

    Parameters
    ----------
    url
        Its address.
    login
        User and password, or nothing and a token.
    timeouts
        How long connecting, and any silence after it, may take [s].
    """

    def __init__(
        self, url: str, login: tuple[str, str] | None = None, timeouts: tuple[float, float] = (10.0, 60.0)
    ) -> None:
        self._url = url
        self._login = login
        self._timeouts = timeouts

    def look(self) -> Seen:
        """What the server tells of the file."""
        response = self._ask("HEAD", {})
        if response.status in _NO_HEAD:
            response.release_conn()
            response = self._ask("GET", {})
        try:
            self._check(response)
            return _seen(response.headers)
        finally:
            # Not `release_conn`: of a GET the body is still to come.
            response.close()

    def read(self, start: int, known: Seen) -> Reading:
        """Read from a byte on, as long as the file is still the known one; else from its beginning."""
        ranged = {"Range": f"bytes={start}-", "If-Range": known.exact} if start and known.exact else {}
        response = self._ask("GET", ranged)
        if response.status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and ranged:
            response.close()
            response = self._ask("GET", {})
        self._check(response)
        seen, begin = _seen(response.headers), 0
        if response.status == HTTPStatus.PARTIAL_CONTENT:
            begin, size = _range(response.headers)
            if begin != start or not ranged or (known.etag and seen.etag not in ("", known.etag)):
                response.close()
                return self.read(0, NOTHING)
            # With a part the server need not tell again what it told before.
            seen = Seen(seen.etag or known.etag, seen.modified or known.modified, size)
        return Reading(seen, begin, self._blocks(response))

    def _blocks(self, response: BaseHTTPResponse) -> Iterator[Buffer]:
        from urllib3.exceptions import HTTPError

        try:
            # Whatever has come, not full blocks: nothing of it is lost when the connection breaks.
            while block := response.read1(_BLOCK, decode_content=False):
                yield block
        except (HTTPError, OSError) as error:
            raise Broken(f"{shown(self._url)} broke off: {_why(error)}.") from error
        finally:
            response.close()

    def _ask(self, method: str, headers: Mapping[str, str]) -> BaseHTTPResponse:
        from urllib3 import Retry, Timeout
        from urllib3.exceptions import HTTPError

        # Only redirections are followed here. They take the login along to the same host, not to others.
        retry = Retry(10, connect=0, read=0, status=0, other=0, respect_retry_after_header=False)
        timeout = Timeout(connect=self._timeouts[0], read=self._timeouts[1])
        everything = {"Accept-Encoding": "identity", "User-Agent": "daskflow", **_login(self._login), **headers}
        try:
            return pool_for(self._url).request(
                method, self._url, headers=everything, retries=retry, timeout=timeout, preload_content=False
            )
        except HTTPError as error:
            self._fail(error)

    def _fail(self, error: Exception) -> NoReturn:
        from urllib3.exceptions import LocationValueError, NameResolutionError, ResponseError, SSLError

        reason = getattr(error, "reason", None) or error
        message = f"{shown(self._url)} cannot be fetched: {_why(reason)}."
        # ResponseError: redirections that lead in a circle.
        if isinstance(reason, (NameResolutionError, SSLError, LocationValueError, ResponseError)):
            raise FetchFailed(message) from None
        raise Broken(message) from None

    def _check(self, response: BaseHTTPResponse) -> None:
        if response.status in (HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT):
            return
        response.close()
        told = f"{shown(self._url)} cannot be fetched: its server answers {response.status} {_phrase(response.status)}."
        if response.status in _PASSING:
            raise Broken(told, _pause(response.headers.get("Retry-After", "")))
        if response.status in (401, 403, 407):
            host = urlsplit(self._url).hostname
            more = " It does not accept these credentials." if self._login else f" Say `auth=credentials({host!r})`."
            raise FetchFailed(told + more)
        raise FetchFailed(f"{told} Look whether the address is right.")


def pool_for(url: str) -> PoolManager:
    """Connections to the server of a URL, by the proxy that the environment names for it."""
    from urllib.request import getproxies, proxy_bypass

    from urllib3 import PoolManager, ProxyManager

    parts = urlsplit(url)
    proxy = getproxies().get(parts.scheme)
    direct = proxy is None or proxy_bypass(parts.hostname or "")
    return PoolManager() if direct else ProxyManager(str(proxy))


def _login(login: tuple[str, str] | None) -> dict[str, str]:
    if login is None:
        return {}
    user, secret = login
    if not user:
        return {"Authorization": f"Bearer {secret}"}
    from urllib3.util import make_headers

    # In UTF-8 (https://www.rfc-editor.org/rfc/rfc7617#section-2.1), of which urllib3 only knows the Latin part.
    return dict(make_headers(basic_auth=f"{user}:{secret}".encode().decode("latin-1")))


def _seen(headers: Mapping[str, str]) -> Seen:
    length = headers.get("Content-Length", "")
    return Seen(headers.get("ETag", ""), headers.get("Last-Modified", ""), int(length) if length.isdigit() else None)


def _range(headers: Mapping[str, str]) -> tuple[int, int | None]:
    """First byte of a part, and size of the whole file [bytes]; -1 where the server does not say."""
    span, _, size = headers.get("Content-Range", "").removeprefix("bytes ").partition("/")
    first = span.partition("-")[0]
    return int(first) if first.isdigit() else -1, int(size) if size.isdigit() else None


def _pause(text: str) -> float:
    return min(float(text), _LONGEST_PAUSE) if text.isdigit() else 0.0


def _phrase(status: int) -> str:
    return HTTPStatus(status).phrase if status in set(HTTPStatus) else ""


def _why(error: Any) -> str:
    # What urllib3 says begins with the address of a connection object.
    return f"{type(error).__name__}: {str(error).rpartition('>: ')[2]}".rstrip(".")
