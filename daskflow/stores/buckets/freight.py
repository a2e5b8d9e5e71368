"""Brings objects to a server of daskflow and from it: by way of its object storage where that is in reach."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from daskflow.errors import ArtifactMissing, ServerSilent
from daskflow.stores.buckets.line import Line

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse, PoolManager

_LOG = logging.getLogger("daskflow")
_BLOCK = 1 << 20
"""So much is sent or received at a time [bytes]."""
_SMALL = 1 << 18
"""Up to this size one request to the server is faster than three to the object storage [bytes]."""
_NAMES = 10_000
_AT_ONCE = 4
"""So many parts of an object travel at a time."""
_TRIES = 4
"""So often the object storage may fail one after the other."""
_PAUSE = 0.1
"""Pause after the first failure, twice as long after each further one [s]."""
_CONNECT, _READ = 5.0, 120.0
"""How long connecting to the object storage, and any silence after it, may take [s]."""

Read = Callable[[int, int], bytes]
"""Gives bytes of an object, from a place on and so many [bytes]."""


class Freight:
    """Moves objects between here and the artifact store of a server.

    Parameters
    ----------
    line
        The way to the server.

    Notes
    -----
    Safe for threads; a forked child opens its own connections. Objects go to the object storage of the server, and come
    from it, by addresses that the server gives. Where that storage cannot be reached from here, or is a directory, all
    goes through the server, and what lies there in parts always comes through it. Neither sees a digest on trust: the
    server verifies what is sent, and who asks for an object has to verify what comes.
    """

    def __init__(self, line: Line) -> None:
        self._line = line
        self._reset()

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._process = os.getpid()
        self._storage: PoolManager | None = None
        self._direct = True

    def __getstate__(self) -> dict[str, Any]:
        return {"_line": self._line}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._line = state["_line"]
        self._reset()

    def store(self, digest: str, size: int, read: Read) -> None:
        """Bring an object to the server, unless it has it.

        Parameters
        ----------
        size
            Of the object [bytes].
        read
            Gives its bytes; called from several threads, and again where something failed.

        Raises
        ------
        ArtifactDamaged
            The bytes are not those of the digest.
        DaskflowError
            As `Line.ask`.
        """
        if size > _SMALL and self._sent_directly(digest, size, read):
            return

        def blocks() -> Iterator[bytes]:
            for start in range(0, size, _BLOCK):
                yield read(start, min(_BLOCK, size - start))

        self._line.send(f"/artifacts/objects/{digest}", size, blocks)

    def has(self, digest: str, size: int) -> bool:
        """Whether the server has an object, which counts as new then."""
        said = {"digest": digest, "size": size}
        return bool(self._line.ask("POST", "/artifacts/uploads", body=said).value["there"])

    def size(self, digest: str) -> int | None:
        """Size of an object [bytes]; None where there is none."""
        try:
            path, query = f"/artifacts/objects/{digest}", {"via": "server"}
            with self._line.receive(path, query, {"Range": "bytes=0-0"}) as response:
                return int(response.headers["Content-Range"].rpartition("/")[2])
        except ArtifactMissing:
            return None

    def fetch(self, digest: str, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """The bytes of an object, or of a part of it, in blocks. What breaks off goes on where it was.

        Raises
        ------
        ArtifactMissing
            There is no such object.
        DaskflowError
            As `Line.ask`.
        """
        from urllib3.exceptions import HTTPError

        at, failed = start, 0
        while stop is None or at < stop:
            response = self._opened(digest, at, stop)
            try:
                if response.status == 416:
                    return
                for block in response.stream(_BLOCK):
                    at += len(block)
                    failed = 0 if block else failed
                    yield block
                return
            except HTTPError as error:
                failed += 1
                if failed == _TRIES:
                    raise ServerSilent(f"{self._line.url} breaks off what it sends: {type(error).__name__}.") from None
                time.sleep(_PAUSE * 2**failed)
            finally:
                response.close()

    @property
    def url(self) -> str:
        """Address of the server."""
        return self._line.url

    def names(self, start: str) -> list[str]:
        """The first names that begin so."""
        query = {"prefix": start, "limit": _NAMES}
        return [str(found["name"]) for found in self._line.ask("GET", "/artifacts", query=query).value]

    def named(self, name: str) -> dict[str, Any]:
        """What a name stands for. Raises ArtifactMissing, NameRefused."""
        found: dict[str, Any] = self._line.ask("GET", f"/artifacts/names/{quote(name)}").value
        return found

    def give(self, name: str, digest: str, kind: str, *, create: bool = False) -> dict[str, Any]:
        """Let a name stand for an object that the server has; what it stands for then.

        Parameters
        ----------
        create
            Only where nobody gave the name yet.

        Raises
        ------
        ArtifactMissing, NameRefused
        """
        body = {"digest": digest, "kind": kind, "create": create}
        given: dict[str, Any] = self._line.ask("PUT", f"/artifacts/names/{quote(name)}", body=body).value
        return given

    def close(self) -> None:
        """Give the connections to the object storage back."""
        with self._lock:
            pool, self._storage = self._storage, None
        if pool is not None and self._process == os.getpid():
            pool.clear()

    # By way of the object storage.

    def _sent_directly(self, digest: str, size: int, read: Read) -> bool:
        """Whether it was brought, or was there; where it was not, it goes through the server."""
        said: dict[str, Any] = {"digest": digest, "size": size}
        upload, failed, left, answered = "", 0, list[int](), False
        while failed < _TRIES:
            opened = self._line.ask("POST", "/artifacts/uploads", body={**said, "upload": upload}).value
            upload, parts = str(opened["upload"]), opened["parts"]
            if opened["there"] or not upload or not self._direct:
                return bool(opened["there"])
            if not parts:
                return self._completed(upload, said)
            starts = [part["start"] for part in parts]
            if starts == left and not answered:
                return False
            # An address may have ended meanwhile: there are new ones. Where nothing goes it is of no use.
            failed, left = failed + 1 if starts == left else 0, starts
            with ThreadPoolExecutor(_AT_ONCE, "daskflow-freight") as pool:
                answered = any(list(pool.map(lambda part: self._put(part, read), parts)))
        return False

    def _put(self, part: Mapping[str, Any], read: Read) -> bool:
        """Send a part; whether the object storage answered, whatever it said."""
        from urllib3.exceptions import HTTPError

        if not self._direct:
            return False
        data = read(int(part["start"]), int(part["size"]))
        try:
            self._connected().request("PUT", str(part["url"]), body=data, retries=False, redirect=False)
            return True
        except HTTPError as error:
            # What has not come is asked for again.
            self._direct = self._direct and not _out_of_reach(error)
            return False

    def _completed(self, upload: str, said: dict[str, Any]) -> bool:
        while True:
            try:
                reply = self._line.ask("POST", f"/artifacts/uploads/{upload}/completed", body=said)
            except ArtifactMissing:
                # Somebody removed it before it was verified.
                return False
            if reply.status != 202:
                return True

    def _opened(self, digest: str, start: int, stop: int | None) -> BaseHTTPResponse:
        from urllib3.exceptions import HTTPError

        path = f"/artifacts/objects/{digest}"
        part = {} if not start and stop is None else {"Range": f"bytes={start}-{'' if stop is None else stop - 1}"}
        found = self._line.receive(path, {"via": "link" if self._direct else "server"}, part)
        if found.status != 307:
            return found
        with found:
            address = found.headers["Location"]
        try:
            # The token is for the server only.
            response = self._connected().request(
                "GET", address, headers=part, preload_content=False, retries=False, redirect=False
            )
            if response.status in ({206, 416} if part else {200}):
                return response
            response.close()
        except HTTPError as error:
            self._direct = self._direct and not _out_of_reach(error)
            _LOG.info("The object storage of %s breaks off; the server itself is asked", self._line.url)
        return self._line.receive(path, {"via": "server"}, part)

    def _connected(self) -> PoolManager:
        from urllib3 import PoolManager, Timeout

        with self._lock:
            if self._storage is None or self._process != os.getpid():
                self._process = os.getpid()
                timeout = Timeout(connect=_CONNECT, read=_READ)
                self._storage = PoolManager(maxsize=_AT_ONCE, timeout=timeout, **self._line.trusted())
            return self._storage


def _out_of_reach(error: Exception) -> bool:
    """Whether trying another time is of no use: it is not reached from here, or not trusted."""
    from urllib3.exceptions import ConnectTimeoutError, NewConnectionError, ReadTimeoutError, SSLError

    return isinstance(error, (NewConnectionError, ConnectTimeoutError, ReadTimeoutError, SSLError))
