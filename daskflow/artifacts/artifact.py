"""Artifacts: what users hold of files and directories in the object store."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, ClassVar, cast

from daskflow.artifacts.contents.digests import FileDigests, PathLike
from daskflow.artifacts.holdings import is_held, mention
from daskflow.artifacts.names import Named, Names, changes, checked
from daskflow.artifacts.placing import Placing
from daskflow.artifacts.progress import Shown
from daskflow.artifacts.reading.datasets import open_dataset, open_h5
from daskflow.artifacts.reading.ranges import ObjectRanges, RangeFile
from daskflow.artifacts.staging import Sharing, bring, copy_here, stage
from daskflow.artifacts.store import ObjectStore, here, known
from daskflow.artifacts.trees import Tree
from daskflow.artifacts.uploading import Source, Upload
from daskflow.errors import ArgumentsInvalid, ArtifactError, ArtifactMissing
from daskflow.model.quantities import seconds

if TYPE_CHECKING:
    import h5py
    import xarray as xr

_FRESH = 2.0
"""So long a name that was looked up is believed [s]: many jobs may have one artifact."""


class Artifact:
    """A file or a directory in the object store, under a name.

    Parameters
    ----------
    name
        Words with `/` between them.
    digest
        The digest of what is meant; None: whatever has the name when it is asked for.
    size
        Of that [bytes].
    kind
        `file` or `tree`, of that.

    Raises
    ------
    NameRefused
        The text is no name.

    Notes
    -----
    As an argument of a task it counts by its content, and the job gets what had the name when the task was called. In
    a result of a task it is what had the name when the task returned.

    Safe for threads. Pickles as name, digest and the URL of its store, without credentials.

    Examples
    --------
    >>> Artifact("surveys/deep field.h5")
    Artifact('surveys/deep field.h5')
    """

    home: ClassVar[Callable[[], ObjectStore] | None] = None
    """Gives the store of the project; whoever opens projects sets it."""
    digests: ClassVar[Callable[[], FileDigests | None] | None] = None
    """Gives what remembers the digests of local files, where something does; else each upload reads its file."""

    def __init__(self, name: str, *, digest: str | None = None, size: int | None = None, kind: str = "file") -> None:
        self.name = checked(name)
        """What it is called."""
        self._url = ""
        self._pinned = digest is not None
        self._found: Named | None = None if digest is None else Named(name, digest, -1 if size is None else size, kind)
        self._looked = 0.0
        self._seen = 0

    @classmethod
    def of(cls, named: Named, store: ObjectStore) -> Artifact:
        """What a store has under some name, or would have: of this content, whatever becomes of the name."""
        return _restored(named.name, named, store.url)

    def __repr__(self) -> str:
        pinned = f", digest={self._found.digest!r}" if self._pinned and self._found else ""
        return f"Artifact({self.name!r}{pinned})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Artifact):
            return NotImplemented
        return (self.name, self._fixed) == (other.name, other._fixed)

    def __hash__(self) -> int:
        return hash((self.name, self._fixed))

    def __deepcopy__(self, memo: dict[int, Any]) -> Artifact:
        return self.pinned()

    def __reduce__(self) -> tuple[Callable[..., Artifact], tuple[Any, ...]]:
        held = self
        if is_held():
            # What a result refers to must not change with the name. One that nobody uploaded yet is just a name.
            with suppress(ArtifactMissing):
                held = self.pinned()
                mention(held.digest)
        url = self._url or (Artifact.home().url if Artifact.home is not None else "")
        return _restored, (self.name, held._found if held._pinned else None, url)

    def key_text(self) -> str:
        """How it counts in keys: as a file of this name with the same bytes does."""
        return f"file({self.name.rpartition('/')[2]!r},{self.digest})"

    @property
    def store(self) -> ObjectStore:
        """The object store that it is in.

        Raises
        ------
        ArtifactError
            None is configured.
        """
        found = known(self._url) if self._url else None
        if found is not None:
            return found
        if Artifact.home is not None:
            return Artifact.home()
        if (performed := here()) is not None:
            return performed
        if self._url:
            return ObjectStore(self._url)
        raise ArtifactError("No artifact store is known here. Let `artifacts` in daskflow.yaml name one.")

    @property
    def digest(self) -> str:
        """BLAKE3 of its bytes, or of the manifest of its files; 32 hexadecimal digits. Raises ArtifactMissing."""
        return self._named().digest

    @property
    def kind(self) -> str:
        """`file` or `tree`. Raises ArtifactMissing."""
        return self._named().kind

    @property
    def size(self) -> int:
        """Size of the file, or of all files of the tree [bytes]. Raises ArtifactMissing."""
        return self._named().size

    def exists(self) -> bool:
        """Whether it was uploaded, and its bytes are in the store."""
        # Not `find`, which would look for names that are like one that is missing.
        found = self._found if self._pinned else Names(self.store).look(self.name)
        if found is None:
            return False
        return self.store.exists(found.digest, found.size if found.kind == "file" and found.size >= 0 else None)

    def upload(self, source: Source, *, progress: Shown = None) -> Artifact:
        """Bring a file or a directory into the store, and let it have this name.

        Parameters
        ----------
        source
            Path of a file or directory, an open binary file, or bytes.
        progress
            Whether a bar is shown; by default where somebody would see it. Or a function that is called with
            the number of bytes just done, from any thread.

        Returns
        -------
        Artifact
            This one.

        Raises
        ------
        FileMissing
            There is no such file.
        ArtifactDamaged
            The file changed while it was read.
        ArtifactError
            The store cannot be written.

        Notes
        -----
        The name is given last: nobody sees half an upload. Bytes that the store has are not sent again; of a large file
        whose upload was killed only what is missing. Two who upload under one name at once both succeed, and
        the name stands for what the last of them brought.
        """
        store = self.store
        digests = Artifact.digests() if Artifact.digests is not None else None
        named = Upload(store, digests, progress)(source, self.name)
        self._found, self._looked = Names(store).give(named), time.monotonic()
        self._pinned, self._url = False, store.url
        return self

    def download(self, path: PathLike, *, progress: Shown = None) -> Path:
        """Copy it to a local path, or into a directory that is there; returns the path.

        Parameters
        ----------
        progress
            As for `upload`.

        Raises
        ------
        ArtifactMissing
            It is not in the store.
        ArtifactError
            Nothing can be written there; or it is a tree, and something of its name is there already.

        Notes
        -----
        The copy appears when it is whole and verified; a file that was there is replaced then. A download that was
        killed goes on where it was.
        """
        return bring(self.store, self._named(), Path(path), progress)

    def open(self) -> IO[bytes]:
        """An open file that reads ranges straight from the store, for whoever needs a part of it.

        Raises
        ------
        ArtifactMissing
            It is not in the store.
        ArtifactError
            It is a directory.
        """
        found = self._file("open()")
        if self.store.local:
            return self.store.local_path(found.digest, found.size).open("rb")
        return cast(IO[bytes], RangeFile(ObjectRanges(self.store, found.digest, found.size), found.size))

    def path(self) -> Path:
        """A read-only file or directory on this node with these bytes.

        Raises
        ------
        ArtifactMissing
            It is not in the store.
        CacheFull
            No room is left on this node.

        Notes
        -----
        In a task it is good until the task ends. Where the store is a directory, it is the file there; else a
        copy in the cache of this node, which is had once for all processes.
        """
        return copy_here(self.store, self._named())

    def open_dataset(self, **options: Any) -> xr.Dataset:
        """Open it with xarray, lazily: see `daskflow.artifacts.reading.datasets.open_dataset`."""
        return open_dataset(self, **options)

    def open_h5(self, *, staged: bool | None = None) -> h5py.File:
        """Open it with h5py, lazily: see `daskflow.artifacts.reading.datasets.open_h5`."""
        return open_h5(self, staged=staged)

    def url(self, expires: Any = "1 h") -> str:
        """A URL by which anybody can read it, without credentials.

        Parameters
        ----------
        expires
            For how long: seconds, or a text such as `"2 h"`.

        Raises
        ------
        ArtifactError
            The store is no cloud, or it is a directory.
        """
        found = self._file("url()")
        return self.store.url_of(found.digest, _duration(expires), self.name.rpartition("/")[2])

    def stage(self, target: PathLike, *, writable: bool = False, links: bool = True) -> Sharing:
        """Put it at a new local path, for a job that reads it there, with as little copied as can be.

        Parameters
        ----------
        writable
            The job may write to it; then it is a copy.
        links
            It may be a symbolic link, or hold such.

        Returns
        -------
        Sharing
            What to `check()` when the job has ended: that it wrote to nothing that others share.
        """
        return stage(self.store, self._named(), Path(target), Placing(writable, links))

    def remove(self) -> None:
        """Take the name away. The bytes go when they are collected, unless something else needs them.

        Raises
        ------
        ArtifactMissing
            Nobody gave the name.
        """
        names = Names(self.store)
        if not names.take(self.name):
            names.find(self.name)
        if not self._pinned:
            self._found = None

    def pinned(self) -> Artifact:
        """This artifact with the content that it has now, whatever becomes of the name. Raises ArtifactMissing."""
        return _restored(self.name, self._named(), self._url or self.store.url)

    def _fresh(self) -> bool:
        """Whether what the name stood for may be believed: it was looked up just now, and no name was changed here."""
        return time.monotonic() - self._looked < _FRESH and changes(self.store) == self._seen

    @property
    def _fixed(self) -> str:
        return self._found.digest if self._pinned and self._found else ""

    def _file(self, what: str) -> Named:
        found = self._named()
        if found.kind != "file":
            raise ArtifactError(f"The artifact {self.name!r} is a directory, which has no {what}. Use path().")
        return found

    def _named(self) -> Named:
        found = self._found
        if found is None or not (self._pinned or self._fresh()):
            self._seen = changes(self.store)
            found = Names(self.store).find(self.name)
            self._found, self._looked = found, time.monotonic()
        elif found.size < 0:
            tree = found.kind == "tree"
            size = Tree.get(self.store, found.digest).size if tree else self.store.size(found.digest)
            found = self._found = found._replace(size=size)
        return found


def _restored(name: str, found: Named | None, url: str) -> Artifact:
    made = Artifact(name) if found is None else Artifact(name, digest=found.digest, size=found.size, kind=found.kind)
    made._url = url
    return made


def _duration(expires: Any) -> float:
    try:
        found = seconds(expires)
    except ValueError as error:
        raise ArgumentsInvalid(f"url(expires=...): {error}.") from None
    if found <= 0:
        raise ArgumentsInvalid(f"url(expires={expires!r}): give a time that is more than 0.")
    return found
