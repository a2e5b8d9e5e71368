"""What jobs left, in the forms in which it is wanted."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

from daskflow.compat.prominence.errors import JobGetError


def as_wanted(data: bytes, text: bool | None) -> str | bytes:
    r"""The content of a file as text or as bytes.

    Examples
    --------
    >>> as_wanted(b"3.5", None), as_wanted(b"3.5", False), as_wanted(bytes(2), None)
    ('3.5', b'3.5', b'\x00\x00')
    """
    if text is False or (text is None and b"\0" in data):
        return data
    try:
        return data.decode()
    except UnicodeDecodeError:
        if text:
            raise JobGetError("The file is no text in UTF-8: ask for it with text=False.") from None
        return data


def packed(path: Path, name: str) -> bytes:
    """A directory as a gzipped tar, in which it has that name."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", dereference=True) as tar:
        tar.add(path, name)
    return buffer.getvalue()
