"""Unpacks archives, and trusts none of them."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import secrets
import shutil
import stat
import tarfile
import time
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, NamedTuple

from daskflow.commands.scratch import FULL, checked_name, remove
from daskflow.errors import ArchiveRefused, DaskflowError, PathRefused, ScratchFull

_OPENERS: dict[bytes, Any] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\x00": lzma.open}
_ZIP = (b"PK\x03\x04", b"PK\x05\x06")
_SUFFIXES = {".gz", ".bz2", ".xz"}
_CHUNK = 1 << 20
_RESERVE = 1 << 26
"""So much stays free on the disk [bytes]."""


class Member(NamedTuple):
    """A member of an archive."""

    name: str
    """Its path."""
    kind: str
    """`f` file, `d` directory, `l` symbolic link, `h` hard link, `?` anything else."""
    size: int = 0
    """Size of a file, as the archive says [bytes]."""
    executable: bool = False
    """Whether it is a program."""
    target: str = ""
    """Where a link leads to."""
    content: IO[bytes] | None = None
    """Its bytes."""
    time: float | None = None
    """When it was changed last [s since the epoch]."""


def unpack(archive: Path, target: Path, *, name: str = "") -> None:
    """Unpack an archive into a directory: tar, also compressed, zip, or a single file compressed by gzip, bzip2 or xz.

    Parameters
    ----------
    archive
        The archive. What it is is told by its content.
    target
        The directory; made where it is not there. Files there of the same name are replaced.
    name
        Name of the archive, by which a single file is called; by default that of its path.

    Raises
    ------
    ArchiveRefused
        It is damaged or no archive, or a member of it leads out of the directory, or is neither file, directory nor
        link.
    ScratchFull
        What is in it finds no room.

    Notes
    -----
    Where it raises, nothing of the archive is there. It is unpacked beside the directory's other files and then moved:
    first all that is no link, so that nothing can be written through one, and then the links, whose targets have to lie
    inside. Files keep their times and whether they are programs, and nothing else of their modes and owners.
    """
    name = name or archive.name
    fresh = target / f".unpacking-{secrets.token_hex(8)}"
    try:
        fresh.mkdir(parents=True)
        _Unpacking(fresh, name).unpack(archive)
        _merge(fresh, target, name)
    except PathRefused as error:
        raise ArchiveRefused(f"{name!r} would write elsewhere. {error}") from None
    except DaskflowError:
        raise
    except OSError as error:
        if error.errno in FULL:
            raise ScratchFull(f"{name!r} finds no room in {target}. Free some space.") from error
        raise ArchiveRefused(f"{name!r} cannot be unpacked: {error.strerror or error}.") from error
    except Exception as error:
        # What is damaged, encrypted or of an unknown kind makes the libraries raise all sorts of things.
        raise ArchiveRefused(f"{name!r} cannot be unpacked: {error}.") from error
    finally:
        if fresh.exists():
            remove(fresh)


class _Unpacking:
    """Unpacks into a directory that nobody else uses."""

    def __init__(self, root: Path, name: str) -> None:
        self._root = root
        self._name = name
        self._links: dict[tuple[str, ...], str] = {}
        self._room = shutil.disk_usage(root).free - _RESERVE

    def unpack(self, archive: Path) -> None:
        for member in _members(archive, self._name):
            if member.kind == "d" and member.name.strip("./") == "":
                continue
            self._add(member, tuple(checked_name(member.name).split("/")))
        self._check_links()
        for parts, target in self._links.items():
            path = self._root.joinpath(*parts)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.symlink_to(target)

    def _add(self, member: Member, parts: tuple[str, ...]) -> None:
        path = self._root.joinpath(*parts)
        # A later member takes the place of an earlier one, as everywhere.
        self._links.pop(parts, None)
        if member.kind == "l":
            path.unlink(missing_ok=True)
            self._links[parts] = member.target
        elif member.kind == "d":
            path.mkdir(parents=True, exist_ok=True)
        elif member.kind == "h":
            self._link(path, member)
        elif member.kind == "f":
            self._write(path, member)
        else:
            raise ArchiveRefused(
                f"{self._name!r} cannot be unpacked: {member.name!r} is neither a file, a directory nor a link."
            )

    def _write(self, path: Path, member: Member) -> None:
        self._take(member.size, claimed=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with open(os.open(path, flags, 0o755 if member.executable else 0o644), "wb") as file:
            while member.content is not None and (chunk := member.content.read(_CHUNK)):
                self._take(len(chunk))
                file.write(chunk)
        if member.time is not None:
            # Whoever builds a program from an archive goes by what is older than what.
            with suppress(OSError, OverflowError, ValueError):
                os.utime(path, (member.time, member.time))

    def _take(self, size: int, *, claimed: bool = False) -> None:
        """See that so many bytes find room."""
        if size > self._room:
            raise ScratchFull(f"{self._name!r} holds more than finds room on the disk. Free some space.")
        self._room -= 0 if claimed else size

    def _link(self, path: Path, member: Member) -> None:
        source = self._root / checked_name(member.target)
        if not source.is_file():
            raise ArchiveRefused(
                f"{self._name!r} cannot be unpacked: {member.name!r} is a link to {member.target!r}, which is no file "
                "before it."
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.hardlink_to(source)

    def _check_links(self) -> None:
        """See that all links stay inside.

        One that goes up only within real directories, and down from there, ends inside, since all others do too.
        """
        for parts, target in self._links.items():
            if not self._stays(parts, target):
                raise ArchiveRefused(
                    f"{self._name!r} would write elsewhere: its link {'/'.join(parts)!r} leads to {target!r}."
                )

    def _stays(self, parts: tuple[str, ...], target: str) -> bool:
        if any(parts[:length] in self._links for length in range(1, len(parts))):
            return False
        place, passed = list(parts[:-1]), False
        for part in target.split("/"):
            if part == "..":
                if passed or not place:
                    return False
                place.pop()
            elif part not in ("", "."):
                place.append(part)
                passed = passed or tuple(place) in self._links
        return bool(target) and not target.startswith("/")


def _members(archive: Path, name: str) -> Iterator[Member]:
    """The members, one after the other; each is to be read before the next one."""
    with open(archive, "rb") as file:
        head = file.read(8)
    if head.startswith(_ZIP):
        yield from _zipped(archive)
        return
    opener = next((opener for magic, opener in _OPENERS.items() if head.startswith(magic)), None)
    if opener is None:
        with tarfile.open(archive, "r:") as tar:
            yield from _tarred(tar)
        return
    if _holds_tar(archive, opener):
        with opener(archive) as file, tarfile.open(fileobj=file, mode="r|") as tar:
            yield from _tarred(tar)
        return
    with opener(archive) as file:
        path = Path(name)
        yield Member(path.stem if path.suffix.lower() in _SUFFIXES else path.name, "f", content=file)


def _holds_tar(archive: Path, opener: Any) -> bool:
    with opener(archive) as file:
        head = file.read(tarfile.RECORDSIZE + 1)
    try:
        tarfile.TarInfo.frombuf(head[: tarfile.BLOCKSIZE], "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        # Nothing but two or more blocks of zeros: a tar without members.
        return 2 * tarfile.BLOCKSIZE <= len(head) <= tarfile.RECORDSIZE and not any(head)
    return True


def _tarred(tar: tarfile.TarFile) -> Iterator[Member]:
    for info in tar:
        kinds = {"f": info.isreg(), "d": info.isdir(), "l": info.issym(), "h": info.islnk()}
        kind = next((kind for kind, holds in kinds.items() if holds), "?")
        content = tar.extractfile(info) if kind == "f" else None
        yield Member(info.name, kind, info.size, bool(info.mode & stat.S_IXUSR), info.linkname, content, info.mtime)


def _zipped(archive: Path) -> Iterator[Member]:
    with zipfile.ZipFile(archive) as file:
        for info in file.infolist():
            mode = info.external_attr >> 16
            if info.is_dir():
                yield Member(info.filename, "d")
            elif stat.S_ISLNK(mode):
                yield Member(info.filename, "l", target=os.fsdecode(file.read(info)[:4096]))
            elif stat.S_IFMT(mode) not in (0, stat.S_IFREG):
                yield Member(info.filename, "?")
            else:
                with file.open(info) as content:
                    program = bool(mode & stat.S_IXUSR)
                    yield Member(info.filename, "f", info.file_size, program, content=content, time=_time(info))


def _time(info: zipfile.ZipInfo) -> float | None:
    with suppress(OverflowError, ValueError):
        return time.mktime((*info.date_time, -1, -1, -1))
    return None


def _merge(source: Path, target: Path, name: str) -> None:
    """Move all that is in a directory into another one; what is there is replaced, but directories are kept."""
    for entry in list(os.scandir(source)):
        path = target / entry.name
        folder = entry.is_dir(follow_symlinks=False)
        if not os.path.lexists(path):
            os.rename(entry.path, path)
        elif folder and path.is_dir() and not path.is_symlink():
            _merge(Path(entry.path), path, name)
        elif folder or (path.is_dir() and not path.is_symlink()):
            raise ArchiveRefused(f"{name!r} cannot be unpacked: {entry.name!r} is there already, as something else.")
        else:
            os.replace(entry.path, path)
