"""Images: what a text names, and by which digest its contents count."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from blake3 import blake3

from daskflow.errors import ArtifactError, ContainerError

Kind: TypeAlias = Literal["reference", "directory", "archive", "squashfs", "sif"]
"""What an image lies in: a registry, a directory, a tarball, a SquashFS or a SIF file."""

_DIGEST_LENGTH = 16
_SUFFIXES: dict[str, Kind] = {
    ".sif": "sif",
    ".sqfs": "squashfs",
    ".squashfs": "squashfs",
    ".tar": "archive",
    ".tar.gz": "archive",
    ".tgz": "archive",
    ".tar.bz2": "archive",
    ".tar.xz": "archive",
}
_PREFIX = "docker://"
# What may stand in a registry: https://github.com/distribution/reference
_REFERENCE = re.compile(
    r"(?P<name>(?:[a-zA-Z0-9.-]+(?::[0-9]+)?/)?[a-z0-9]+(?:[._/-]+[a-z0-9]+)*)"
    r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}))?(?:@sha256:(?P<digest>[0-9a-f]{64}))?"
)


@dataclass(frozen=True, slots=True)
class Image:
    """An image, as its users name it.

    Examples
    --------
    >>> Image.named("docker://python:3.12-slim")
    Image(kind='reference', place='python:3.12-slim')
    >>> Image.named("/images/lammps.sif")
    Image(kind='sif', place='/images/lammps.sif')
    """

    kind: Kind
    """What it lies in."""
    place: str
    """The reference without `docker://`, or the absolute path."""

    @classmethod
    def named(cls, image: str | os.PathLike[str]) -> Image:
        """The image that a text or a path names.

        Parameters
        ----------
        image
            A `Path`, or a text that starts with `/`, `./`, `../` or `~` or has one of the endings of images, is a path:
            a directory, a tarball, a SquashFS or a SIF file. Any other text is a reference to a registry, with
            or without `docker://` before it.

        Raises
        ------
        ContainerError
            It is neither.
        """
        text = os.fspath(image)
        if not isinstance(image, str) or _is_path(text):
            place = os.path.abspath(os.path.expanduser(text))
            return cls(_SUFFIXES.get(_suffix(place), "directory"), place)
        place = text.removeprefix(_PREFIX)
        if _REFERENCE.fullmatch(place) is None:
            raise ContainerError(
                f"{text!r:.200} names no image. Write a reference as docker://python:3.12, or the path of a directory, "
                "a tarball or a .sif file, with ./ before it if it is in this directory."
            )
        return cls("reference", place)

    @property
    def text(self) -> str:
        """What names it on each node; the other way round, `named` gives it for that."""
        return f"{_PREFIX}{self.place}" if self.kind == "reference" else self.place

    @property
    def pinned(self) -> str | None:
        """The digest in a reference, `sha256:...`; None where there is none."""
        found = _REFERENCE.fullmatch(self.place) if self.kind == "reference" else None
        return f"sha256:{found['digest']}" if found and found["digest"] else None

    def check(self) -> None:
        """Raise ContainerError where the file or directory is not there, or not what its name says."""
        if self.kind == "reference":
            return
        path = Path(self.place)
        if not path.exists():
            raise ContainerError(f"The image {path} is not there. Check its path; references begin with docker://.")
        if (self.kind == "directory") is not path.is_dir():
            raise ContainerError(
                f"The image {path} is of no known kind: it can be a directory, or a file that ends in "
                f"{', '.join(sorted(_SUFFIXES))}."
            )


def image_digest(image: str | os.PathLike[str], digest: Callable[[str], str]) -> str:
    """What an image counts by in keys.

    Parameters
    ----------
    image
        As `Image.named` takes it.
    digest
        Gives the digest of a file.

    Returns
    -------
    str
        A file counts by its contents; a directory by the names, modes, links and contents in it, wherever it lies; a
        reference with `@sha256:` by that digest, and one without by its text: what is behind a tag
        may change, and nobody sees it.

    Raises
    ------
    ContainerError
        It names no image, or the file or directory is not there or cannot be read.

    Notes
    -----
    Symbolic links are not followed, for in the container they lead elsewhere. Empty directories don't count: they are
    where runtimes mount something, and some runtimes make them.
    """
    found = Image.named(image)
    found.check()
    if found.kind == "reference":
        return found.pinned or found.place
    try:
        if found.kind == "directory":
            return _tree(found.place, digest)
        return digest(found.place)
    except (ArtifactError, OSError) as error:
        raise ContainerError(f"The image {found.place} cannot be read: {error}") from error


def _is_path(text: str) -> bool:
    return text.startswith(("/", "./", "../", "~")) or (_suffix(text) in _SUFFIXES and not text.startswith(_PREFIX))


def _suffix(path: str) -> str:
    name = os.path.basename(path).lower()
    return next((suffix for suffix in sorted(_SUFFIXES, key=len, reverse=True) if name.endswith(suffix)), "")


def _tree(path: str, digest: Callable[[str], str]) -> str:
    hasher = blake3(b"image\0")
    with os.scandir(path) as entries:
        found = sorted(entries, key=lambda entry: os.fsencode(entry.name))
    for entry in found:
        mode = entry.stat(follow_symlinks=False).st_mode
        content = _content(entry, mode, digest)
        if content is not None:
            # A name holds no NUL, and what follows it none either: two trees never write the same bytes.
            hasher.update(b"%o %s\0%s\0" % (mode, os.fsencode(entry.name), content))
    return hasher.hexdigest(length=_DIGEST_LENGTH)


def _content(entry: os.DirEntry[str], mode: int, digest: Callable[[str], str]) -> bytes | None:
    """What an entry counts by beside its name and mode; None: it does not count."""
    if stat.S_ISLNK(mode):
        return os.fsencode(os.readlink(entry.path))
    # What is not readable, such as /etc/shadow in the image of somebody else, is not for the commands either.
    readable = os.access(entry.path, os.R_OK)
    if stat.S_ISDIR(mode):
        return _tree(entry.path, digest).encode() if readable and os.listdir(entry.path) else None
    if stat.S_ISREG(mode):
        return digest(entry.path).encode() if readable else b"%d" % entry.stat(follow_symlinks=False).st_size
    return b""
