"""The line to a server: one request after the other, repeated as long as that can help."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar
from urllib.parse import urlencode, urlsplit

from pydantic import SecretStr

from daskflow.errors import (
    DaskflowError,
    ServerRefused,
    ServerSilent,
    SettingsInvalid,
    StoreUnavailable,
    TokenRefused,
    WorkInvalid,
    error_of,
)
from daskflow.stores.buckets.absence import Wait

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse, PoolManager

_T = TypeVar("_T")
PATIENCE = 30.0
"""So long a request is repeated where that can help [s]."""
_CONNECT, _READ = 5.0, 20.0
"""How long connecting, and any silence after it, may take [s]."""
_LONG_READ = 600.0
"""So long a server takes at most to store a large file that it has [s]."""
_BYTES = {200, 206, 307, 416}
_LONGEST_PAUSE = 5.0
_SENDINGS = 4
"""So often bytes are sent at least, however long each time took: large ones take longer than one is patient."""
_PASSING = {429, 502, 503, 504}
"""Answers after which trying again can help."""
_CONNECTIONS = 16
_PERFORMING = ("POST /work/withdraw", "GET /work/await", "POST /work/heartbeat", "POST /work/give-back")
_SCOPES = {**dict.fromkeys(_PERFORMING, "perform"), "POST /work": "read,deposit", "POST /work/lock": "read,deposit"}
"""What a token has to allow of those who ask this."""
_ANY_SCOPE = ": `perform` for agents, `read,deposit` for who deposits works, `read` for who looks"
"""The same, where several may ask."""


class Reply(NamedTuple):
    """What a server answered."""

    value: Any
    headers: Mapping[str, str]
    status: int = 200


class Line:
    """Asks one server.

    Parameters
    ----------
    url
        Its address, `https://host:port/prefix`.
    token
        Lets us in.
    authorities
        File of certificates of authorities that are trusted, in PEM form; None: those of this machine.
    patience
        So long a request is repeated where that can help [s].

    Raises
    ------
    SettingsInvalid
        The address holds a password, or names no host.

    Notes
    -----
    Any number of threads may use it; connections are kept for the next request. A forked child opens its own. It
    pickles with its token.
    """

    def __init__(
        self, url: str, token: SecretStr | None, *, authorities: Path | None = None, patience: float = PATIENCE
    ) -> None:
        parts = urlsplit(url)
        if parts.username is not None or parts.password is not None:
            raise SettingsInvalid(f"Leave the password out of the address of {parts.hostname}; give a token instead.")
        if not parts.hostname:
            raise SettingsInvalid(f"{url!r:.200} is no address of a server. Write https://host:port.")
        self.url = url.rstrip("/")
        self._token = token
        self._authorities = authorities
        self._patience = patience
        self._pool: PoolManager | None = None
        self._process = os.getpid()

    def __repr__(self) -> str:
        return f"Line({self.url!r})"

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_pool": None}

    def ask(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: Any = None,
        request: str = "",
        patience: float | None = None,
    ) -> Reply:
        """Ask, and again as long as that can help.

        Parameters
        ----------
        request
            The id by which the server knows a repeated request; empty where nothing is changed.
        patience
            So long it is repeated [s]; None: as long as others.

        Raises
        ------
        ServerSilent, TokenRefused, ServerRefused
            It does not answer, does not let us in, or does not take what was sent.
        DaskflowError
            What the server itself was told: WorkLost, WorkInvalid ...
        """
        data = None if body is None else _packed(body)
        asked, address = f"{method} {path}", self._address(path, query)
        return self._patiently(asked, lambda: self._once(asked, address, data, request), patience)

    def send(self, path: str, size: int, data: Callable[[], Iterable[bytes]]) -> Reply:
        """Send bytes, and again as long as that can help; as `ask`.

        Parameters
        ----------
        size
            How many they are [bytes].
        data
            Gives them, in blocks; called each time that they are sent.
        """
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
        address = self._address(path, None)
        return self._patiently(
            f"PUT {path}",
            lambda: self._read(
                self._sent("PUT", address, headers, data() if size else b"", silence=_LONG_READ), f"PUT {path}"
            ),
            None,
            _SENDINGS,
        )

    def receive(self, path: str, query: Mapping[str, Any], headers: Mapping[str, str]) -> BaseHTTPResponse:
        """Ask for bytes; the caller reads them, and closes what is returned: 200, 206, 307 or 416.

        Raises
        ------
        DaskflowError
            As `ask`.
        """

        def asked() -> BaseHTTPResponse:
            response = self._sent("GET", self._address(path, query), headers, None, preload=False)
            if response.status not in _BYTES:
                with response:
                    self._read(response, f"GET {path}")
            return response

        return self._patiently(f"GET {path}", asked)

    def trusted(self) -> dict[str, Any]:
        """Options of connections elsewhere, which trust the authorities given here besides those of this machine.

        Raises
        ------
        SettingsInvalid
            The file of the authorities cannot be read.
        """
        from urllib3.util.ssl_ import create_urllib3_context

        if self._authorities is None:
            return {}
        context = create_urllib3_context()
        context.load_default_certs()
        try:
            context.load_verify_locations(self._authorities.expanduser())
        except OSError as error:
            raise SettingsInvalid(
                f"`works: authorities:` names no file of certificates: {self._authorities}: {error.strerror or error}."
            ) from None
        return {"ssl_context": context}

    def _address(self, path: str, query: Mapping[str, Any] | None) -> str:
        return f"{self.url}{path}" + (f"?{urlencode(query, doseq=True)}" if query else "")

    def _patiently(self, what: str, act: Callable[[], _T], patience: float | None = None, least: int = 1) -> _T:
        """Act until it helps: as long as patience lasts [s], and at least so often."""
        wait, tried = Wait(self.url, what, self._patience if patience is None else patience), 0
        while True:
            try:
                found = act()
            except _PassingError as passing:
                pause = max(passing.pause, random.uniform(0, min(_LONGEST_PAUSE, 0.1 * 2**tried)))
                tried += 1
                if not wait.again(passing.error, pause, needed=tried < least):
                    raise passing.error from None
            except DaskflowError:
                # That is an answer as well.
                wait.over()
                raise
            else:
                wait.over()
                return found

    def close(self) -> None:
        """Give the connections back; what is asked next opens them again."""
        pool, self._pool = self._pool, None
        if pool is not None and self._process == os.getpid():
            pool.clear()

    def _once(self, asked: str, address: str, data: bytes | None, request: str) -> Reply:
        headers = {} if data is None else {"Content-Type": "application/json"}
        if request:
            headers["X-Request-Id"] = request
        return self._read(self._sent(asked.partition(" ")[0], address, headers, data), asked)

    def _sent(
        self,
        method: str,
        address: str,
        headers: Mapping[str, str],
        data: bytes | Iterable[bytes] | None,
        *,
        silence: float = _READ,
        preload: bool = True,
    ) -> BaseHTTPResponse:
        from urllib3 import Timeout
        from urllib3.exceptions import HTTPError

        given = {"Accept": "application/json", "User-Agent": "daskflow", **headers}
        if self._token is not None:
            given["Authorization"] = f"Bearer {self._token.get_secret_value()}"
        try:
            return self._connected().request(
                method,
                address,
                body=data,
                headers=given,
                # Redirections would hand the token on.
                redirect=False,
                retries=False,
                timeout=Timeout(connect=_CONNECT, read=silence),
                preload_content=preload,
            )
        except HTTPError as error:
            raise self._silence(error) from None

    def _silence(self, error: Exception) -> Exception:
        from urllib3.exceptions import LocationValueError, SSLError

        # What urllib3 says begins with the address of a connection object.
        why = f"{type(error).__name__}: {str(error).rpartition('>: ')[2]}".rstrip(".")
        if isinstance(error, SSLError) and "certificate" in why.lower():
            return ServerRefused(
                f"The certificate of {self.url} is not trusted: {why}. Name the file of its authority under "
                "`works: authorities:`."
            )
        if isinstance(error, SSLError) and "wrong_version_number" in why.lower():
            return ServerRefused(
                f"{self.url} does not speak TLS. Start that server with a certificate, or write http{self.url[5:]}."
            )
        if isinstance(error, LocationValueError):
            return SettingsInvalid(f"{self.url} is no address of a server. Write https://host:port.")
        return _PassingError(ServerSilent(f"{self.url} does not answer: {why}. Check its address, and that it runs."))

    def _read(self, response: BaseHTTPResponse, asked: str) -> Reply:
        try:
            value = json.loads(response.data)
        except ValueError:
            value = _NOTHING
        if response.status in {200, 201, 202} and value is not _NOTHING:
            return Reply(value, response.headers, response.status)
        told = value if isinstance(value, dict) else {}
        if response.status == 401 and self._token is None:
            raise TokenRefused(
                f"Set DASKFLOW_TOKEN to a token of {self.url}; who runs the server makes one there with "
                f"`daskflow token create NAME --scope {_SCOPES.get(asked, 'SCOPE')}`"
                f"{'' if asked in _SCOPES else _ANY_SCOPE}."
            )
        error = self._refusal(response.status, str(told.get("error") or ""), str(told.get("kind") or ""))
        if response.status in _PASSING:
            raise _PassingError(error, _pause(response.headers.get("Retry-After", "")))
        raise error

    def _refusal(self, status: int, message: str, kind: str) -> DaskflowError:
        if status in {401, 403}:
            return TokenRefused(message or f"{self.url} answers {status}.")
        known = error_of(kind)
        if known is not None and message and status in {404, 409, 422, 423, 503}:
            return known(message)
        if status == 503:
            return StoreUnavailable(message or f"{self.url} has no store at the moment.")
        if status in _PASSING:
            return ServerSilent(f"{self.url} is too busy: {message or status}")
        if not message:
            return ServerRefused(f"{self.url} answers {status}, and not as daskflow does. Look at the address.")
        return ServerRefused(f"{self.url} answers {status}: {message}")

    def _connected(self) -> PoolManager:
        if self._pool is None or self._process != os.getpid():
            self._process = os.getpid()
            self._pool = _pool(self.url, None if self._authorities is None else str(self._authorities))
        return self._pool


class _PassingError(Exception):
    """Trying again can help."""

    def __init__(self, error: DaskflowError, pause: float = 0.0) -> None:
        super().__init__()
        self.error = error
        self.pause = pause


_NOTHING = object()


def _packed(body: Any) -> bytes:
    """JSON text in ASCII, so that halves of surrogate pairs come as far as to who refuses them."""
    try:
        return json.dumps(body, allow_nan=False, separators=(",", ":")).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise WorkInvalid(f"What is asked cannot be sent: {error}.") from None


def _pool(url: str, authorities: str | None) -> PoolManager:
    from urllib.request import getproxies, proxy_bypass

    from urllib3 import PoolManager, ProxyManager

    parts = urlsplit(url)
    proxy = getproxies().get(parts.scheme)
    options: dict[str, Any] = {"maxsize": _CONNECTIONS}
    if authorities is not None:
        options["ca_certs"] = os.path.expanduser(authorities)
    direct = proxy is None or proxy_bypass(parts.hostname or "")
    return PoolManager(**options) if direct else ProxyManager(str(proxy), **options)


def _pause(text: str) -> float:
    return min(float(text), _LONGEST_PAUSE) if text.isdigit() else 0.0
