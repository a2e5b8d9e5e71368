"""Keeps what commands left: files and directories become artifacts, of which the job's result tells."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import quote

from daskflow.artifacts.artifact import Artifact
from daskflow.artifacts.progress import Shown
from daskflow.artifacts.store import ObjectStore
from daskflow.artifacts.uploading import Upload
from daskflow.errors import NameRefused

_LONGEST = 500
"""Of longer names the end is kept."""


def keep(store: ObjectStore, path: Path, name: str, progress: Shown = False) -> Artifact:
    """Bring a file or directory into the store.

    Parameters
    ----------
    name
        Its path in the scratch directory. What no artifact may be called is quoted as in URLs.
    progress
        Who is told the number of bytes just done; what it raises ends it.
    """
    # Where it lay does not count: equal commands are to have equal results.
    found = Upload(store, None, progress)(path, name)._replace(source="")
    try:
        return Artifact.of(found, store)
    except NameRefused:
        quoted = quote(os.fsencode(name), safe="/ ")[-_LONGEST:].strip("/")
        return Artifact.of(found._replace(name=quoted), store)
