"""The folder of one batch job, which driver and nodes share: what it was handed, and what it gave."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shlex
import shutil
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

_LENGTH = struct.Struct(">Q")
_UNFIT = re.compile(r"[^A-Za-z0-9_.-]+")
_WRITTEN = "?"
"""Stands for the id of a batch job that is being written down."""


class Begun(NamedTuple):
    """Who performs, or that nobody ever will."""

    id: str = ""
    """Of the batch job; empty: the driver took it back before it began."""
    node: str = ""
    host: str = ""
    pid: int = 0


class ErrandFolder:
    """The folder of one batch job, the only class that knows the names in it.

    Parameters
    ----------
    path
        The folder.

    Notes
    -----
    What is read from it is unpickled: only its owner may enter it. Driver and batch job never write the same file, but
    for the id, which both know, and for the mark that it has begun, which is the first one's that makes it.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    def __repr__(self) -> str:
        return f"<ErrandFolder {self.path}>"

    @property
    def number(self) -> int:
        """The how-manieth folder of its job this is; counts from 1."""
        return int(self.path.name.rpartition(".")[2])

    @property
    def log(self) -> str:
        """Path of what the batch job prints."""
        return str(self.path / "log")

    @property
    def id_note(self) -> str:
        """Path of the file in which a batch job writes its id as the first thing."""
        return str(self.path / "id")

    @property
    def end_note(self) -> str:
        """Path of the file in which a batch job writes its exit code as the last thing."""
        return str(self.path / "ended")

    @property
    def not_own(self) -> str:
        """Shell text that is true where another batch job than `$daskflow_id` performs it, or nobody ever will."""
        mark = shlex.quote(str(self.path / "begun"))
        return f'[ -s {mark} ] && ! grep -qF "\\"id\\": \\"$daskflow_id\\"" {mark}'

    @property
    def scratch(self) -> str:
        """Directory for what all nodes of a batch job have to see."""
        return str(self.path / "scratch")

    # The driver's side.

    def hand(self, content: bytes) -> None:
        """Leave what is to be performed."""
        self._write("handed", content)

    def note_script(self, script: str) -> None:
        """Keep the job script, for people."""
        self._write("script", script.encode())

    def note_id(self, id: str) -> None:
        """Note under which id the batch system knows it."""
        self._write("id", id.encode())

    @property
    def id(self) -> str:
        """Id of the batch job; empty where nobody has noted it."""
        return self._text("id").strip()

    def names(self) -> set[str]:
        """What is there. The directory is read anew, since file servers let nodes see new names late."""
        try:
            return set(os.listdir(self.path))
        except OSError:
            return set()

    @staticmethod
    def done(names: set[str]) -> bool:
        """Whether its result is among these names."""
        return "result" in names

    @staticmethod
    def over(names: set[str]) -> bool:
        """Whether its script has ended, with or without a result."""
        return "ended" in names

    @staticmethod
    def going(names: set[str]) -> bool:
        """Whether it has begun, or never will."""
        return "begun" in names

    @staticmethod
    def told(names: set[str]) -> bool:
        """Whether its driver has taken note of what became of it."""
        return "told" in names

    def result(self) -> bytes:
        """The records of what was performed."""
        return (self.path / "result").read_bytes()

    @property
    def begun(self) -> Begun | None:
        """Who performs it; None as long as nobody does."""
        text = self._text("begun")
        if not text and "begun" not in self.names():
            return None
        try:
            return Begun(**json.loads(text))
        except (ValueError, TypeError):  # it is being written
            return Begun(_WRITTEN)

    @property
    def performer(self) -> str:
        """Id of the batch job that performs it, or did; empty where nobody is known to."""
        begun = self.begun
        return "" if begun is None or begun.id == _WRITTEN else begun.id

    @property
    def exit_code(self) -> int | None:
        """What its script ended with; None where that is not known."""
        text = self._text("ended").strip()
        return int(text) if text.isdigit() else None

    def take_back(self) -> bool:
        """See that it never begins; False where it has."""
        return self._first("begun", Begun())

    def records(self, start: int) -> tuple[list[bytes], int]:
        """What it has told while it ran, from some byte on, and where the next ones begin."""
        try:
            with open(self.path / "records", "rb") as file:
                file.seek(start)
                content = file.read()
        except OSError:
            return [], start
        found, at = [], 0
        while len(content) >= at + _LENGTH.size:
            end = at + _LENGTH.size + _LENGTH.unpack_from(content, at)[0]
            if end > len(content):  # it is being written
                break
            found.append(content[at + _LENGTH.size : end])
            at = end
        return found, start + at

    @property
    def heard(self) -> int:
        """How much of what it told a driver has heard already [bytes]."""
        text = self._text("heard")
        return int(text) if text.isdigit() else 0

    def note_heard(self, size: int) -> None:
        """Note how much of what it told was heard [bytes]."""
        self._write("heard", str(size).encode())

    def log_tail(self, lines: int = 12, size: int = 4000) -> str:
        """The last lines of its log."""
        try:
            with open(self.log, "rb") as file:
                file.seek(max(0, os.fstat(file.fileno()).st_size - size))
                text = file.read().decode(errors="replace")
        except OSError:
            return ""
        return "\n".join(text.strip().splitlines()[-lines:])

    def retire(self, *, keep_log: bool) -> None:
        """Nobody needs it any more; of one that went wrong script and log stay for a while."""
        if not keep_log:
            shutil.rmtree(self.path, ignore_errors=True)
            return
        with contextlib.suppress(OSError):
            self._write("told", b"")
            for name in ("handed", "result", "records", "heard"):
                (self.path / name).unlink(missing_ok=True)
            shutil.rmtree(self.scratch, ignore_errors=True)

    # The batch job's side.

    def handed(self) -> bytes:
        """What is to be performed."""
        return (self.path / "handed").read_bytes()

    def begin(self, begun: Begun) -> bool:
        """Say that it is performed from now on; False where it must not be.

        The batch system may have put the job into its queue again: then it begins once more.
        """
        if not self._first("begun", begun):
            before = self.begun
            if before is None or before.id != begun.id:
                return False
            self._write("begun", json.dumps(begun._asdict()).encode())
        with contextlib.suppress(OSError):  # an end that was noted before is not that of who performs from now on
            (self.path / "ended").unlink(missing_ok=True)
        return True

    def tell(self, record: bytes) -> None:
        """Tell something at once."""
        descriptor = os.open(self.path / "records", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(descriptor, _LENGTH.pack(len(record)) + record)
        finally:
            os.close(descriptor)

    def give(self, records: bytes) -> None:
        """Leave the records of what was performed, all at once."""
        self._write("result", records)

    def _text(self, name: str) -> str:
        try:
            return (self.path / name).read_text()
        except OSError:
            return ""

    def _write(self, name: str, content: bytes) -> None:
        draft = self.path / f".{name}-{os.getpid()}"
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, self.path / name)

    def _first(self, name: str, begun: Begun) -> bool:
        """Make a file that nobody else has made; with its content at once, where the file system has links."""
        draft = self.path / f".{name}-{os.urandom(4).hex()}"
        content = json.dumps(begun._asdict()).encode()
        try:
            draft.write_bytes(content)
            try:
                os.link(draft, self.path / name)
            except FileExistsError:
                return False
            except OSError:
                with open(self.path / name, "xb") as file:
                    file.write(content)
        except (FileExistsError, FileNotFoundError):
            return False
        finally:
            draft.unlink(missing_ok=True)
        return True


class RunFolder:
    """Where the folders of one run's batch jobs lie.

    Parameters
    ----------
    home
        Directory that driver and nodes share.
    run
        Id of the run.
    """

    def __init__(self, home: str, run: str) -> None:
        self.path = Path(home).expanduser().absolute() / "jobs" / _fit(run or "none")

    @property
    def lock(self) -> Path:
        """File that the driver of the run holds locked."""
        return self.path / ".driver"

    def make(self) -> None:
        """Make it, for its owner only."""
        self.path.mkdir(parents=True, exist_ok=True, mode=0o700)

    def all(self) -> Iterator[ErrandFolder]:
        """All folders that are there."""
        for path in self.path.glob("*.*[0-9]") if self.path.is_dir() else ():
            if path.is_dir() and path.name.rpartition(".")[2].isdigit():
                yield ErrandFolder(path)

    def of(self, job: str) -> list[ErrandFolder]:
        """The folders of one job, the latest first."""
        stem = _stem(job)
        found = [folder for folder in self.all() if folder.path.name.rpartition(".")[0] == stem]
        return sorted(found, key=lambda folder: -folder.number)

    def new(self, job: str) -> ErrandFolder:
        """A new folder for a job."""
        self.make()
        before = self.of(job)
        number = before[0].number + 1 if before else 1
        while True:
            path = self.path / f"{_stem(job)}.{number}"
            with contextlib.suppress(FileExistsError):
                path.mkdir(mode=0o700)
                return ErrandFolder(path)
            number += 1


def _stem(job: str) -> str:
    return f"{_fit(job)}-{hashlib.blake2s(job.encode(), digest_size=4).hexdigest()}"


def _fit(name: str) -> str:
    """A name that every file system takes."""
    return _UNFIT.sub("_", name).lstrip(".")[:100] or "_"
