"""The folder of one service, in which all who have to do with it leave notes for each other."""

from __future__ import annotations

import json
import os
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from daskflow.errors import StoreUnavailable
from daskflow.sites.batch.service import ServiceRecord
from daskflow.sites.batch.system import Certificate

_SERVICES = "services"
_NEW, _GONE = ".new-", ".gone-"
_FORGOTTEN = 3600.0
"""What a process left that was killed while it made or removed a folder is removed after this time [s]."""
_TAIL = 1 << 20
"""So much of the end of a log is searched for its last lines [bytes]."""


class Began(NamedTuple):
    """The note that a service leaves when it has begun."""

    id: str
    """Of its batch job."""
    node: str
    time: float
    """Seconds since the epoch [s]."""


class Missed(NamedTuple):
    """The note that is left when a service is not in the batch system any more, which has not said how it ended."""

    id: str
    """Of its batch job."""
    time: float
    """When that was seen first; seconds since the epoch [s]."""


class Ended(NamedTuple):
    """The note that a service leaves when it has ended."""

    code: int
    """Exit code, as shells tell it."""
    text: str
    """How it ended, in words; empty: well."""
    error: str
    """Name of the error class; empty: it ended well."""
    stopped: bool
    """Whether it had been told to stop from outside."""
    time: float
    """Seconds since the epoch [s]."""
    memory: int
    """Peak memory [bytes]."""
    cpu: float
    """[s]"""


class ServiceFolder:
    """The folder of one service. Nobody else knows the names of what is in it.

    Parameters
    ----------
    home
        The directory that the driver and the nodes of a site share.
    name
        Of the service.

    Notes
    -----
    Only its user may read it: its record has the variables of the command. Each note is written once, at its place by
    one rename, so that a reader sees all of it or nothing, and a writer may be killed at any instant.

    One batch job owns a service, the first that begins: where an answer of the batch system got lost there may be two.
    """

    def __init__(self, home: str | os.PathLike[str], name: str) -> None:
        self.name = name
        self.path = Path(home, _SERVICES, name)
        self.log = self.path / "log"
        """What the service prints."""
        self._record = self.path / "record.json"
        self._station = self.path / "station"
        self._id = self.path / "id"
        self._owner = self.path / "owner"
        self._killed = self.path / "killed.json"
        self._began = self.path / "began.json"
        self._ended = self.path / "ended.json"
        self._certificate = self.path / "certificate.json"
        self._missed = self.path / "missed.json"

    @classmethod
    def all(cls, home: str | os.PathLike[str]) -> list[ServiceFolder]:
        """The folders of all services of a site, by their names."""
        try:
            names = sorted(os.listdir(Path(home, _SERVICES)))
        except FileNotFoundError:
            return []
        return [cls(home, name) for name in names if not name.startswith(".")]

    def make(self, record: ServiceRecord, station: bytes) -> bool:
        """Write the record of a service before it is submitted; whether its name was free.

        Raises
        ------
        StoreUnavailable
            The shared directory cannot be written to.
        """
        new = self.path.with_name(f"{_NEW}{uuid.uuid4().hex}")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            new.mkdir(mode=0o700)
            _write(new / self._record.name, record.model_dump_json().encode())
            if station:
                _write(new / self._station.name, station)
            try:
                # A directory takes the place of nothing but an empty one.
                os.rename(new, self.path)
            except OSError:
                if not self.path.exists():
                    raise
                return False
        except OSError as error:
            raise StoreUnavailable(
                f"The service {self.name!r} cannot be recorded in {self.path.parent} ({error.strerror}). "
                "Nothing was submitted. Give the site another shared directory."
            ) from error
        finally:
            shutil.rmtree(new, ignore_errors=True)
        return True

    def refresh(self) -> None:
        """See what others noted lately: file servers let a machine go on for a while with names it found missing."""
        with suppress(OSError):
            os.listdir(self.path)

    def record(self) -> ServiceRecord | None:
        """The service; None: there is none, or a newer daskflow wrote its record."""
        try:
            return ServiceRecord.model_validate_json(self._record.read_bytes())
        except (OSError, ValidationError):
            return None

    def station(self) -> bytes:
        """What its node needs to run images; empty where it runs in none."""
        with suppress(FileNotFoundError):
            return self._station.read_bytes()
        return b""

    def note_id(self, id: str) -> None:
        """Note the id of its batch job."""
        _write(self._id, id.encode())

    def id(self) -> str:
        """Id of the batch job that owns it; before that the one that who submitted it was told; empty: not known."""
        return _text(self._owner) or _text(self._id)

    def note_killed(self) -> None:
        """Note that it is to be killed: it obeys even where the batch system does not answer."""
        _write(self._killed, json.dumps(time.time()).encode())

    def killed(self) -> float | None:
        """When somebody killed it, in seconds since the epoch [s]; None: nobody did."""
        found = _read(self._killed)
        return None if found is None else float(found)

    def begin(self, began: Began) -> bool:
        """Note that it has begun; False where it must not, since another batch job owns it, or it is gone.

        A batch job that was put into the queue again begins again.
        """
        try:
            if not self._own(began.id):
                return False
            _write(self._began, json.dumps(began).encode())
        except FileNotFoundError:
            return False
        return True

    def _own(self, id: str) -> bool:
        """Have a batch job own it; False where another one does."""
        if _first(self._owner, id.encode()):
            return True
        # It may have been put into the queue again, and file servers repeat a call whose answer got lost.
        self.refresh()
        return _text(self._owner) == id

    def began(self) -> Began | None:
        """How it began; None: not yet."""
        found = _read(self._began)
        return None if found is None else Began(*found)

    def note_ended(self, ended: Ended) -> None:
        """Note how it ended."""
        _write(self._ended, json.dumps(ended).encode())

    def ended(self) -> Ended | None:
        """How it ended, as it says itself; None: it has not, or could not say it."""
        found = _read(self._ended)
        return None if found is None else Ended(*found)

    def note_certificate(self, certificate: Certificate) -> None:
        """Keep what the batch system says of its end, which forgets it after a while; no other batch job begins now."""
        with suppress(OSError):
            if self._own(certificate.id):
                _write(self._certificate, json.dumps(certificate).encode())

    def certificate(self) -> Certificate | None:
        """What the batch system said of its end; None: it was not asked, or did not know."""
        found = _read(self._certificate)
        certificate = None if found is None else Certificate(*found)
        # Of a batch job that does not own it it tells nothing.
        return certificate if certificate is not None and certificate.id == self.id() else None

    def note_missed(self, missed: Missed | None) -> None:
        """Note since when it is missed in the batch system; None: it is there again."""
        with suppress(OSError):
            if missed is None:
                self._missed.unlink(missing_ok=True)
            else:
                _write(self._missed, json.dumps(missed).encode())

    def missed(self) -> Missed | None:
        """Since when it is missed in the batch system; None: it is not."""
        found = _read(self._missed)
        return None if found is None else Missed(*found)

    def tail(self, lines: int | None = None) -> str:
        """What it printed, or the last lines of that."""
        return self.printed(self.place(lines)).decode(errors="replace")

    def place(self, lines: int | None) -> int:
        """Where the last lines of its log begin [bytes]; None: where all of it does."""
        if lines is None or not self.log.exists():
            return 0
        with open(self.log, "rb") as file:
            start = max(0, file.seek(0, os.SEEK_END) - _TAIL)
            file.seek(start)
            found = file.read()
        return start + len(found) - len(b"".join(found.splitlines(keepends=True)[-lines:] if lines else []))

    def printed(self, since: int) -> bytes:
        """What its log holds from some byte on."""
        try:
            with open(self.log, "rb") as file:
                file.seek(since)
                return file.read()
        except FileNotFoundError:
            return b""

    def remove(self, token: str) -> bool:
        """Remove the folder with all that is in it, unless another service has the name by now; whether it did."""
        gone = self.path.with_name(f"{_GONE}{uuid.uuid4().hex}")
        try:
            os.rename(self.path, gone)
        except FileNotFoundError:
            return False
        moved = ServiceFolder(gone.parents[1], gone.name)
        found = moved.record()
        if found is not None and found.token != token:
            # Somebody was quicker, and has spawned another one.
            with suppress(OSError):
                os.rename(gone, self.path)
            return False
        shutil.rmtree(gone, ignore_errors=True)
        return True


def sweep(home: str | os.PathLike[str]) -> None:
    """Remove what processes left that were killed while they made or removed the folder of a service."""
    for path in _hidden(Path(home, _SERVICES)):
        with suppress(OSError):
            if path.stat().st_mtime < time.time() - _FORGOTTEN:
                shutil.rmtree(path, ignore_errors=True)


def _hidden(folder: Path) -> Iterator[Path]:
    with suppress(OSError):
        yield from [path for path in folder.iterdir() if path.name.startswith((_NEW, _GONE))]


def _write(path: Path, content: bytes) -> None:
    os.replace(_draft(path, content), path)


def _first(path: Path, content: bytes) -> bool:
    """Make a file that nobody else has made; with its content at once, where the file system has links."""
    draft = _draft(path, content)
    try:
        os.link(draft, path)
    except FileExistsError:
        return False
    except OSError:
        try:
            _make(path, content)
        except FileExistsError:
            return False
    finally:
        draft.unlink(missing_ok=True)
    return True


def _draft(path: Path, content: bytes) -> Path:
    """A new file beside its place, with its content."""
    new = path.with_name(f"{_NEW}{uuid.uuid4().hex}")
    _make(new, content)
    return new


def _make(path: Path, content: bytes) -> None:
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        # Nodes may look at once, by another way.
        os.fsync(file.fileno())


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
