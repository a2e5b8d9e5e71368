"""Lets others read objects of a store by themselves, without its credentials and without passing through us."""

from __future__ import annotations

from daskflow.artifacts.places.cloud import Cloud
from daskflow.artifacts.store import ObjectStore


class Leaving:
    """What is read from one store by URLs.

    Parameters
    ----------
    store
        Where the objects are. Only buckets give any.

    Notes
    -----
    Safe for threads. Nothing is copied: a URL costs some small requests, however large the object is.
    """

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._cloud = store._place if isinstance(store._place, Cloud) else None

    def url(self, digest: str, expires: float) -> str | None:
        """A URL by which anybody can read an object, for some time [s].

        None where there is none at once: in a directory, and of an object that lies in parts, unless somebody asked
        `ObjectStore.url_of` for one before.

        Raises
        ------
        ArtifactMissing
            The object is not there.
        ArtifactError
            The bucket signs no URLs, or does not do what it should.
        """
        if self._cloud is None:
            return None
        try:
            return self._cloud.ready_url(digest, expires)
        except FileNotFoundError as error:
            raise self._store._missing(digest) from error
