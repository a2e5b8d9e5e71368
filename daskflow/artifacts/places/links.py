"""URLs by which anybody can read an object of a cloud for a while."""

from __future__ import annotations

import tempfile
from pathlib import Path
from urllib.parse import quote

from daskflow.artifacts.places.bucket import Bucket
from daskflow.artifacts.places.downloads import Download
from daskflow.artifacts.places.parts import Manifest, object_key
from daskflow.errors import ArtifactError

LONGEST = 7 * 86400.0
"""No cloud signs for longer [s]."""


class Links:
    """Presigned URLs.

    Parameters
    ----------
    bucket
        Where the objects lie.

    Notes
    -----
    A URL names one key, and programs save a file under its last word. So what lies in parts, or is to bear a name, is
    copied to ``links/<digest>/<name>`` first: within the store where it lies in one piece, else through this node.
    """

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket

    def url(self, digest: str, manifest: Manifest | None, expires: float, name: str | None) -> str:
        """A URL of an object that is there, good for `expires` [s]. Raises ArtifactError."""
        if not 0 < expires <= LONGEST:
            raise ArtifactError(f"A URL is good for 7 days at most and cannot be for {expires:g} s. Ask for less.")
        key = object_key(digest)
        if manifest is not None or name is not None:
            key = _copied(digest, name)
            if self._bucket.head(key) is None:
                self._copy(digest, manifest, key)
        return self._bucket.sign(key, expires)

    def ready(self, digest: str, manifest: Manifest | None, expires: float) -> str | None:
        """A URL of an object that is there, if nothing has to be copied for it. Raises ArtifactError."""
        key = object_key(digest) if manifest is None else _copied(digest, None)
        return None if manifest is not None and self._bucket.head(key) is None else self._bucket.sign(key, expires)

    def sweep(self, older: float) -> int:
        """Remove copies made more than `older` [s] ago; returns how much [bytes]."""
        return self._bucket.sweep("links", older)

    def _copy(self, digest: str, manifest: Manifest | None, key: str) -> None:
        if manifest is None:
            self._bucket.copy(object_key(digest), key)
            return
        with tempfile.TemporaryDirectory(prefix="daskflow-") as directory:
            path = Path(directory, "object")
            Download(self._bucket, digest, path).run(manifest, lambda _: None)
            self._bucket.put_file(key, path)


def _copied(digest: str, name: str | None) -> str:
    return f"links/{digest}/{_word(name or 'object')}"


def _word(name: str) -> str:
    return quote(name, safe="").replace("%", "_").lstrip(".")[:200] or "object"
