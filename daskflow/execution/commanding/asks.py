"""The folder in which one attempt at a command job is asked for something, and answers."""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hmac import compare_digest
from typing import Any

from daskflow.artifacts.forms.signing import SIGNATURE, Signer
from daskflow.commands.scratch import remove
from daskflow.errors import SignatureWrong
from daskflow.execution.commanding.following import live_paths

_FORMAT = "asks"
_NEW = ".new"
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# A pipe that somebody has put there must not keep us waiting.
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_WRITE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Asks:
    """The folder in which one attempt is asked, below the logs of its run, where its node and the driver see it.

    Parameters
    ----------
    logs
        The logs of the run.
    run, key, attempt
        Of which attempt.
    signer
        Signs what is written, and checks what is read.

    Notes
    -----
    What lies there is commands, and the directory around it may be open to others. So the folder is made by the node
    (0700), and nothing is done in one that is somebody else's, or that others may enter; nothing is read that is
    somebody else's, or no file; and all is signed, for this attempt and under its name.
    """

    def __init__(self, logs: str, run: str, key: str, attempt: int, signer: Signer) -> None:
        self.path = live_paths(logs, key, attempt)[0].with_suffix(".asks")
        """The folder."""
        self._about = [run, key, attempt]
        self._signer = signer

    def make(self) -> bool:
        """Make the folder, for a node; False where that is not possible: nobody can ask then."""
        with suppress(OSError):  # it is mostly not there
            # An attempt that was killed with its driver has left its own, and had perhaps this number.
            if self.path.lstat().st_uid == os.geteuid():
                remove(self.path)
        try:
            self.path.mkdir(mode=0o700)
        except OSError:
            return False
        return True

    def close(self) -> None:
        """Remove the folder; where answers lie in it those who have asked have to."""
        with suppress(OSError):
            self.path.rmdir()

    def names(self) -> set[str]:
        """What lies there now. Raises OSError where there is no such folder, or it is not safe."""
        # Not whether a file exists: what was not there network file systems take for absent for a long time.
        with self._opened() as folder:
            return set(os.listdir(folder))

    def write(self, name: str, value: Any) -> None:
        """Write something that JSON can hold, so that who sees it sees all of it."""
        body = json.dumps([self._about, name, value]).encode()
        data = body + self._signer.sign(_FORMAT, [body])
        with self._opened() as folder:
            with open(os.open(name + _NEW, _WRITE, 0o600, dir_fd=folder), "wb") as file:
                file.write(data)
            os.replace(name + _NEW, name, src_dir_fd=folder, dst_dir_fd=folder)

    def read(self, name: str, written: str = "") -> Any:
        """What was written.

        Parameters
        ----------
        written
            The name under which it was, where it was renamed since.

        Raises
        ------
        SignatureWrong
            Somebody else wrote it, or for something else.
        OSError
            It is not there.
        """
        with self._opened() as folder, open(os.open(name, _READ, dir_fd=folder), "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid():
                raise SignatureWrong(f"{self.path / name} was written by another user: nothing of it is done.")
            data = file.read()
        body = data[:-SIGNATURE]
        if compare_digest(self._signer.sign(_FORMAT, [body]), data[-SIGNATURE:]):
            about, named, value = json.loads(body)
            if (about, named) == (self._about, written or name):
                return value
        raise SignatureWrong(
            f"{self.path / name} was not written with the signing key {self._signer.id} for this attempt: nothing of "
            "it is done. Let `signing_key` in the configuration name a file that is the same everywhere."
        )

    def rename(self, name: str, new: str) -> None:
        """Give a file another name; of several who do so one succeeds."""
        with self._opened() as folder:
            os.rename(name, new, src_dir_fd=folder, dst_dir_fd=folder)

    def remove(self, *names: str) -> None:
        """Remove files, as far as they are there."""
        with suppress(OSError), self._opened() as folder:
            for name in (*names, *[name + _NEW for name in names]):
                with suppress(OSError):
                    os.unlink(name, dir_fd=folder)

    @contextmanager
    def _opened(self) -> Iterator[int]:
        """A descriptor of the folder: whatever its name leads to meanwhile, this is the one that was looked at."""
        folder = os.open(self.path, _FOLDER)
        try:
            status = os.fstat(folder)
            if status.st_uid != os.geteuid() or status.st_mode & 0o077:
                raise PermissionError(errno.EPERM, "it belongs to another user, or others may enter it", str(self.path))
            yield folder
        finally:
            os.close(folder)
