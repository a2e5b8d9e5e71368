"""What a server does with objects that go to the object storage by themselves: it gives addresses, and verifies."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress

from daskflow.artifacts.arriving import Arriving, Opening
from daskflow.artifacts.places.parts import in_parts
from daskflow.artifacts.store import ObjectStore
from daskflow.errors import ArtifactError, ArtifactMissing, StoreSilent

_LOG = logging.getLogger("daskflow.server")
GOOD = 3600.0
"""So long an address is good [s]."""
_KEPT = 2 * 86400.0
"""What came longer ago and was never completed is removed [s]."""
_SWEEPS = 3600.0
"""So often it is looked for that [s]."""
_AT_ONCE = 2
"""So many uploads of objects in parts are verified at a time, and beside them one of an object in one piece."""
_HEARD = 60.0
"""So long a refusal is kept for who asks again and again what came of an upload [s]."""
_ENDING = 5.0
"""So long a server that ends waits for the end of what it removes [s]."""
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
        self.ended = 0.0
        """When it ended, by the clock that only goes on [s]."""

    @property
    def outdated(self) -> bool:
        """Whether it failed in a way that may have been put right since."""
        if not self.future.done() or self.future.cancelled():
            return self.future.cancelled()
        error = self.future.exception()
        # What was missing is seen at once; who is told late of anything else comes within some seconds.
        missing = isinstance(error, ArtifactMissing)
        return missing or (error is not None and time.monotonic() - self.ended > _HEARD)

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

    Notes
    -----
    Thread-safe. What is known of an upload lies in the store: any server of it can go on with what another one began.
    Small objects do not wait until large ones are verified. What was never completed is removed while this is open,
    whether somebody brings something or not.
    """

    def __init__(self, store: ObjectStore, claim: Callable[[], object]) -> None:
        self._store = store
        self._claim = claim
        self._lock = threading.Lock()
        self._large = ThreadPoolExecutor(_AT_ONCE, "daskflow-verifier")
        self._small = ThreadPoolExecutor(1, "daskflow-small-verifier")
        self._known: dict[tuple[str, str, int], Verification] = {}
        self._closed = threading.Event()
        self._sweeper = threading.Thread(target=self._sweep, name="daskflow-sweeper", daemon=True)
        if not store.local:
            self._sweeper.start()

    def open(self, digest: str, size: int, upload: str = "") -> Opening:
        """Begin an upload, or go on with one.

        Raises
        ------
        ArtifactError
            The store does not do what it should.
        """
        self._claim()
        if upload:
            self._forget((upload, digest, size))
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
            if found is None or found.outdated:
                self._known.pop(named, None)
                self._make_room()
                found = Verification(size)
                pool = self._large if in_parts(size) else self._small
                found.future = pool.submit(self._accept, found, upload, digest)
                self._known[named] = found
        return found

    def heard(self, upload: str, digest: str, size: int) -> None:
        """Somebody knows what came of it: who asks again begins anew."""
        with self._lock:
            self._known.pop((upload, digest, size), None)

    def close(self) -> None:
        """Verify nothing more; who asks another server, or this one when it is there again, begins anew."""
        self._closed.set()
        for pool in (self._small, self._large):
            pool.shutdown(cancel_futures=True)
        if self._sweeper.ident is not None:
            self._sweeper.join(_ENDING)

    def _accept(self, verification: Verification, upload: str, digest: str) -> None:
        def read(count: int) -> None:
            verification.done += count
            if self._closed.is_set():
                raise StoreSilent("The server ends. Ask again.")

        try:
            Arriving(self._store).accept(upload, digest, verification.size, read)
        finally:
            verification.ended = time.monotonic()

    def _forget(self, named: tuple[str, str, int]) -> None:
        """Who goes on with an upload is not told what came of it before."""
        with self._lock:
            found = self._known.get(named)
            if found is not None and found.future.done():
                del self._known[named]

    def _make_room(self) -> None:
        while len(self._known) >= MOST:
            over = next((named for named, found in self._known.items() if found.future.done()), None)
            if over is None:
                raise TooMany
            del self._known[over]

    def _sweep(self) -> None:
        """Now and then, remove what was never completed."""
        while not self._closed.is_set():
            try:
                Arriving(self._store).sweep(_KEPT)
            except ArtifactError as error:
                # Whoever brings something is told what is wrong with the store.
                _LOG.info("Uploads that were not completed cannot be removed: %s", error)
            except Exception:
                _LOG.exception("Uploads that were not completed cannot be removed")
            self._closed.wait(_SWEEPS)
