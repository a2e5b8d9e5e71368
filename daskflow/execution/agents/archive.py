"""Keeps what works have made: brings products, plots and logs into the archive, and verifies what it has brought."""

from __future__ import annotations

import logging
import os
import shutil
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from daskflow.artifacts.contents.digests import digest_path
from daskflow.artifacts.store import ObjectStore
from daskflow.artifacts.uploading import Upload
from daskflow.errors import ArtifactDamaged, DaskflowError
from daskflow.execution.served import names_of
from daskflow.model.work import Work, WorkStatus
from daskflow.stores.sharing import share

ARTIFACT = "artifact:"
"""Begins a path that is the name of an artifact."""
_KINDS = ("products", "plots")
_UPLOADED = "works"
"""First word of the names of artifacts."""
_MANY = 1000

_log = logging.getLogger("daskflow")


class Rest(NamedTuple):
    """What is to be deleted when the work is written."""

    paths: tuple[Path, ...] = ()


class Archivist:
    """Archives what works have made, as their configuration asks for.

    Parameters
    ----------
    directory
        Where copies go, as `YYYYMMDD/PIPELINE/ID/NAME` with the day on which the work was made [UTC]; None: they go
        nowhere, and files are left where they are.
    store
        The artifact store, for what is to be uploaded; without a directory copies go there, where `uploads` says so.
    uploads
        Whether what is to be copied or moved goes to the artifact store.

    Notes
    -----
    A file appears in the archive when it is whole and its digest is that of the original. Nothing in the archive is
    written over: what has another content gets another name; so it is with names of artifacts. Those may read logs who
    may read other files of the agent. What cannot be brought there is left where it is, and the
    log of the work says so. Originals are deleted by `clear`, once the store knows where the copies are. Paths are
    absolute then, also of what is left where it is; URLs, names of artifacts and what is to be bypassed stay as they
    are, and nobody looks whether they are there.
    """

    def __init__(
        self, directory: Path | None = None, store: Callable[[], ObjectStore] | None = None, *, uploads: bool = False
    ) -> None:
        self._directory = None if directory is None else directory.absolute()
        self._store = store
        self._uploads = uploads

    def keep(self, work: Work, log: Path, check: Callable[[], object] = lambda: None) -> Rest:
        """Archive what a work has made, and rewrite its paths; a work fails whose files are not there.

        Parameters
        ----------
        log
            File of all that the attempt printed.
        check
            Called between files; raises to stop.

        Returns
        -------
        Rest
            For `clear`, once the work is written.
        """
        keeping = _Keeping(self, work, check)
        keeping.keep_log(log)
        if work.status is WorkStatus.success and not keeping.misses():
            for kind in _KINDS:
                keeping.keep(kind)
        keeping.tell()
        return Rest(tuple(keeping.rest))

    def clear(self, rest: Rest) -> None:
        """Delete originals of what was archived, and what was to be deleted."""
        for path in rest.paths:
            try:
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                else:
                    path.unlink(missing_ok=True)
            except OSError as error:
                _log.warning("%s is archived, but was not deleted: %s", path, error)

    def takes(self, strategy: str) -> bool:
        """Whether files of a strategy go anywhere."""
        if strategy == "upload" or (strategy in ("copy", "move") and self._uploads):
            return self._store is not None
        return strategy in ("copy", "move") and self._directory is not None

    def bring(self, work: Work, source: Path, strategy: str, name: str) -> str:
        """Bring a file or a directory into the archive; where it is then.

        Raises
        ------
        OSError, DaskflowError
        """
        if strategy == "upload" or self._uploads:
            if self._store is None:
                raise ArtifactDamaged("No artifact store is configured.")
            return f"{ARTIFACT}{_uploaded(source, self._store(), f'{_UPLOADED}/{_place(work)}', name)}"
        if self._directory is None:
            return str(source)
        folder = self._directory / _place(work)
        if self.holds(source):
            return str(source)
        folder.mkdir(parents=True, exist_ok=True)
        return str(_copied(source.resolve(), folder, name, linking=strategy == "move"))

    def holds(self, path: Path) -> bool:
        """Whether a file lies in the archive by itself."""
        # Either may be named by way of a symbolic link.
        return self._directory is not None and path.resolve().is_relative_to(self._directory.resolve())


class _Keeping:
    """The archiving of one work."""

    def __init__(self, archivist: Archivist, work: Work, check: Callable[[], object]) -> None:
        self._archivist = archivist
        self._work = work
        self._check = check
        self._said: list[str] = []
        self._used: dict[str, Path] = {}
        self.rest: list[Path] = []

    def misses(self) -> bool:
        """Whether a file is missing that the work names; then the work fails, whether it is to be archived or not."""
        work = self._work
        for kind in _KINDS:
            if getattr(work.config.archive, kind) != "bypass":
                for path in getattr(work, kind) or ():
                    if not _is_url(path) and not os.path.exists(path):
                        work.status = WorkStatus.failure
                        work.error = f"There is no {path!r}, which the work names among its {kind}."
                        return True
        return False

    def keep(self, kind: str) -> None:
        """Archive products, or plots."""
        work = self._work
        strategy, paths = getattr(work.config.archive, kind), getattr(work, kind)
        if not paths:
            return
        setattr(work, kind, [kept for path in paths if (kept := self._kept(path, strategy)) is not None])

    def _kept(self, path: str, strategy: str) -> str | None:
        self._check()
        source = Path(path).absolute()
        if _is_url(path) or strategy == "bypass":
            return path
        if strategy == "delete":
            if not self._archivist.holds(source):
                self.rest.append(source)
            return None
        if not self._archivist.takes(strategy):
            return str(source)
        try:
            kept = self._archivist.bring(self._work, source, strategy, self._name(source))
        except (OSError, DaskflowError, shutil.Error) as error:
            self._said.append(f"{path} is not archived, and left where it is: {error}")
            return str(source)
        if strategy == "move" and not self._archivist.holds(source) and not _is_kept(source, kept):
            self.rest.append(source)
        return kept

    def _name(self, source: Path) -> str:
        """A name that no other file of this work has."""
        for name in _names(source.name):
            if self._used.setdefault(name, source) == source:
                return name
        raise ArtifactDamaged(f"More than {_MANY} files have the name {source.name}.")

    def keep_log(self, log: Path) -> None:
        """Archive the log."""
        work, strategy = self._work, self._work.config.archive.logs
        if strategy == "delete":
            work.log = None
        elif self._archivist.takes(strategy) and log.is_file() and log.stat().st_size:
            name = f"log-{work.attempt}.txt"
            self._used[name] = log
            try:
                share(log)
                # The log itself goes with the directory of the attempt.
                self._archivist.bring(work, log, strategy, name)
            except (OSError, DaskflowError) as error:
                self._said.append(f"The whole log is not archived: {error}")

    def tell(self) -> None:
        """Write what did not go well into the log of the work."""
        if self._said:
            lines = "\n".join(f"daskflow: {line}" for line in self._said)
            self._work.log = f"{self._work.log.rstrip()}\n{lines}\n" if self._work.log else f"{lines}\n"
            for line in self._said:
                _log.warning("%s: %s", self._work.id, line)


def _place(work: Work) -> str:
    day = time.strftime("%Y%m%d", time.gmtime(work.creation or 0.0))
    return f"{day}/{work.pipeline}/{work.id}"


def _is_kept(source: Path, kept: str) -> bool:
    """Whether a file is the very one that is kept, by another way: to delete it would be to delete that."""
    if _is_url(kept):
        return False
    real, other = source.resolve(), Path(kept)
    try:
        if not real.samefile(other):
            return False
        # A file that was moved by a link has two names at this moment.
        here = real.name == other.name and real.parent.samefile(other.parent)
        return here or other.is_dir() or other.stat().st_nlink == 1
    except OSError:  # whatever it is, it is not there to be deleted
        return True


def _is_url(path: str) -> bool:
    return "://" in path or path.startswith(ARTIFACT)


def _names(name: str) -> list[str]:
    stem, dot, end = name.partition(".")
    if not stem:
        stem, dot, end = name, "", ""
    return [name, *[f"{stem}-{number}{dot}{end}" for number in range(2, _MANY)]]


def _uploaded(source: Path, store: ObjectStore, folder: str, name: str) -> str:
    """Bring a file or directory into a store, under a name that stands for nothing else there."""
    names = names_of(store)
    named = Upload(store, None, False)(source, f"{folder}/{name}")
    for candidate in _names(name):
        found = names.claim(named._replace(name=f"{folder}/{candidate}"))
        if (found.digest, found.kind) == (named.digest, named.kind):
            return found.name
    raise ArtifactDamaged(f"{folder} has more than {_MANY} files of the name {name}.")


def _copied(source: Path, folder: Path, name: str, *, linking: bool) -> Path:
    """Copy a file or directory into a folder, under a name that nothing of another content has."""
    part = folder / f".{uuid.uuid4().hex}.part"
    try:
        digest = _copy(source, part, linking=linking)
        for candidate in _names(name):
            target = folder / candidate
            if _took(part, target) or (target.exists() and digest_path(target) == digest):
                _sync(folder)
                return target
        raise ArtifactDamaged(f"{folder} has more than {_MANY} files of the name {name}.")
    finally:
        _discard(part)


def _copy(source: Path, part: Path, *, linking: bool) -> str:
    """Copy what the name will be given to; its digest."""
    digest = digest_path(source)
    if source.is_dir():
        shutil.copytree(source, part, copy_function=_copy_file)
    elif linking:
        # On the same file system moving takes no time, and the original is there until it is unlinked.
        try:
            os.link(source, part)
            return digest
        except OSError:
            _copy_file(source, part)
    else:
        _copy_file(source, part)
    if digest_path(part) != digest:
        raise ArtifactDamaged(f"The copy of {source} differs from it; it changed meanwhile, or the disk is damaged.")
    return digest


def _copy_file(source: str | Path, target: str | Path) -> None:
    shutil.copyfile(source, target)
    with suppress(OSError):  # a file system that has no such bits
        shutil.copystat(source, target)
    descriptor = os.open(target, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _took(part: Path, target: Path) -> bool:
    """Give the name, if nobody has it."""
    try:
        if part.is_dir():
            # A directory takes the place of an empty one only.
            if target.exists():
                return False
            os.rename(part, target)
            return True
        os.link(part, target)
    except FileExistsError:
        return False
    except OSError:
        if target.exists():
            return False
        if part.is_dir():
            raise
        # A file system without links: the name is taken first.
        try:
            os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        except FileExistsError:
            return False
        os.replace(part, target)
    return True


def _sync(folder: Path) -> None:
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _discard(part: Path) -> None:
    if part.is_dir():
        shutil.rmtree(part, ignore_errors=True)
    else:
        with suppress(OSError):
            part.unlink(missing_ok=True)
