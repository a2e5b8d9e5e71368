"""Lets others bring objects into a store by themselves, without its credentials and without passing through us."""

from __future__ import annotations

import secrets
from typing import NamedTuple

from daskflow.artifacts.places.arrivals import Arrivals, Slot
from daskflow.artifacts.places.cloud import Cloud
from daskflow.artifacts.places.place import Progress, silent
from daskflow.artifacts.store import ObjectStore
from daskflow.errors import ArtifactMissing

LARGEST = 1 << 40
"""Larger objects are not brought by URLs [bytes]."""


class Opening(NamedTuple):
    """What somebody who wants to bring an object is told."""

    there: bool
    """Whether it is there already: nothing is to be brought."""
    upload: str
    """Id of the upload; empty: the store takes nothing by URLs."""
    slots: tuple[Slot, ...]
    """Where to bring what is missing, or the first of it; none: all has come, and can be accepted."""


class Arriving:
    """What is brought into one store by URLs.

    Parameters
    ----------
    store
        Where objects are to be. Only buckets of S3 take anything.

    Notes
    -----
    Safe for threads and processes, and any number of servers: all that is known of an upload lies in the bucket.
    """

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._place = store._place
        signs = store.url.startswith("s3://")
        self._cloud = self._place if signs and isinstance(self._place, Cloud) else None

    def open(self, digest: str, size: int, upload: str, expires: float) -> Opening:
        """Begin an upload, or go on with one whose id is given; its URLs are good for some time [s].

        Raises
        ------
        ArtifactError
            That is no digest, or the store does not do what it should.
        """
        # It is told on the word of the store: who hears it brings nothing, and it must not be swept before it is used.
        kept = self._place.renew if isinstance(self._place, Cloud) else self._place.keep
        if self._store.exists(digest, size) and kept(digest, size):
            return Opening(True, "", ())
        if self._cloud is None or size > LARGEST:
            return Opening(False, "", ())
        upload = upload or secrets.token_hex(16)
        return Opening(False, upload, tuple(Arrivals(self._cloud.bucket).slots(upload, size, expires)))

    def accept(self, upload: str, digest: str, size: int, progress: Progress = silent) -> None:
        """Verify what was brought, and make it an object.

        Raises
        ------
        ArtifactDamaged
            The bytes are not those of the digest; none of them is an object.
        ArtifactMissing
            Not all of them have come.
        """
        if self._cloud is None:
            raise ArtifactMissing("Nothing was brought: the artifact store takes nothing by URLs. Send it otherwise.")
        try:
            self._cloud.accept(upload, digest, size, progress)
        except FileNotFoundError:
            # Who hears no answer asks again, when all is done and forgotten.
            if not self._store.exists(digest, size):
                raise ArtifactMissing(
                    f"Not all of the object {digest} has come. Bring what is missing, and say so again."
                ) from None

    def sweep(self, older: float) -> int:
        """Remove what was brought more than `older` [s] ago and never accepted; returns how much [bytes]."""
        return 0 if self._cloud is None else Arrivals(self._cloud.bucket).sweep(older)
