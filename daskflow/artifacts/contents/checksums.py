"""Checksums that people give with a URL, such as `sha256:9f86d0...`, taken while bytes pass by."""

from __future__ import annotations

import hashlib
import re
from typing import Any, Protocol

from blake3 import blake3

from daskflow.artifacts.contents.digests import DIGITS
from daskflow.artifacts.contents.frames import Buffer
from daskflow.errors import ArgumentsInvalid

_DIGITS = {"md5": 32, "sha1": 40, "sha256": 64, "sha512": 128, "blake3": 64}
"""Hexadecimal digits by the name of the algorithm."""
_FORM = re.compile(r"([a-z0-9]+):([0-9a-f]+)")


class _Hasher(Protocol):
    def update(self, data: Any, /) -> Any: ...

    def hexdigest(self) -> str: ...


class Sums:
    """The digest of the bytes that passed by, and the checksum that was asked for.

    Parameters
    ----------
    wanted
        A normal checksum, or nothing.
    """

    def __init__(self, wanted: str) -> None:
        self.size = 0
        """How many bytes passed by [bytes]."""
        self._wanted = wanted
        self._own = blake3()
        name = wanted.partition(":")[0]
        # MD5 and SHA-1 tell damage, not deceit; a system that forbids them for secrets still has them for that.
        self._other: _Hasher | None = hashlib.new(name, usedforsecurity=False) if name not in ("", "blake3") else None

    def update(self, data: Buffer) -> None:
        """Some bytes passed by."""
        self.size += len(data)
        self._own.update(data)
        if self._other is not None:
            self._other.update(data)

    @property
    def digest(self) -> str:
        """The digest by which the artifact store knows these bytes."""
        return self._own.hexdigest(length=DIGITS // 2)

    @property
    def checksum(self) -> str:
        """The checksum of these bytes, of the kind that was asked for; empty where none was."""
        if not self._wanted:
            return ""
        found = self._own.hexdigest() if self._other is None else self._other.hexdigest()
        return f"{self._wanted.partition(':')[0]}:{found}"


def normal_checksum(text: str) -> str:
    """A checksum as `name:digits`, in small letters.

    Raises
    ------
    ArgumentsInvalid
        The algorithm is not known, or the number of digits is not its own.

    Examples
    --------
    >>> normal_checksum("MD5:D41D8CD98F00B204E9800998ECF8427E")
    'md5:d41d8cd98f00b204e9800998ecf8427e'
    """
    found = _FORM.fullmatch(str(text).strip().lower())
    if found is None or _DIGITS.get(found[1]) != len(found[2]):
        raise ArgumentsInvalid(
            f"The checksum {text!r:.100} is not readable. Write the algorithm and its hexadecimal digits, such as "
            f"sha256:9f86d0...; known are {', '.join(_DIGITS)}."
        )
    return found[0]
