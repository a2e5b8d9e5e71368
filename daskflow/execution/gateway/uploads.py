"""What a server does with objects that go to the object storage by themselves: it gives addresses, and verifies."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress

from daskflow.artifacts.arriving import Arriving, Opening
from daskflow.artifacts.store import ObjectStore
from daskflow.errors import ArtifactError, StoreSilent

GOOD = 3600.0
"""So long an address is good [s]."""
_KEPT = 2 * 86400.0
"""What came longer ago and was never completed is removed [s]."""
_SWEEPS = 3600.0
"""So often it is looked for that [s]."""
_AT_ONCE = 2
"""So many uploads are verified at a time."""
MOST = 1000
"""So many uploads wait to be verified, or for who asks what came of them."""


class TooMany(Exception):
    """Too many uploads are verified already."""


class Verification:
    """One upload that is verified.

    Parameters
    ----------
    size
        Of the object [bytes].
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.done = 0
        """So much is read [bytes]."""
        self.future: Future[None]
        """Ends when the object is there, or raises what is wrong with it."""

    async def wait(self, timeout: float) -> bool:
        """Whether it has ended, at the latest after some time [s]."""
        import asyncio

        loop, ended = asyncio.get_running_loop(), asyncio.Event()

        def tell(_: Future[None]) -> None:
            # By then the server may have ended.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(ended.set)

        self.future.add_done_callback(tell)
        with suppress(TimeoutError):
            await asyncio.wait_for(ended.wait(), timeout)
        return self.future.done()


class Uploads:
    """Objects that are brought to the object storage directly.

    Parameters
    ----------
    store
        Where they lie.
    claim
        Notes in the store that what is there is needed.
    clock
        Gives the time [s].

    Notes
    -----
    Thread-safe. What is known of an upload lies in the store: any server of it can go on with what another one began.
    """

    def __init__(
        self, store: ObjectStore, claim: Callable[[], object], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._store = store
        self._claim = claim
        self._clock = clock
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(_AT_ONCE, "daskflow-verifier")
        self._known: OrderedDict[tuple[str, str, int], Verification] = OrderedDict()
        self._swept = -_SWEEPS
        self._closed = threading.Event()

    def open(self, digest: str, size: int, upload: str = "") -> Opening:
        """Begin an upload, or go on with one.

        Raises
        ------
        ArtifactError
            The store does not do what it should.
        """
        self._claim()
        self._tidy()
        return Arriving(self._store).open(digest, size, upload, GOOD)

    def verify(self, upload: str, digest: str, size: int) -> Verification:
        """See whether what was brought is the object; of who asks again meanwhile the same one.

        Raises
        ------
        TooMany
        """
        named = upload, digest, size
        with self._lock:
            found = self._known.get(named)
            if found is None:
                self._make_room()
                found = self._known[named] = Verification(size)
                found.future = self._pool.submit(self._accept, found, upload, digest)
        return found

    def heard(self, upload: str, digest: str, size: int) -> None:
        """Somebody knows what came of it: who asks again begins anew."""
        with self._lock:
            self._known.pop((upload, digest, size), None)

    def close(self) -> None:
        """Verify nothing more; who asks another server, or this one when it is there again, begins anew."""
        self._closed.set()
        self._pool.shutdown(cancel_futures=True)

    def _accept(self, verification: Verification, upload: str, digest: str) -> None:
        def read(count: int) -> None:
            verification.done += count
            if self._closed.is_set():
                raise StoreSilent("The server ends. Ask again.")

        Arriving(self._store).accept(upload, digest, verification.size, read)

    def _make_room(self) -> None:
        while len(self._known) >= MOST:
            over = next((named for named, found in self._known.items() if found.future.done()), None)
            if over is None:
                raise TooMany
            del self._known[over]

    def _tidy(self) -> None:
        """Now and then, remove what was never completed."""
        with self._lock:
            if self._clock() - self._swept < _SWEEPS:
                return
            self._swept = self._clock()
        self._pool.submit(self._sweep)

    def _sweep(self) -> None:
        # Whoever brings something is told what is wrong with the store.
        with suppress(ArtifactError):
            Arriving(self._store).sweep(_KEPT)
