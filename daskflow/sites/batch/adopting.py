"""Finds the batch jobs that an earlier driver of the same run has left behind, so that nothing is submitted twice."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Sequence
from typing import NamedTuple

from daskflow.errors import RunBusy
from daskflow.sites.batch.errand import Errand
from daskflow.sites.batch.folder import ErrandFolder, RunFolder
from daskflow.sites.batch.system import BatchSystem, Phase


class Locks:
    """The runs whose batch jobs this driver looks after.

    Notes
    -----
    A lock goes with its process, however that ends. Where the file system has no locks there is none: the journal
    keeps two drivers from one run, too.
    """

    def __init__(self) -> None:
        self._held: dict[str, int] = {}

    def hold(self, folders: RunFolder) -> None:
        """Be the only one who looks after the batch jobs of a run.

        Raises
        ------
        RunBusy
            Another driver does.
        """
        name = str(folders.lock)
        if name in self._held:
            return
        folders.make()
        descriptor = os.open(name, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            os.close(descriptor)
            raise RunBusy(
                f"Another driver looks after the batch jobs of this run: it holds {name} locked. Wait for it, or end "
                "it; then resume the run."
            ) from None
        except OSError:  # no locks here
            pass
        self._held[name] = descriptor

    def release(self) -> None:
        """Let others look after all runs."""
        held, self._held = self._held, {}
        for name, descriptor in held.items():
            folder, lock = os.path.split(name)
            with contextlib.suppress(OSError):
                if os.listdir(folder) == [lock]:
                    os.unlink(name)
                    os.rmdir(folder)
            os.close(descriptor)


class Found(NamedTuple):
    """What became of an errand that was looked for."""

    errand: Errand
    left: ErrandFolder | None = None
    """The folder in which it is performed, or was; None: it has to be submitted."""
    id: str = ""
    """Of its batch job."""
    dead: ErrandFolder | None = None
    """The folder of a batch job that will never begin."""


def adopt(errands: Sequence[Errand], system: BatchSystem) -> list[Found]:
    """Look for batch jobs that perform errands already, in the order of these; the batch system is asked once for all.

    Raises
    ------
    BatchError
        It does not answer: nobody knows what goes on.
    """
    found: list[Found] = []
    open_: list[tuple[Errand, ErrandFolder, str]] = []
    for errand in errands:
        folder = _left(errand)
        if folder is None:
            found.append(Found(errand))
        elif folder.done(folder.names()):
            found.append(Found(errand, folder, _id(folder)))
        else:
            open_.append((errand, folder, _id(folder)))
    ids = [id for _, _, id in open_ if id]
    standings = system.standings(ids) if ids else {}
    for errand, folder, known in open_:
        standing = standings.get(known) if known else None
        lives = standing is not None and standing.phase is not Phase.ended
        # What has not begun may yet, where nobody knows its id: not any more. What has may have left a result that is
        # not seen so soon, and the batch system may know how it ended: who follows it waits, and asks.
        done = folder.done(folder.names())
        dead = not (done or lives) and folder.take_back()
        id = _id(folder) or known
        found.append(Found(errand, folder, id) if done or (id and not dead) else Found(errand, dead=folder))
    order = {errand.key: number for number, errand in enumerate(errands)}
    return sorted(found, key=lambda one: order[one.errand.key])


def _id(folder: ErrandFolder) -> str:
    """Id of the batch job of a folder; of two, since the first submission got no answer, of the one that is at it."""
    return folder.performer or folder.id


def _left(errand: Errand) -> ErrandFolder | None:
    """The latest folder of an errand that nobody has taken note of."""
    for folder in errand.folders.of(errand.job):
        names = folder.names()
        if folder.told(names):
            continue
        begun = folder.begun if folder.going(names) else None
        if begun is None or begun.id:  # else it was taken back
            return folder
    return None
